// Records over partitions and threads: each partition gets what is its own, in order, once.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "cpp_core/pg/rmgr.h"
#include "cpp_core/replay/distributor.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::RecordBuilder;

// Of the main data of record number n, which begins with n. Some are larger than a small batch.
size_t MainSize(uint64_t n) { return n % 5003 == 0 ? 200000 : 8 + n % 37; }

struct Collector : Partition {
  Status Take(const WalRecord& record, const RecordView& view, Lane*) override {
    if (record.start == fail_at) return MakeError(ErrorCode::kCorrupt, "as told");
    starts.push_back(record.start.value);
    if (view.main_data().size() != MainSize(record.start.value) ||
        LoadNative<uint64_t>(view.main_data().data()) != record.start.value)
      wrong++;
    return {};
  }
  Status TakeAll(const RecordBatch& batch, Lane* lane) override {
    taken_at_once++;
    size_t i = 0;
    for (uint32_t at = 0; at < batch.end(); at = batch.Next(at), i++) {
      const BlockChange& change = batch.changes()[i];
      const uint64_t hash = batch.record(at).start.value << 8 | number;
      if (change.record != at || change.hash != hash) wrong++;
    }
    if (i != batch.changes().size()) wrong++;
    return Partition::TakeAll(batch, lane);
  }
  bool prefers_batches() const override { return batches; }
  Status Finish(Lane*) override {
    finished++;
    return {};
  }
  uint32_t number = 0;
  bool batches = true;
  std::vector<uint64_t> starts;
  int wrong = 0, finished = 0, taken_at_once = 0;
  Lsn fail_at{~uint64_t{0}};
};

struct Rig {
  explicit Rig(int jobs, bool batches = true, uint64_t memory = uint64_t{1} << 30)
      : count(Distributor::PartitionsFor(jobs, memory)) {
    options.jobs = jobs;
    options.memory = memory;
    for (uint32_t i = 0; i < count; i++) {
      collectors.push_back(std::make_unique<Collector>());
      collectors.back()->number = i;
      collectors.back()->batches = batches;
      pointers.push_back(collectors.back().get());
    }
  }
  // Record number n goes to the partitions whose bit is set in TargetsOf(n), with a change for each
  // that names both.
  uint64_t TargetsOf(uint64_t n) const {
    const uint64_t all = ~uint64_t{0} >> (64 - count);
    return n % 1000 == 0 ? all : (n * 0x9e3779b97f4a7c15u >> 7) & (n * 0xd6e8feb86659fd93u) & all;
  }
  Status Run(uint64_t records) {
    Distributor distributor(options, kPg15, pointers);
    RecordView view(kPg15);
    for (uint64_t n = 1; n <= records; n++) {
      std::vector<uint8_t> main(MainSize(n));
      std::memcpy(main.data(), &n, sizeof(n));
      const auto bytes =
          RecordBuilder(kRmXact, 0).Main(Fields().Raw(main.data(), main.size())).Bytes();
      EXPECT_FALSE(view.Parse(bytes));
      Targets targets;
      for (uint32_t p = 0; p < count; p++)
        if (TargetsOf(n) >> p & 1) targets.Add(p, {n << 8 | p, 0, -1, 0});
      Status sent = distributor.Send({Lsn(n), Lsn(n + 1), bytes}, view, targets);
      if (!sent) return sent;
    }
    return distributor.Finish();
  }
  ReplayOptions options;
  uint32_t count;
  std::vector<std::unique_ptr<Collector>> collectors;
  std::vector<Partition*> pointers;
};

// With little memory batches are small, and fill up before the end.
TEST(Distributor, EachPartitionGetsItsOwnInOrder) {
  struct Setup {
    int jobs;
    bool batches;
    uint64_t memory;
  };
  constexpr uint64_t kMuch = uint64_t{1} << 30, kLittle = uint64_t{1} << 26;
  for (const auto& [jobs, batches, memory] : {Setup{1, true, kMuch},
                                              {1, true, kLittle},
                                              {2, true, kMuch},
                                              {2, true, kLittle},
                                              {5, true, kMuch},
                                              {1, false, kMuch}}) {
    Rig rig(jobs, batches, memory);
    constexpr uint64_t kRecords = 30000;
    ASSERT_TRUE(rig.Run(kRecords));
    for (const auto& collector : rig.collectors) {
      if (memory == kLittle) {
        EXPECT_GT(collector->taken_at_once, 1) << jobs << " jobs";
      }
    }
    for (uint32_t p = 0; p < rig.count; p++) {
      std::vector<uint64_t> expected;
      for (uint64_t n = 1; n <= kRecords; n++)
        if (rig.TargetsOf(n) >> p & 1) expected.push_back(n);
      EXPECT_EQ(rig.collectors[p]->starts, expected) << jobs << " jobs, partition " << p;
      EXPECT_EQ(rig.collectors[p]->wrong, 0);
      EXPECT_EQ(rig.collectors[p]->finished, 1);
    }
  }
}

// Sends records that each change block 0 of a fork, or the whole relation; tells which of them went
// ahead of the batch.
std::vector<uint64_t> SentAhead(int jobs, const std::vector<std::vector<uint8_t>>& records) {
  struct Taker : Partition {
    Status Take(const WalRecord&, const RecordView&, Lane*) override { return {}; }
    bool prefers_batches() const override { return true; }
    Result<bool> TakeAhead(const WalRecord& record, const RecordView&, const BlockChange&,
                           Lane*) override {
      ahead.push_back(record.start.value);
      return true;
    }
    Status Finish(Lane*) override { return {}; }
    std::vector<uint64_t> ahead;
  } taker;
  ReplayOptions options;
  options.jobs = jobs;
  Distributor distributor(options, kPg15, {&taker});
  RecordView view(kPg15);
  Targets targets;
  for (uint64_t n = 0; n < records.size(); n++) {
    EXPECT_FALSE(view.Parse(records[n]));
    ChangeList others;
    EXPECT_FALSE(TakeRelationChanges(view, &others));
    FindTargets(view, others, 1, true, &targets);
    EXPECT_TRUE(distributor.Send({Lsn(n), Lsn(n + 1), records[n]}, view, targets));
  }
  EXPECT_TRUE(distributor.Finish());
  return taker.ahead;
}

TEST(Distributor, ImagesGoAheadOfWhatDoesNotMatterToThem) {
  const std::vector<uint8_t> page(kBlockSize);
  const auto image = RecordBuilder(kRmXlog, 0xb0).Image(0, 0, page.data()).Bytes();
  const auto map_image =
      RecordBuilder(kRmXlog, 0xb0).Image(0, 0, page.data(), kVisibilityMapFork).Bytes();
  const auto change =
      RecordBuilder(kRmHeap, 0).Block(0, 0, Fields().U64(1)).Main(Fields().U16(1).U8(0)).Bytes();
  const auto drop =
      RecordBuilder(kRmSmgr, 0x20).Main(Fields().U32(0).U32(1663).U32(5).U32(16384).U32(7)).Bytes();
  using Which = std::vector<uint64_t>;
  EXPECT_EQ(SentAhead(1, {change, image, change, image}), (Which{1, 3}));
  EXPECT_EQ(SentAhead(1, {image, map_image}), (Which{0}));
  EXPECT_EQ(SentAhead(1, {image, drop, image, change, image}), (Which{0}));
  EXPECT_EQ(SentAhead(2, {change, image}), (Which{}));
}

TEST(Distributor, AnErrorOfAnImageThatGoesAheadEndsIt) {
  struct Refuser : Partition {
    Status Take(const WalRecord&, const RecordView&, Lane*) override { return {}; }
    bool prefers_batches() const override { return true; }
    Result<bool> TakeAhead(const WalRecord&, const RecordView&, const BlockChange&,
                           Lane*) override {
      return MakeError(ErrorCode::kWorker, "as told");
    }
    Status Finish(Lane*) override { return {}; }
  } refuser;
  Distributor distributor(ReplayOptions(), kPg15, {&refuser});
  const std::vector<uint8_t> page(kBlockSize);
  const auto image = RecordBuilder(kRmXlog, 0xb0).Image(0, 0, page.data()).Bytes();
  RecordView view(kPg15);
  ASSERT_FALSE(view.Parse(image));
  Targets targets;
  FindTargets(view, {}, 1, true, &targets);
  const Status sent = distributor.Send({Lsn(1), Lsn(2), image}, view, targets);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().message, "as told");
}

TEST(Distributor, AnErrorEndsIt) {
  for (int jobs : {1, 3}) {
    Rig rig(jobs);
    for (auto& collector : rig.collectors) collector->fail_at = Lsn(5000);
    const Status status = rig.Run(40000);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "as told");
  }
}

TEST(Distributor, NeighboursAreInOnePartition) {
  uint64_t used = 0;
  for (uint32_t block = 0; block < 64 * 200; block++) {
    const BlockTag tag{{1663, 5, 16384}, kMainFork, block};
    const uint32_t partition = PartitionOf(tag, 16);
    ASSERT_LT(partition, 16u);
    ASSERT_EQ(partition, PartitionOf({tag.rel, tag.fork, block / 64 * 64}, 16));
    ASSERT_EQ(PartitionOf(tag, 1), 0u);
    used |= uint64_t{1} << partition;
  }
  EXPECT_EQ(used, 0xffffu);
}

}  // namespace
}  // namespace neon_redo
