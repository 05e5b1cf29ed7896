// Both stores under the same random operations against a plain list; what the recorder and the page
// reader make of relations that grow, are cut, dropped and copied.
#include "cpp_core/store/store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/page_reader.h"
#include "cpp_core/store/recorder.h"
#include "cpp_core/store/recording.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;

Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// The slowest store that could be right.
class ListStore {
 public:
  void Put(const PageKey& key, StoredChange change) {
    std::erase_if(all_, [&](const auto& e) {
      return e.first == key && e.second.lsn == change.lsn && e.second.index == change.index;
    });
    all_.emplace_back(key, std::move(change));
    std::sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.first, a.second.lsn, a.second.index) <
             std::tie(b.first, b.second.lsn, b.second.index);
    });
  }
  std::vector<StoredChange> Get(const PageKey& key, Lsn lsn) const {
    std::vector<StoredChange> found;
    for (const auto& [k, change] : all_) {
      if (k != key || change.lsn > lsn) continue;
      if (change.initialises) found.clear();
      found.push_back(change);
    }
    return found;
  }
  std::optional<PageKey> NextKey(const PageKey& from) const {
    for (const auto& [k, change] : all_) {
      if (k >= from) return k;
    }
    return std::nullopt;
  }

 private:
  std::vector<std::pair<PageKey, StoredChange>> all_;
};

PageKey RandomKey(std::mt19937* random) {
  const auto small = [&] { return static_cast<uint32_t>((*random)() % 3 * 0x01000001u); };
  return {static_cast<uint8_t>((*random)() % 2),
          small(),
          small(),
          7,
          static_cast<uint8_t>((*random)() % 2),
          (*random)() % 2 ? 0u : 0xffffffffu};
}

void CompareWithList(Store* store, uint32_t seed, const std::function<void()>& now_and_then) {
  std::mt19937 random(seed);
  ListStore list;
  const auto lsn = [&] { return Lsn(random() % 2 ? random() % 40 : uint64_t{random()} << 20); };
  for (int round = 0; round < 1500; round++) {
    const PageKey key = RandomKey(&random);
    if (random() % 3) {
      StoredChange change{lsn(), static_cast<uint32_t>(random() % 3), random() % 5 == 0,
                          std::string(random() % 300, static_cast<char>(random()))};
      ASSERT_TRUE(
          store->Put(key, change.lsn, change.index, change.initialises, AsBytes(change.value)));
      list.Put(key, std::move(change));
    } else {
      const Lsn at = lsn();
      const auto got = store->Get(key, at);
      ASSERT_TRUE(got);
      ASSERT_EQ(*got, list.Get(key, at));
      const auto next = store->NextKey(key);
      ASSERT_TRUE(next);
      ASSERT_EQ(*next, list.NextKey(key));
    }
    if (round % 400 == 399) now_and_then();
  }
}

TEST(Store, MemoryAgreesWithAList) {
  for (uint32_t seed = 0; seed < 5; seed++) {
    const auto store = MakeMemoryStore();
    CompareWithList(store.get(), seed, [] {});
  }
}

TEST(Store, RocksDbAgreesWithAListAcrossFlushes) {
  const TempDirectory directory;
  auto store = OpenRocksDbStore({directory.path() + "/s", 1 << 20});
  ASSERT_TRUE(store) << store.error().message;
  CompareWithList(store->get(), 9, [&] { ASSERT_TRUE((*store)->Flush()); });
}

TEST(Store, RocksDbKeepsWhatWasFlushed) {
  const TempDirectory directory;
  const PageKey key = PageKey::OfBlock({kRel, 0, 3});
  {
    auto store = OpenRocksDbStore({directory.path() + "/s", 0});
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->Put(key, Lsn(5), 0, true, AsBytes("five")));
    ASSERT_TRUE((*store)->Flush());
  }
  auto store = OpenRocksDbStore({directory.path() + "/s", 0});
  ASSERT_TRUE(store);
  EXPECT_EQ(*(*store)->Get(key, Lsn(9)), (std::vector<StoredChange>{{Lsn(5), 0, true, "five"}}));
  EXPECT_FALSE(OpenRocksDbStore({directory.path() + "/s", 0}));  // in use
  EXPECT_FALSE(OpenRocksDbStore({"/proc/nothing", 0}));
}

WorkerOptions OfPg15() {
  WorkerOptions options;
  options.version = &kPg15;
  return options;
}

// Feeds records made by hand, at LSNs 100, 200, ….
class RecorderTest : public ::testing::Test {
 protected:
  void Take(const RecordBuilder& builder) {
    const std::vector<uint8_t> bytes = builder.Bytes();
    RecordView view(kPg15);
    ASSERT_FALSE(view.Parse(bytes));
    ASSERT_FALSE(ingest_.Take(view, &changes_));
    lsn_ = lsn_ + 100;
    ASSERT_TRUE(recorder_.Take(changes_, view, {lsn_ + 0, lsn_, bytes}));
  }
  // XLOG_FPI: a page that has the byte everywhere behind its header.
  void Image(uint32_t block, uint8_t byte) {
    std::vector<uint8_t> page(kBlockSize, byte);
    Take(RecordBuilder(kRmXlog, 0xb0).Image(0, block, page.data()));
  }
  void Truncate(uint32_t blocks, uint32_t flags = 7) {
    Take(RecordBuilder(kRmSmgr, 0x20)
             .Main(Fields().U32(blocks).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(flags)));
  }
  // The byte of the page, or -1 when it cannot be had.
  int PageByte(uint32_t block, uint64_t lsn, uint32_t database = kRel.db) {
    const auto page =
        reader_.Read(PageKey::OfBlock({{kRel.spc, database, kRel.rel}, 0, block}), Lsn(lsn));
    if (!page) return -1;
    EXPECT_LE(PageView(page->page.data()).lsn(), Lsn(lsn));
    return page->page[100];
  }
  // -1: not known, -2: no such fork.
  int64_t Size(uint64_t lsn, uint8_t fork = kMainFork, uint32_t database = kRel.db) {
    const auto size = reader_.RelationSize({kRel.spc, database, kRel.rel}, fork, Lsn(lsn));
    EXPECT_TRUE(size);
    return !*size ? -1 : **size == kNoBlock ? -2 : int64_t{**size};
  }

  std::unique_ptr<Store> store_ = MakeMemoryStore();
  Ingest ingest_;
  ChangeList changes_;
  Recorder recorder_{store_.get(), {}};
  PageReader reader_{store_.get(), {}, OfPg15()};
  Lsn lsn_;
};

TEST_F(RecorderTest, PagesAndSizesAtEveryLsn) {
  Image(0, 1);  // 100
  Image(2, 2);  // 200
  Image(0, 3);  // 300
  Truncate(1);  // 400
  Image(2, 4);  // 500
  EXPECT_EQ(PageByte(0, 99), -1);
  EXPECT_EQ(PageByte(0, 100), 1);
  EXPECT_EQ(PageByte(0, 299), 1);
  EXPECT_EQ(PageByte(0, 9999), 3);
  EXPECT_EQ(PageByte(2, 399), 2);
  EXPECT_EQ(PageByte(2, 400), -1);
  EXPECT_EQ(PageByte(2, 500), 4);
  EXPECT_EQ(Size(99), -1);
  EXPECT_EQ(Size(100), 1);
  EXPECT_EQ(Size(200), 3);
  EXPECT_EQ(Size(400), 1);
  EXPECT_EQ(Size(500), 3);
}

TEST_F(RecorderTest, DroppedAtCommitAndMadeAnew) {
  Image(0, 1);
  Take(RecordBuilder(kRmXact, 0x80)
           .Main(Fields().U64(0).U32(4).U32(1).U32(kRel.spc).U32(kRel.db).U32(kRel.rel)));  // 200
  Take(RecordBuilder(kRmSmgr, 0x10)
           .Main(Fields().U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(0)));  // 300
  Image(0, 5);                                                                // 400
  EXPECT_EQ(PageByte(0, 199), 1);
  EXPECT_EQ(PageByte(0, 200), -1);
  EXPECT_EQ(PageByte(0, 400), 5);
  EXPECT_EQ(Size(200), -2);
  EXPECT_EQ(Size(300), 0);
  EXPECT_EQ(Size(400), 1);
}

TEST_F(RecorderTest, CopiedDatabaseHasTheTemplatesPast) {
  const uint32_t copy = 77;
  Image(0, 1);  // 100
  Take(RecordBuilder(kRmDbase, 0x00)
           .Main(Fields().U32(copy).U32(kRel.spc).U32(kRel.db).U32(kRel.spc)));  // 200
  Image(0, 2);                                                                   // 300
  EXPECT_EQ(PageByte(0, 150, copy), -1);
  EXPECT_EQ(PageByte(0, 9999, copy), 1);
  EXPECT_EQ(PageByte(0, 9999), 2);
  EXPECT_EQ(Size(9999, 0, copy), 1);
  Take(RecordBuilder(kRmDbase, 0x20).Main(Fields().U32(copy).U32(1).U32(kRel.spc)));  // 400
  EXPECT_EQ(PageByte(0, 399, copy), 1);
  EXPECT_EQ(PageByte(0, 400, copy), -1);
  EXPECT_EQ(Size(400, 0, copy), -2);
}

TEST_F(RecorderTest, SlruPages) {
  const auto read = [&](SlruKind kind, uint32_t segment, uint32_t block, uint64_t lsn) {
    return reader_.Read(PageKey::OfSlruBlock({kind, segment, block}), Lsn(lsn));
  };
  Take(RecordBuilder(kRmClog, 0x00).Main(Fields().U32(32)));                 // 100
  Take(RecordBuilder(kRmXact, 0x00, 32 * 32768 + 5).Main(Fields().U64(0)));  // 200
  Take(RecordBuilder(kRmClog, 0x10).Main(Fields().U32(64).U32(0).U32(0)));   // 300
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 100)->page[1], 0);
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 200)->page[1], 1 << 2);
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 200)->page.size(), kBlockSize);
  EXPECT_FALSE(read(SlruKind::kClog, 1, 0, 300));
  Take(RecordBuilder(kRmMultiXact, 0x10).Main(Fields().U32(0)));  // 400
  Take(RecordBuilder(kRmMultiXact, 0x30)
           .Main(Fields().U32(1).U32(1).U32(1).U32(0).U32(kMembersPerPage * 32)));  // 500
  EXPECT_TRUE(read(SlruKind::kMultixactMembers, 0, 0, 499));
  EXPECT_FALSE(read(SlruKind::kMultixactMembers, 0, 0, 500));
}

// The answers are the same whether all changes were recorded or only those of the page asked for.
TEST(Recorder, OnlyOnePage) {
  std::mt19937 random(4);
  for (int round = 0; round < 50; round++) {
    const PageKey only = PageKey::OfBlock({kRel, 0, static_cast<uint32_t>(random() % 3)});
    const auto all_store = MakeMemoryStore();
    const auto one_store = MakeMemoryStore();
    Recorder all(all_store.get(), {});
    Recorder one(one_store.get(), {only, {}});
    Ingest ingest;
    ChangeList changes;
    for (uint64_t lsn = 1; lsn < 30; lsn++) {
      std::vector<uint8_t> page(kBlockSize, static_cast<uint8_t>(lsn));
      RecordBuilder record =
          random() % 4
              ? RecordBuilder(kRmXlog, 0xb0).Image(0, random() % 3, page.data())
              : RecordBuilder(kRmSmgr, 0x20)
                    .Main(
                        Fields().U32(random() % 3).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(1));
      const std::vector<uint8_t> bytes = record.Bytes();
      RecordView view(kPg15);
      ASSERT_FALSE(view.Parse(bytes));
      ASSERT_FALSE(ingest.Take(view, &changes));
      ASSERT_TRUE(all.Take(changes, view, {Lsn(lsn), Lsn(lsn), bytes}));
      ASSERT_TRUE(one.Take(changes, view, {Lsn(lsn), Lsn(lsn), bytes}));
    }
    for (uint64_t lsn = 0; lsn < 31; lsn++) {
      const auto a = PageReader(all_store.get(), {}, OfPg15()).Read(only, Lsn(lsn));
      const auto b = PageReader(one_store.get(), {}, OfPg15()).Read(only, Lsn(lsn));
      ASSERT_EQ(a.has_value(), b.has_value());
      if (a) {
        ASSERT_EQ(a->page, b->page);
      }
    }
  }
}

// A failover that lost WAL may leave no other trace in an archive of one timeline.
TEST(RecordWal, RefusesWalWithAnotherRecordInPlaceOfItsLast) {
  TempDirectory dir;
  const auto store = MakeMemoryStore();
  // A record for each number: a new page of pg_xact, or for 0 one of 1,000 bytes without a change.
  const auto record = [&](const std::vector<uint32_t>& pages) {
    WalWriter wal;
    for (const uint32_t page : pages) {
      if (page == 0)
        wal.Append(kRmXlog, 0x20, 1000);  // XLOG_NOOP
      else
        wal.AppendData(kRmClog, 0x00, std::string(reinterpret_cast<const char*>(&page), 4));
    }
    wal.Save(dir.path());
    RecordingOptions options;
    const auto end = RecordWal(store.get(), *WalSet::Open(dir.path()), options);
    return end ? std::string() : end.error().message;
  };
  ASSERT_EQ(record({1, 2, 3}), "");
  EXPECT_EQ(record({1, 2, 3}), "");
  const std::string other = "has another record than the store's last one at ";
  // One that begins at the same place, one within which that place is, and the same with one more.
  for (const std::vector<uint32_t>& pages :
       {std::vector<uint32_t>{1, 2, 4}, {1, 0}, {1, 0, 5}, {1, 0, 5, 6}})
    EXPECT_NE(record(pages).find(other), std::string::npos) << record(pages);
  // The WAL does not reach so far, or ends exactly there.
  for (const std::vector<uint32_t>& pages : {std::vector<uint32_t>{1}, {1, 2}})
    EXPECT_EQ(record(pages).find(other), std::string::npos) << record(pages);
  EXPECT_EQ(record({1, 2, 3, 4}), "");
}

// A store that has all WAL of an archive may end in a segment that is not archived yet.
TEST(RecordWal, GoesOnWhereNoWalIsAfterItsEnd) {
  constexpr uint32_t kSize = 1 << 20;
  for (const bool restores : {false, true}) {
    TempDirectory dir;
    const auto store = MakeMemoryStore();
    RecordingOptions options;
    options.range.from = Lsn(3 * kSize);
    const auto run = [&](int records, const char* without) {
      WalWriter wal(kSize);
      for (int i = 0; i < records; i++) wal.Append(kRmXlog, 0x20, 200'000);  // XLOG_NOOP
      wal.Save(dir.path());
      if (without) std::filesystem::remove(dir.path() + "/" + without);
      WalSources sources{.directories = {dir.path()}};
      if (restores)
        sources = {.restore_command = fmt::format("cp {}/%f %p 2>/dev/null", dir.path()),
                   .start = Lsn(3 * kSize)};
      const auto set = WalSet::Open(sources);
      return set ? RecordWal(store.get(), *set, options) : tl::unexpected(set.error());
    };
    const auto end = run(6, nullptr);
    ASSERT_TRUE(end) << end.error().message;
    ASSERT_EQ(end->value / kSize, 4u);
    const std::string last = FormatSegmentName(1, 4, kSize);
    const auto again = run(6, last.c_str());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, *end);
    // But not where WAL follows that cannot be reached.
    const auto gap = run(12, last.c_str());
    ASSERT_FALSE(gap);
    EXPECT_NE(gap.error().message.find(last), std::string::npos) << gap.error().message;
    const auto more = run(12, nullptr);
    ASSERT_TRUE(more) << more.error().message;
    EXPECT_GT(*more, *end);
  }
}

TEST(PageName, Forms) {
  const auto key = [](const char* text) {
    const auto parsed = ParsePageName(text);
    return parsed ? parsed->ToString() : "";
  };
  const std::string main = PageKey::OfBlock({{1663, 5, 16384}, 0, 7}).ToString();
  EXPECT_EQ(key("base/5/16384/7"), main);
  EXPECT_EQ(key("1663/5/16384/7"), main);
  EXPECT_EQ(key(main.c_str()), main);
  EXPECT_EQ(key("base/5/16384_vm/0"), PageKey::OfBlock({{1663, 5, 16384}, 2, 0}).ToString());
  EXPECT_EQ(key("global/1262_fsm/1"), PageKey::OfBlock({{1664, 0, 1262}, 1, 1}).ToString());
  EXPECT_EQ(key("pg_tblspc/99/PG_15_202209061/5/6/1"),
            PageKey::OfBlock({{99, 5, 6}, 0, 1}).ToString());
  EXPECT_EQ(key("pg_xact/00AF/31"), PageKey::OfSlruBlock({SlruKind::kClog, 0xaf, 31}).ToString());
  EXPECT_EQ(key("pg_multixact/members/14078/0"),
            PageKey::OfSlruBlock({SlruKind::kMultixactMembers, 0x14078, 0}).ToString());
  for (const char* bad :
       {"", "7", "base/5/16384", "base/5/16384/", "base/5/x/7", "base/5/16384_main/0", "base/5/0/7",
        "pg_xact/0000/32", "pg_multixact/0000/1", "base/5/16384/-1", "base/5/16384/4294967295",
        "base/5/16384/99999999999", "/5/1/1"})
    EXPECT_EQ(key(bad), "") << bad;
}

}  // namespace
}  // namespace neon_redo
