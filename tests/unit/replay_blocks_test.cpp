// What verification keeps of blocks: the table against a plain map, the pool against pages that it
// has no room for.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/page_pool.h"

namespace neon_redo {
namespace {

constexpr RelFileNode kRel{1663, 5, 16384};

void Nothing(int*) {}

TEST(BlockTable, ForgetsByRelation) {
  BlockTable<int> table;
  const RelFileNode other_db{1663, 6, 16384}, other_spc{1664, 5, 16384};
  for (uint32_t block = 0; block < 10; block++) table.at({kRel, kMainFork, block}) = 1;
  table.at({kRel, kVisibilityMapFork, 0}) = 1;
  table.at({other_db, kMainFork, 0}) = 1;
  table.at({other_spc, kMainFork, 0}) = 1;
  int forgotten = 0;
  const auto count = [&](int*) { forgotten++; };
  table.Truncate(kRel, kMainFork, 7, count);
  EXPECT_EQ(forgotten, 3);
  table.Truncate(kRel, kMainFork, 9, count);
  EXPECT_EQ(forgotten, 3);
  EXPECT_EQ(table.BaseEnd({kRel, kMainFork, 0}), 7u);
  EXPECT_EQ(table.Find({kRel, kMainFork, 7}), nullptr);
  EXPECT_NE(table.Find({kRel, kMainFork, 6}), nullptr);
  table.DropDatabase(5, 1663, count);
  EXPECT_EQ(forgotten, 11);
  EXPECT_EQ(table.BaseEnd({kRel, kInitFork, 0}), 0u);
  EXPECT_NE(table.Find({other_db, kMainFork, 0}), nullptr);
  EXPECT_NE(table.Find({other_spc, kMainFork, 0}), nullptr);
  EXPECT_EQ(table.BaseEnd({other_db, kMainFork, 0}), UINT32_MAX);
}

TEST(BlockTable, AsAPlainMap) {
  std::mt19937 random(7);
  BlockTable<int> table;
  std::map<BlockTag, int> plain;
  const auto tag = [&] {
    const RelFileNode rel{1663, static_cast<uint32_t>(random() % 2),
                          16384 + uint32_t(random() % 4)};
    return BlockTag{rel, static_cast<uint8_t>(random() % 4), static_cast<uint32_t>(random() % 900)};
  };
  for (int step = 0; step < 60000; step++) {
    const BlockTag t = tag();
    const uint32_t what = random() % 1000;
    if (what == 0) {
      table.Drop(t.rel, Nothing);
      std::erase_if(plain, [&](const auto& e) { return e.first.rel == t.rel; });
    } else if (what < 5) {
      table.Truncate(t.rel, t.fork, t.block, Nothing);
      std::erase_if(plain, [&](const auto& e) {
        return e.first.rel == t.rel && e.first.fork == t.fork && e.first.block >= t.block;
      });
    } else if (what < 600) {
      auto* found = table.Find(t);
      ASSERT_EQ(found != nullptr, plain.contains(t));
      if (found != nullptr) {
        ASSERT_EQ(found->value, plain[t]);
      }
    } else {
      ASSERT_EQ(table.at(t), plain[t]);
      table.at(t) = plain[t] = step;
    }
    ASSERT_EQ(table.size(), plain.size());
  }
  auto expected = plain.begin();
  for (auto* entry : table.Sorted()) {
    ASSERT_EQ(entry->tag, expected->first);
    ASSERT_EQ(entry->value, expected->second);
    ++expected;
  }
  EXPECT_EQ(expected, plain.end());
}

// Fills a page with what only this number has.
void Fill(uint8_t* page, uint32_t number) {
  for (uint32_t i = 0; i < kBlockSize / 4; i++) {
    const uint32_t word = number * 2654435761u + i;
    std::memcpy(page + 4 * i, &word, 4);
  }
}

TEST(PagePool, SpillsAndFetches) {
  constexpr uint32_t kPages = 2000;  // 16 MB in 4 MB of memory
  MemoryBudget budget(2 * PagePool::kChunkBytes);
  PagePool pool(&budget, ::testing::TempDir());
  const auto refs = std::make_unique<PageRef[]>(kPages);
  std::vector<uint32_t> content(kPages, 0);
  std::mt19937 random(3);
  std::vector<uint8_t> expected(kBlockSize);
  for (uint32_t step = 1; step < 30000; step++) {
    const uint32_t i = random() % kPages;
    if (!refs[i].present()) {
      uint8_t* page = pool.Allocate(&refs[i]);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(page) % 64, 0u);
      Fill(page, content[i] = step);
    } else if (step % 5 == 0) {
      pool.Release(&refs[i]);
      ASSERT_FALSE(refs[i].present());
    } else {
      uint8_t* page = pool.Get(&refs[i]);
      Fill(expected.data(), content[i]);
      ASSERT_EQ(std::memcmp(page, expected.data(), kBlockSize), 0) << "page " << i;
      Fill(page, content[i] = step);
    }
  }
  EXPECT_TRUE(pool.status());
  EXPECT_GT(pool.spills(), 1000u);
}

TEST(PagePool, GivesBackWhatOthersNeed) {
  constexpr uint32_t kPages = 900;
  MemoryBudget budget(4 * PagePool::kChunkBytes);
  PagePool pool(&budget, ::testing::TempDir());
  const auto refs = std::make_unique<PageRef[]>(kPages);
  for (uint32_t i = 0; i < kPages; i++) Fill(pool.Allocate(&refs[i]), i + 1);
  EXPECT_EQ(pool.spills(), 0u);
  budget.Force(2 * PagePool::kChunkBytes);
  EXPECT_TRUE(budget.IsOverdrawn());
  std::vector<uint8_t> expected(kBlockSize);
  PageRef one_more;
  Fill(pool.Allocate(&one_more), 1);
  EXPECT_FALSE(budget.IsOverdrawn());
  budget.Force(100 * PagePool::kChunkBytes);  // the last chunk stays
  for (uint32_t i = 0; i < kPages; i++) {
    Fill(expected.data(), i + 1);
    ASSERT_EQ(std::memcmp(pool.Get(&refs[i]), expected.data(), kBlockSize), 0) << "page " << i;
  }
  EXPECT_TRUE(pool.status());
}

TEST(BlockTable, IsChargedForItsMemory) {
  MemoryBudget budget(100'000);
  BlockTable<uint64_t> table(&budget);
  table.at({{1663, 5, 16384}, kMainFork, 0}) = 1;
  EXPECT_FALSE(budget.IsOverdrawn());
  for (uint32_t block = 0; block < 5000; block++)
    table.at({{1663, 5, 16384}, kMainFork, block}) = 1;
  EXPECT_TRUE(budget.IsOverdrawn());
}

// Tags that a hash without a key gave one place, computed by inverting its steps. With them, WAL of
// some megabytes made every search read the whole table.
std::vector<BlockTag> CraftedTags() {
  std::vector<BlockTag> tags;
  for (uint32_t i = 1; i <= 20'000; i++) {
    const uint64_t block = 0x123456789abcdef0u ^ (uint64_t{i} << 17);
    tags.push_back({{i, 0, static_cast<uint32_t>(block >> 32)}, kMainFork, uint32_t(block)});
  }
  return tags;
}

TEST(HashTag, CraftedTagsHaveNoPlaceInCommon) {
  const auto tags = CraftedTags();
  std::map<uint64_t, int> low, high;
  for (const BlockTag& tag : tags) {
    low[HashTag(tag) & 0xffff]++;
    high[HashTag(tag) >> 48]++;
  }
  // Of 20,000 in 65,536 places, some 17,200 places are taken when it is left to chance.
  EXPECT_GT(low.size(), 16'000u);
  EXPECT_GT(high.size(), 16'000u);
}

TEST(HashTag, NeighboursAreSpread) {
  std::map<uint64_t, int> low, high;
  for (uint32_t block = 0; block < 20'000; block++) {
    const uint64_t hash = HashTag({kRel, kMainFork, block});
    low[hash & 0xffff]++;
    high[hash >> 48]++;
  }
  EXPECT_GT(low.size(), 14'000u);
  EXPECT_GT(high.size(), 14'000u);
}

TEST(HashTag, HasAKeyOfItsProcess) {
  const BlockTag tag{kRel, kMainFork, 7};
  EXPECT_NE(HashTag(tag, {1, 2}), HashTag(tag, {1, 3}));
  EXPECT_NE(HashTag(tag, {1, 2}), HashTag(tag, {2, 2}));
  EXPECT_NE(kHashKey.first, 0u);
  EXPECT_NE(kHashKey.second, 0u);
  EXPECT_NE(kHashKey.first, kHashKey.second);
}

TEST(PagePool, HasRoomWithoutABudget) {
  MemoryBudget budget(0);
  PagePool pool(&budget, ::testing::TempDir());
  PageRef first;
  Fill(pool.Allocate(&first), 1);
  EXPECT_TRUE(first.present());
  EXPECT_EQ(pool.spills(), 0u);
}

TEST(PagePool, TellsThatItCannotSpill) {
  MemoryBudget budget(0);
  PagePool pool(&budget, "/nonexistent");
  const auto refs = std::make_unique<PageRef[]>(300);
  for (int i = 0; i < 300; i++) Fill(pool.Allocate(&refs[i]), 1);
  for (int i = 0; i < 300; i++) pool.Get(&refs[i]);
  ASSERT_FALSE(pool.status());
  EXPECT_EQ(pool.status().error().code, ErrorCode::kIo);
  EXPECT_NE(pool.status().error().message.find("/nonexistent"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo
