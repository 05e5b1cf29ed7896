// The rebuilder: what it does natively, what it asks a worker (the fake one, whose answer tells
// what it was asked), and what it gives up.
#include "cpp_core/replay/rebuilder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/relation_files.h"
#include "tests/unit/native_record.h"
#include "tests/unit/programs.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;
using Buffer = std::vector<uint8_t>;

constexpr uint8_t kInitPage = 0x80;

Buffer Insert(uint32_t block, uint16_t offset, bool init = false, uint8_t flags = 0) {
  const Fields data = Fields().U16(1).U16(0x0802).U8(24).U8(0).Text("content");
  return RecordBuilder(kRmHeap, init ? kInitPage : 0)
      .Block(0, block, data, init)
      .Main(Fields().U16(offset).U8(flags))
      .Bytes();
}

// Hash bucket splits are a worker's business.
Buffer Unsupported(uint32_t block) {
  return RecordBuilder(kRmHash, 0x50).Block(0, block, Fields().U8(1)).Bytes();
}

Buffer Visible(uint32_t heap_block, uint8_t flags) {
  return RecordBuilder(kRmHeap2, 0x40)
      .Block(0, heap_block / kHeapBlocksOnMapPage, {}, false, kVisibilityMapFork)
      .Block(1, heap_block)
      .Main(Fields().U32(0).U8(flags))
      .Bytes();
}

// A page of the visibility map with all bits set.
Buffer FullMap() {
  Buffer map(kBlockSize, 0xff);
  const uint16_t header[] = {0, 0, 24, 8192, 8192, 0x2004};  // checksum … pd_pagesize_version
  std::memset(map.data(), 0, 24);
  std::memcpy(map.data() + 8, header, sizeof(header));
  return map;
}

class RebuilderTest : public ::testing::Test {
 protected:
  RebuilderTest() : worker_(FakeOptions()) { std::filesystem::create_directories(Path()); }

  static WorkerOptions FakeOptions() {
    WorkerOptions options;
    options.command = std::string("exec ") + kFakeWorker + " exit";
    return options;
  }
  std::string Path() const { return directory_.path() + "/base/5"; }

  BasePageReader Base() {
    return [this](const BlockTag& tag, uint8_t* page) -> Result<bool> {
      const auto found = files_.Read(tag, page);
      if (!found) return tl::unexpected(found.error());
      return *found == RelationFiles::Found::kPage;
    };
  }

  Rebuilder& Make(Engine engine, bool reads_once = false, bool hints_logged = false) {
    rebuilder_ = std::make_unique<Rebuilder>(Rebuilder::Options{
        engine, Base(), 0, 1, nullptr, &memory_, ::testing::TempDir(), reads_once, hints_logged});
    return *rebuilder_;
  }
  // A file of the base backup.
  void WriteBase(const std::vector<Buffer>& pages, const char* suffix = "") {
    std::ofstream out(Path() + "/16384" + suffix, std::ios::binary);
    for (const Buffer& page : pages)
      out.write(reinterpret_cast<const char*>(page.data()), kBlockSize);
  }
  Status Take(const Buffer& bytes, uint64_t end) {
    RecordView view(kPg15);
    EXPECT_FALSE(view.Parse(bytes));
    return rebuilder_->Take({Lsn(end - 8), Lsn(end), bytes}, view, &worker_);
  }
  BlockState& State(uint32_t block, uint8_t fork = kMainFork) {
    return rebuilder_->blocks().Find({kRel, fork, block})->value;
  }
  PageState StateOf(uint32_t block) {
    return rebuilder_->StateOf(*rebuilder_->blocks().Find({kRel, kMainFork, block}));
  }
  const uint8_t* PageOf(uint32_t block, uint8_t fork = kMainFork) {
    return rebuilder_->pages().Get(&State(block, fork).page);
  }
  // What the fake worker answers to these records over this base.
  Buffer Answer(uint32_t block, const uint8_t* base, const std::vector<Buffer>& bytes,
                uint64_t first_end, uint8_t fork = kMainFork) {
    std::vector<RedoRecord> records;
    for (const Buffer& b : bytes) {
      records.push_back({Lsn(first_end), b});
      first_end += 100;
    }
    Buffer page(kBlockSize);
    EXPECT_TRUE(worker_.Redo({{kRel, fork, block}, base, records}, page.data()));
    return page;
  }

  TempDirectory directory_;
  const std::unique_ptr<BaseBackup> base_ = DataDirectory(directory_.path());
  RelationFiles files_{base_.get(), &kPg15};
  MemoryBudget memory_{0};
  std::unique_ptr<Rebuilder> rebuilder_;
  RedoWorker worker_;
  PageOrder order_;
};

TEST_F(RebuilderTest, AppliesNatively) {
  Rebuilder& rebuilder = Make(Engine::kAuto);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  ASSERT_TRUE(Take(Insert(3, 2), 200));
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  const PageView page(PageOf(3));
  EXPECT_EQ(page.lsn(), Lsn(200));
  EXPECT_EQ(page.line_pointer_count(), 2u);
  EXPECT_EQ(State(3).last_start, Lsn(192));
  EXPECT_EQ(State(3).last_rmid, kRmHeap);
  EXPECT_EQ(State(3).mask_rmid, kRmHeap);
  EXPECT_EQ(rebuilder.counts().Total().native, 2u);
  EXPECT_EQ(rebuilder.counts().Total().total(), 2u);
  EXPECT_EQ(worker_.statistics().launches, 0u);
}

TEST_F(RebuilderTest, WhatWaitsForTheWorkerWaitsInOrder) {
  Rebuilder& rebuilder = Make(Engine::kAuto);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  const Buffer base(PageOf(3), PageOf(3) + kBlockSize);
  ASSERT_TRUE(Take(Unsupported(3), 200));
  ASSERT_TRUE(Take(Insert(3, 2), 300));
  ASSERT_TRUE(Take(Insert(4, 1, true), 400));  // goes on natively meanwhile
  const ChangeCounts counts = rebuilder.counts().Total();
  EXPECT_EQ(counts.native, 2u);
  EXPECT_EQ(counts.unsupported, 1u);
  EXPECT_EQ(counts.behind, 1u);
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  const Buffer expected = Answer(3, base.data(), {Unsupported(3), Insert(3, 2)}, 200);
  EXPECT_EQ(Buffer(PageOf(3), PageOf(3) + kBlockSize), expected);
  EXPECT_EQ(PageView(PageOf(4)).lsn(), Lsn(400));
}

TEST_F(RebuilderTest, AnAnswerThatCameTooLateIsDropped) {
  Rebuilder& rebuilder = Make(Engine::kAuto);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  ASSERT_TRUE(Take(Unsupported(3), 200));
  ASSERT_TRUE(Take(Insert(3, 1, true), 300));
  ASSERT_TRUE(Take(Unsupported(5), 400));
  ASSERT_TRUE(Take(RecordBuilder(kRmSmgr, 0x10)
                       .Main(Fields().U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(kInitFork))
                       .Bytes(),
                   500));
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  EXPECT_EQ(PageView(PageOf(3)).lsn(), Lsn(300));
  EXPECT_EQ(PageView(PageOf(3)).line_pointer_count(), 1u);
}

TEST_F(RebuilderTest, TheWorkersRefusalIsRemembered) {
  Rebuilder& rebuilder = Make(Engine::kAuto);
  ASSERT_TRUE(Take(Insert(666, 1, true), 100));
  ASSERT_TRUE(Take(Unsupported(666), 200));  // the fake worker dies of this block
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  ASSERT_NE(State(666).failure, 0u);
  EXPECT_NE(rebuilder.failure(State(666).failure).what.find("666"), std::string::npos);
  ASSERT_TRUE(Take(Insert(666, 2), 300));
  EXPECT_FALSE(State(666).page.present());
  ASSERT_TRUE(Take(Insert(666, 1, true), 400));  // made anew
  EXPECT_EQ(State(666).failure, 0u);
  EXPECT_EQ(PageView(PageOf(666)).lsn(), Lsn(400));
}

TEST_F(RebuilderTest, AWorkerThatCannotBeRunEndsIt) {
  Make(Engine::kAuto);
  WorkerOptions options;
  options.command = "exit 3";
  RedoWorker broken(options);
  ASSERT_TRUE(Take(Unsupported(3), 200));
  EXPECT_FALSE(rebuilder_->Flush(&broken));
}

TEST_F(RebuilderTest, NativeAloneSaysWhatItDoesNotDo) {
  Rebuilder& rebuilder = Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  ASSERT_TRUE(Take(Unsupported(3), 200));
  ASSERT_TRUE(Take(Insert(3, 2), 300));
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  EXPECT_EQ(StateOf(3), PageState::kUnsupported);
  EXPECT_EQ(rebuilder.failure(State(3).failure).rmid, kRmHash);
  EXPECT_EQ(rebuilder.failure(State(3).failure).what,
            "not supported by the native engine: Hash SPLIT_PAGE");
  EXPECT_EQ(State(3).last_lsn, Lsn(300));
  ASSERT_TRUE(Take(Insert(7, 9), 400));  // neither in the backup nor in WAL
  EXPECT_EQ(StateOf(7), PageState::kFailed);
  EXPECT_EQ(worker_.statistics().launches, 0u);
}

TEST_F(RebuilderTest, WhatDoesNotFitIsForAnotherPass) {
  Make(Engine::kAuto);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  ASSERT_TRUE(Take(Insert(3, 77), 200));  // there are no line pointers up to there
  EXPECT_TRUE(State(3).spoilt);
  EXPECT_FALSE(State(3).page.present());
  ASSERT_TRUE(Take(Insert(3, 2), 300));
  EXPECT_EQ(State(3).last_lsn, Lsn(300));
  ASSERT_TRUE(Take(Insert(3, 1, true), 400));
  EXPECT_FALSE(State(3).spoilt);
  EXPECT_EQ(PageView(PageOf(3)).lsn(), Lsn(400));

  const std::set<BlockTag> only = {{kRel, kMainFork, 3}};
  Rebuilder second({Engine::kWorker, Base(), 0, 1, &only, &memory_, "/tmp"});
  RecordView view(kPg15);
  for (uint32_t block : {3u, 4u}) {
    const Buffer bytes = Insert(block, 1, true);
    ASSERT_FALSE(view.Parse(bytes));
    ASSERT_TRUE(second.Take({Lsn(92), Lsn(100), bytes}, view, &worker_));
  }
  EXPECT_NE(second.blocks().Find({kRel, kMainFork, 3}), nullptr);
  EXPECT_EQ(second.blocks().Find({kRel, kMainFork, 4}), nullptr);
  EXPECT_EQ(second.counts().Total().chosen, 1u);
}

// The worker gets the page as it was before, and its answer goes on from there.
TEST_F(RebuilderTest, WhatDoesNotFitIsForTheWorkerWhereThereIsNoOtherPass) {
  Rebuilder& rebuilder = Make(Engine::kAuto, true);
  ASSERT_TRUE(Take(Insert(3, 1, true), 100));
  const Buffer base(PageOf(3), PageOf(3) + kBlockSize);
  ASSERT_TRUE(Take(Insert(3, 77), 200));
  EXPECT_FALSE(State(3).spoilt);
  ASSERT_TRUE(Take(Insert(3, 2), 300));
  ASSERT_TRUE(rebuilder.Flush(&worker_));
  const Buffer expected = Answer(3, base.data(), {Insert(3, 77), Insert(3, 2)}, 200);
  EXPECT_EQ(Buffer(PageOf(3), PageOf(3) + kBlockSize), expected);
  EXPECT_EQ(rebuilder.counts().Total().malformed, 1u);
}

TEST_F(RebuilderTest, TheBaseIsReadOnceAndNotAfterATruncation) {
  testing::TestPage page;
  ASSERT_EQ(testing::Apply(Insert(0, 1, true), 0, 50, &page, false), NativeResult::kApplied);
  const Buffer bytes(page.bytes, page.bytes + kBlockSize);
  WriteBase({bytes, bytes});
  Rebuilder& rebuilder = Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(0, 2), 100));
  EXPECT_EQ(PageView(PageOf(0)).line_pointer_count(), 2u);
  ASSERT_TRUE(Take(RecordBuilder(kRmSmgr, 0x20)
                       .Main(Fields().U32(1).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(1))
                       .Bytes(),
                   200));
  ASSERT_TRUE(Take(Insert(1, 2), 300));
  EXPECT_EQ(rebuilder.failure(State(1).failure).what,
            "the base backup has no such block and no record makes it");
  EXPECT_EQ(PageView(PageOf(0)).lsn(), Lsn(100));
}

TEST_F(RebuilderTest, VisibilityBitsAreClearedInBetween) {
  WriteBase({FullMap()}, "_vm");
  for (Engine engine : {Engine::kNative, Engine::kWorker}) {
    Make(engine);
    ASSERT_TRUE(Take(Insert(5, 1, true, 1), 100));  // clears both bits of block 5
    EXPECT_EQ(PageOf(0, kVisibilityMapFork)[24 + 1], 0xff & ~(3 << 2));
    EXPECT_EQ(State(0, kVisibilityMapFork).last_lsn, Lsn(100));
    EXPECT_EQ(State(0, kVisibilityMapFork).last_start, Lsn(92));
    EXPECT_EQ(State(0, kVisibilityMapFork).last_rmid, kRmHeap);
  }
  Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(5, 1, true, 1), 100));
  ASSERT_TRUE(Take(Visible(5, 1), 200));
  EXPECT_EQ(PageOf(0, kVisibilityMapFork)[24 + 1], 0xff & ~(2 << 2));
  EXPECT_EQ(PageView(PageOf(0, kVisibilityMapFork)).lsn(), Lsn(200));
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kLater);
  EXPECT_EQ(State(5).hint_lsn, Lsn(200));
}

// Where hints are logged the server stamps a heap page that becomes all-visible, and writes it.
TEST_F(RebuilderTest, APageThatBecomesAllVisibleMovesTheServersLsn) {
  Make(Engine::kNative, false, true);
  ASSERT_TRUE(Take(Insert(5, 1, true), 100));
  ASSERT_TRUE(Take(Visible(5, 1), 200));
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kMoved);
  EXPECT_EQ(State(5).hint_lsn, Lsn(200));
  ASSERT_TRUE(Take(Visible(5, 2), 300));  // all-frozen alone: the page need not be written
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kBetween);
  EXPECT_EQ(State(5).hint_lsn, Lsn(200));
}

// What an earlier record allowed holds after one that does not touch the page's LSN.
TEST_F(RebuilderTest, WhatIsAllowedAddsUp) {
  alignas(8) uint8_t page[kBlockSize];
  Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(5, 1, true), 100));
  std::memcpy(page, PageOf(5), kBlockSize);
  ASSERT_TRUE(Take(RecordBuilder(kRmXlog, 0xa0).Image(0, 5, page).Bytes(), 200));
  ASSERT_TRUE(Take(Visible(5, 1), 300));
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kBetween);
  EXPECT_EQ(State(5).hint_lsn, Lsn(100));
  // A bucket's first page is named by records that change other pages of it.
  for (uint8_t operation : {0x90, 0x70, 0x80}) {
    const Buffer lock = RecordBuilder(kRmHash, operation)
                            .Block(0, 5)
                            .Block(1, 6, Fields().U16(1))
                            .Main(Fields().U32(0).U32(0).U32(0))
                            .Bytes();
    static_cast<void>(Take(lock, 400));
    EXPECT_EQ(State(5).lsn_rule, LsnRule::kBetween);
    EXPECT_EQ(State(5).last_lsn, Lsn(300));
  }
}

// Where a record makes no page dirty, the page may have any of the LSNs that it might have had before.
TEST_F(RebuilderTest, ARecordThatMovesNothingKeepsWhatIsAllowed) {
  const Buffer hint = RecordBuilder(kRmXlog, 0xa0).Block(0, 5).Bytes();
  // xl_hash_squeeze_page: no tuples, and the page that they would move to is the bucket's first.
  const Buffer squeeze = RecordBuilder(kRmHash, 0x80)
                             .Block(1, 5)
                             .Main(Fields().U32(8).U32(9).U16(0).U8(1).U8(0))
                             .Bytes();
  const auto earliest = [&](int hints) {
    Make(Engine::kNative);
    EXPECT_TRUE(Take(Insert(5, 1, true), 100));
    for (int i = 0; i < hints; i++) EXPECT_TRUE(Take(hint, 200 + 10 * static_cast<uint64_t>(i)));
    static_cast<void>(Take(squeeze, 300));
    EXPECT_EQ(State(5).lsn_rule, LsnRule::kEarlier);
    return State(5).hint_lsn;
  };
  EXPECT_EQ(earliest(0), Lsn(100));
  EXPECT_EQ(earliest(1), Lsn(1));  // the server may have left 100
  EXPECT_EQ(earliest(2), Lsn(1));
  static_cast<void>(Take(hint, 400));
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kBetween);
  static_cast<void>(Take(squeeze, 500));
  EXPECT_EQ(State(5).hint_lsn, Lsn(1));
}

// Redo moves the LSN to the end of a record that logs hints, the server perhaps not.
TEST_F(RebuilderTest, HintsNeedNotMoveTheLsn) {
  alignas(8) uint8_t page[kBlockSize];
  Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(5, 1, true), 100));
  EXPECT_FALSE(State(5).hint_lsn.valid());
  std::memcpy(page, PageOf(5), kBlockSize);
  LinePointer tuple{};
  ASSERT_TRUE(PageView(page).line_pointer(1, &tuple));
  uint8_t* const infomask = page + tuple.offset() + 20;
  infomask[1] |= 0x01;  // HEAP_XMIN_COMMITTED
  const Buffer hint = RecordBuilder(kRmXlog, 0xa0).Image(0, 5, page).Bytes();
  ASSERT_TRUE(Take(hint, 200));
  ASSERT_TRUE(Take(hint, 300));  // by another backend at once
  EXPECT_EQ(PageView(PageOf(5)).lsn(), Lsn(300));
  EXPECT_EQ(State(5).hint_lsn, Lsn(100));
  const auto compare = [&](uint64_t disk) {
    SetPageLsn(page, Lsn(disk));
    return CompareWithDisk(kRmHeap, {kRel, kMainFork, 5}, {State(5).tolerated(), State(5).last_lsn},
                           PageOf(5), page);
  };
  for (uint64_t disk : {100, 200, 300}) EXPECT_FALSE(compare(disk));
  infomask[1] |= 0x08;  // HEAP_XMAX_INVALID: another hint since
  for (uint64_t disk : {100, 200, 300}) EXPECT_FALSE(compare(disk));
  infomask[1] &= 0xfe;  // without the hint that was logged it is an old copy
  for (uint64_t disk : {100, 200}) EXPECT_EQ(compare(disk), 4u);
  EXPECT_FALSE(compare(300));
  ASSERT_TRUE(Take(RecordBuilder(kRmXlog, 0xa0).Block(0, 5).Bytes(), 400));
  EXPECT_EQ(State(5).lsn_rule, LsnRule::kBetween);
  EXPECT_EQ(State(5).hint_lsn, Lsn(100));
  ASSERT_TRUE(Take(Insert(5, 2, false), 500));
  EXPECT_FALSE(State(5).hint_lsn.valid());
  SetPageLsn(page, Lsn(0));
  ASSERT_TRUE(Take(RecordBuilder(kRmXlog, 0xa0).Image(0, 5, page).Bytes(), 600));
  EXPECT_EQ(State(5).hint_lsn, Lsn(1));
}

TEST_F(RebuilderTest, AClearWaitsForTheWorkersAnswer) {
  WriteBase({FullMap()}, "_vm");
  Make(Engine::kWorker);
  ASSERT_TRUE(Take(Visible(5, 1), 100));
  ASSERT_NE(State(0, kVisibilityMapFork).request, BlockState::kNone);
  ASSERT_TRUE(Take(Insert(5, 1, true, 1), 200));
  EXPECT_EQ(State(0, kVisibilityMapFork).request, BlockState::kNone);
  Buffer expected = Answer(0, FullMap().data(), {Visible(5, 1)}, 100, kVisibilityMapFork);
  ClearVisibilityBits(expected.data(), 5, kAllVisibilityBits);
  const uint8_t* page = PageOf(0, kVisibilityMapFork);
  EXPECT_EQ(Buffer(page, page + kBlockSize), expected);
}

TEST_F(RebuilderTest, AMapWithoutAFileBeginsEmpty) {
  Make(Engine::kNative);
  ASSERT_TRUE(Take(Insert(5, 1, true, 1), 100));
  EXPECT_FALSE(State(0, kVisibilityMapFork).page.present());
  ASSERT_TRUE(Take(Visible(5, 1), 200));
  EXPECT_EQ(PageOf(0, kVisibilityMapFork)[24 + 1], 1 << 2);
}

Buffer Truncate(uint32_t block) {
  return RecordBuilder(kRmSmgr, 0x20)
      .Main(Fields().U32(block).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(3))
      .Bytes();
}

// A full-page image with that many tuples.
Buffer Image(uint32_t block, uint16_t tuples) {
  alignas(64) uint8_t page[kBlockSize];
  for (uint16_t n = 1; n <= tuples; n++) {
    const Buffer insert = Insert(block, n, n == 1);
    RecordView view(kPg15);
    EXPECT_FALSE(view.Parse(insert));
    EXPECT_EQ(ApplyNative(view, 0, Lsn(n), page, n > 1), NativeResult::kApplied);
  }
  return RecordBuilder(kRmXlog, 0xb0).Image(0, block, page).Bytes();
}

// Inserts, some of which clear visibility bits; images; records that set such bits, or truncate the
// relation. None for the worker: the fake one's answer is no page to go on with.
std::vector<Buffer> Mixture(int count, uint32_t blocks) {
  std::mt19937 random(8);
  std::vector<Buffer> bytes;
  std::vector<uint16_t> tuples(blocks);
  for (int n = 0; n < count; n++) {
    const uint32_t block = random() % blocks;
    if (n % 1000 == 999) {
      bytes.push_back(Truncate(block));
      std::fill(tuples.begin() + block, tuples.end(), 0);
    } else if (tuples[block] > 0 && random() % 8 == 0) {
      bytes.push_back(Visible(block, 1 + random() % 3));
    } else if (random() % 16 == 0) {
      tuples[block] = 1 + random() % 4;
      bytes.push_back(Image(block, tuples[block]));
    } else {
      if (tuples[block] == 100) tuples[block] = 0;
      tuples[block]++;
      bytes.push_back(Insert(block, tuples[block], tuples[block] == 1, random() % 2));
    }
  }
  return bytes;
}

// What nobody could tell the blocks of, a batch gives to the rebuilder whole, and it says why not.
TEST_F(RebuilderTest, RefusesARecordThatIsTooShort) {
  const Buffer bytes = RecordBuilder(kRmSmgr, 0x20).Main(Fields().U32(3)).Bytes();
  RecordView view(kPg15);
  ASSERT_FALSE(view.Parse(bytes));
  RecordBatch batch;
  batch.Add({Lsn(1000), Lsn(1100), bytes});
  batch.Add({0, 0, BlockChange::kWholeRecord, BlockChange::kHeaderOnly});
  const Status taken = Make(Engine::kAuto).TakeAll(batch, &view, &order_, &worker_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kCorrupt);
}

class RebuilderBatchTest : public RebuilderTest {
 protected:
  RebuilderBatchTest() : bytes_(Mixture(6000, 40)) {
    WriteBase({FullMap()}, "_vm");
    for (const Buffer& record : bytes_)
      records_.push_back(
          {Lsn(1000 + 8 * records_.size()), Lsn(1008 + 8 * records_.size()), record});
    Make(Engine::kAuto);
    for (size_t n = 0; n < records_.size(); n++)
      EXPECT_TRUE(Take(bytes_[n], records_[n].end.value));
    EXPECT_TRUE(rebuilder_->Flush(&worker_));
    one_by_one_ = std::move(rebuilder_);
  }

  // Takes the records in batches of different sizes, images ahead of their batch where they may be.
  // Returns how many went ahead.
  int TakeInBatches(bool images_ahead) {
    Rebuilder& rebuilder = Make(Engine::kAuto);
    int ahead = 0;
    RecordView view(kPg15);
    for (size_t at = 0, count = 1; at < records_.size(); at += count, count = count * 3 % 2003) {
      count = std::min(count, records_.size() - at);
      RecordBatch batch;
      ChangeList others;
      Targets targets;
      for (const WalRecord& record : std::span(records_).subspan(at, count)) {
        EXPECT_TRUE(ParseRecord(record, &view));
        EXPECT_FALSE(TakeRelationChanges(view, &others));
        FindTargets(view, others, 1, true, &targets);
        if (images_ahead && view.rmid() == kRmXlog && !batch.has_whole_records()) {
          ahead += rebuilder.TakeAhead(record, view, targets.changes()[0].change, &worker_).value();
          continue;
        }
        batch.Add(record);
        for (const Targets::Change& target : targets.changes()) batch.Add(target.change);
      }
      EXPECT_TRUE(rebuilder.TakeAll(batch, &view, &order_, &worker_));
    }
    EXPECT_TRUE(rebuilder.Flush(&worker_));
    return ahead;
  }

  void ExpectAsOneByOne() {
    const auto expected = one_by_one_->blocks().Sorted(), got = rebuilder_->blocks().Sorted();
    ASSERT_EQ(got.size(), expected.size());
    size_t pages = 0;
    for (size_t i = 0; i < got.size(); i++) {
      BlockState &e = expected[i]->value, &g = got[i]->value;
      ASSERT_EQ(got[i]->tag, expected[i]->tag);
      EXPECT_EQ(g.last_start, e.last_start);
      EXPECT_EQ(g.last_lsn, e.last_lsn);
      EXPECT_EQ(g.mask_rmid, e.mask_rmid);
      EXPECT_EQ(g.spoilt, e.spoilt);
      ASSERT_EQ(g.page.present(), e.page.present());
      if (!g.page.present()) continue;
      pages++;
      const uint8_t* page = rebuilder_->pages().Get(&g.page);
      EXPECT_EQ(std::memcmp(page, one_by_one_->pages().Get(&e.page), kBlockSize), 0)
          << "block " << got[i]->tag.block;
    }
    EXPECT_GT(pages, 1u);
    EXPECT_EQ(rebuilder_->counts().Total().native, one_by_one_->counts().Total().native);
    for (size_t i = 0; i < kForgottenReasons; i++) {
      const auto reason = static_cast<Forgotten>(i);
      EXPECT_EQ(rebuilder_->forgotten(reason), one_by_one_->forgotten(reason));
    }
  }

  const std::vector<Buffer> bytes_;
  std::vector<WalRecord> records_;
  std::unique_ptr<Rebuilder> one_by_one_;
};

// Page by page it comes to what it comes to record by record.
TEST_F(RebuilderBatchTest, TakesBatchesAsItTakesRecords) {
  EXPECT_EQ(TakeInBatches(false), 0);
  ExpectAsOneByOne();
}

// Also where an image is taken before older records of its block.
TEST_F(RebuilderBatchTest, TakesImagesAhead) {
  EXPECT_GT(TakeInBatches(true), 100);
  ExpectAsOneByOne();
}

TEST_F(RebuilderTest, TheWorkersImagesComeInTheirTurn) {
  Make(Engine::kWorker);
  const Buffer bytes = Image(3, 2);
  RecordView view(kPg15);
  ASSERT_FALSE(view.Parse(bytes));
  Targets targets;
  FindTargets(view, {}, 1, true, &targets);
  const WalRecord record = {Lsn(1000), Lsn(1100), bytes};
  EXPECT_FALSE(rebuilder_->TakeAhead(record, view, targets.changes()[0].change, &worker_).value());
  EXPECT_EQ(rebuilder_->blocks().size(), 0u);
}

}  // namespace
}  // namespace neon_redo
