// A consumer of its own for PageReplay, as a restore would have: pages come from a map of base pages
// and go into a map of finished ones.
#include "cpp_core/replay/page_replay.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <mutex>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/native.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;
using Buffer = std::vector<uint8_t>;

struct Finished {
  PageState state;
  Lsn lsn;
  size_t line_pointers = 0;
};

// What all partitions share.
struct Store {
  std::mutex mutex;
  std::map<BlockTag, Buffer> base;
  std::map<BlockTag, Finished> finished;
  int bases_read = 0;
  bool fails = false;
};

class StoreConsumer : public PageConsumer {
 public:
  explicit StoreConsumer(Store* store) : store_(*store) {}
  Result<bool> ReadBase(const BlockTag& tag, uint8_t* page) override {
    std::lock_guard lock(store_.mutex);
    store_.bases_read++;
    const auto found = store_.base.find(tag);
    if (found == store_.base.end()) return false;
    if (found->second.empty()) return MakeError(ErrorCode::kIo, "the disk is broken");
    std::memcpy(page, found->second.data(), kBlockSize);
    return true;
  }
  Status Take(FinishedBlock* block) override {
    std::lock_guard lock(store_.mutex);
    if (store_.fails) return MakeError(ErrorCode::kIo, "the disk is full");
    Finished finished{block->state(), block->block().last_lsn};
    if (block->state() == PageState::kCurrent) {
      const PageView page(block->page());
      EXPECT_EQ(page.lsn(), finished.lsn);
      finished.line_pointers = page.line_pointer_count();
    }
    store_.finished[block->tag()] = finished;
    return {};
  }

 private:
  Store& store_;
};

Buffer Insert(uint32_t block, uint16_t offset, bool init = false) {
  const Fields data = Fields().U16(1).U16(0x0802).U8(24).U8(0).Text("content");
  return RecordBuilder(kRmHeap, init ? 0x80 : 0)
      .Block(0, block, data, init)
      .Main(Fields().U16(offset).U8(0))
      .Bytes();
}

Buffer Truncate(uint32_t blocks) {
  return RecordBuilder(kRmSmgr, 0x20)
      .Main(Fields().U32(blocks).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(1))
      .Bytes();
}

class PageReplayTest : public ::testing::TestWithParam<int> {
 protected:
  // Takes the records, whose LSNs are 100, 200, …
  Status Run(const std::vector<Buffer>& records, const std::set<BlockTag>* only = nullptr) {
    ReplayOptions options;
    options.engine = Engine::kNative;
    options.jobs = GetParam();
    options.spill_directory = ::testing::TempDir();
    options.without_bases = without_bases_;
    MemoryBudget memory(0);  // the least that it can do with
    auto replay = PageReplay::Make(
        options, kPg15, &memory, [this] { return std::make_unique<StoreConsumer>(&store_); }, only);
    if (!replay) return tl::unexpected(replay.error());
    RecordView view(kPg15);
    ChangeList others;
    uint64_t lsn = 0;
    for (const Buffer& record : records) {
      lsn += 100;
      EXPECT_FALSE(view.Parse(record));
      EXPECT_FALSE(TakeRelationChanges(view, &others));
      Status taken = (*replay)->Take({Lsn(lsn - 8), Lsn(lsn), record}, view, others);
      if (!taken) return taken;
    }
    Status done = (*replay)->Finish();
    counts_ = (*replay)->counts();
    spoilt_ = (*replay)->spoilt();
    unknown_ = (*replay)->unknown();
    return done;
  }
  const Finished& At(uint32_t block) { return store_.finished.at({kRel, kMainFork, block}); }
  bool Has(uint32_t block) const { return store_.finished.contains({kRel, kMainFork, block}); }

  Store store_;
  ReplayCounts counts_;
  std::set<BlockTag> spoilt_;
  bool without_bases_ = false;
  std::optional<UnknownPage> unknown_;
};

Buffer Visible(uint32_t block) {
  return RecordBuilder(kRmHeap2, 0x40)
      .Block(0, 0, {}, false, kVisibilityMapFork)
      .Block(1, block)
      .Main(Fields().U32(0).U8(1))
      .Bytes();
}

// As a run does that relies on a ledger: the base backup is not read.
TEST_P(PageReplayTest, WithoutBasesARecordMakesThePageFirst) {
  without_bases_ = true;
  ASSERT_TRUE(Run({Insert(1, 1, true), Insert(1, 2), Insert(2, 1, true)}));
  EXPECT_FALSE(unknown_);
  EXPECT_EQ(At(1).line_pointers, 2u);
  EXPECT_EQ(store_.bases_read, 0);
}

TEST_P(PageReplayTest, WithoutBasesWhatNeedsOneIsSaid) {
  without_bases_ = true;
  ASSERT_TRUE(Run({Insert(1, 1, true), Insert(5, 7), Insert(4, 3), Insert(5, 1, true)}));
  ASSERT_TRUE(unknown_);
  EXPECT_EQ(unknown_->tag, (BlockTag{kRel, kMainFork, 5}));
  EXPECT_EQ(unknown_->lsn, Lsn(192));
  EXPECT_EQ(At(5).state, PageState::kCurrent) << "a later record makes it";
  EXPECT_EQ(At(4).state, PageState::kNone);
}

TEST_P(PageReplayTest, WithoutBasesARecordThatChangesNothingNeedsNone) {
  without_bases_ = true;
  ASSERT_TRUE(Run({Visible(9)}));
  EXPECT_EQ(At(9).state, PageState::kNone);
  // Of the map's page nothing is known.
  ASSERT_TRUE(unknown_);
  EXPECT_EQ(unknown_->tag.fork, kVisibilityMapFork);
}

TEST_P(PageReplayTest, PagesComeFromTheConsumerAndGoToIt) {
  std::vector<Buffer> records;
  for (uint32_t block = 0; block < 2000; block++) records.push_back(Insert(block, 1, true));
  ASSERT_TRUE(Run(records));
  EXPECT_EQ(store_.finished.size(), 2000u);
  EXPECT_EQ(store_.bases_read, 0) << "records make all of the pages";
  // Another replay begins with what this one has left.
  const Buffer page = [&] {
    alignas(8) uint8_t bytes[kBlockSize] = {};
    RecordView view(kPg15);
    const Buffer record = Insert(7, 1, true);
    EXPECT_FALSE(view.Parse(record));
    EXPECT_EQ(ApplyNative(view, 0, Lsn(50), bytes, false), NativeResult::kApplied);
    return Buffer(bytes, bytes + kBlockSize);
  }();
  store_.base[{kRel, kMainFork, 7}] = page;
  store_.finished.clear();
  ASSERT_TRUE(Run({Insert(7, 2), Insert(7, 3)}));
  EXPECT_EQ(store_.finished.size(), 1u);
  EXPECT_EQ(At(7).state, PageState::kCurrent);
  EXPECT_EQ(At(7).lsn, Lsn(200));
  EXPECT_EQ(At(7).line_pointers, 3u);
  EXPECT_EQ(store_.bases_read, 1);
  EXPECT_EQ(counts_.engines.Total().native, 2u);
}

TEST_P(PageReplayTest, ReasonsWhyThereIsNoPage) {
  store_.base[{kRel, kMainFork, 1}] = {};  // its base cannot be read
  ASSERT_TRUE(Run({Insert(1, 1), Insert(2, 1),
                   RecordBuilder(kRmHash, 0x50).Block(0, 3, Fields().U8(1)).Bytes(),
                   Insert(4, 9, true),  // no page has a place for it
                   Insert(5, 1, true), Truncate(5)}));
  EXPECT_EQ(At(1).state, PageState::kFailed);
  EXPECT_EQ(At(2).state, PageState::kFailed);
  EXPECT_NE(At(3).state, PageState::kCurrent);
  EXPECT_EQ(At(4).state, PageState::kFailed);
  EXPECT_FALSE(Has(5)) << "WAL has cut it off";
  EXPECT_EQ(counts_.forgotten[static_cast<size_t>(Forgotten::kRelationTruncated)], 1u);
  EXPECT_TRUE(spoilt_.empty());
}

TEST_P(PageReplayTest, OnlyTheBlocksThatAreWanted) {
  const std::set<BlockTag> only = {{kRel, kMainFork, 2}};
  ASSERT_TRUE(Run({Insert(1, 1, true), Insert(2, 1, true), Insert(2, 2)}, &only));
  EXPECT_EQ(store_.finished.size(), 1u);
  EXPECT_EQ(At(2).line_pointers, 2u);
}

TEST_P(PageReplayTest, AConsumersErrorEndsIt) {
  store_.fails = true;
  const Status done = Run({Insert(1, 1, true)});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "the disk is full");
}

INSTANTIATE_TEST_SUITE_P(Jobs, PageReplayTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace neon_redo
