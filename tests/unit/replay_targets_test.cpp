// What a record does to which blocks, as batches of records have it.
#include "cpp_core/replay/targets.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/replay/distributor.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;

class TargetsTest : public ::testing::Test {
 protected:
  void Find(const RecordBuilder& record, bool with_visibility = true) {
    bytes_ = record.Bytes();
    ASSERT_FALSE(view_.Parse(bytes_));
    ASSERT_FALSE(TakeRelationChanges(view_, &others_));
    FindTargets(view_, others_, kPartitions, with_visibility, &targets_);
  }
  // The i-th change is this one, in its partition.
  void ExpectChange(size_t i, const BlockTag& tag, int part, uint16_t line) {
    ASSERT_LT(i, targets_.changes().size());
    const auto& [partition, change] = targets_.changes()[i];
    EXPECT_EQ(partition, PartitionOf(tag, kPartitions));
    EXPECT_TRUE(targets_.partitions >> partition & 1);
    EXPECT_EQ(change.hash, HashTag(tag));
    EXPECT_EQ(change.part, part);
    EXPECT_EQ(change.line, line);
  }

  static constexpr uint32_t kPartitions = 16;
  std::vector<uint8_t> bytes_;
  RecordView view_{kPg15};
  ChangeList others_;
  Targets targets_;
};

TEST_F(TargetsTest, EveryNamedBlockIsTold) {
  for (uint8_t fork : {kMainFork, kFreeSpaceMapFork, kVisibilityMapFork, kInitFork}) {
    Find(RecordBuilder(kRmXlog, 0xb0).Block(0, 7, Fields(), false, fork));
    ASSERT_EQ(targets_.changes().size(), 1u);
    ExpectChange(0, {kRel, fork, 7}, 0,
                 fork == kVisibilityMapFork ? BlockChange::kHeaderOnly : BlockChange::kWholePage);
  }
}

TEST_F(TargetsTest, HeapRecordsNameTheirLinePointers) {
  const auto update = [](uint8_t info) {
    return RecordBuilder(kRmHeap, info)
        .Block(0, 7)
        .Main(Fields().U32(0).U16(3).U8(0).U8(0).U32(0).U16(4));
  };
  Find(update(0x40));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 3);
  Find(update(0x20));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 3);
  Find(update(0x20).Block(1, 200));
  ASSERT_EQ(targets_.changes().size(), 2u);
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 4);
  ExpectChange(1, {kRel, kMainFork, 200}, 1, 3);
  Find(RecordBuilder(kRmHeap, 0x60).Block(0, 7).Main(Fields().U32(0).U16(9).U8(0).U8(0)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 9);
  Find(RecordBuilder(kRmHeap, 0x70).Block(0, 7).Main(Fields().U8(1)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, BlockChange::kHeaderOnly);
}

TEST_F(TargetsTest, PruningNamesTheLastLinePointerThatLosesItsTuple) {
  const auto prune = [](uint16_t redirects, const Fields& data) {
    return RecordBuilder(kRmHeap2, 0x10)
        .Block(0, 7, data)
        .Main(Fields().U32(0).U16(redirects).U16(0));
  };
  Find(prune(1, Fields().U16(5).U16(6)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 5 | BlockChange::kAndBelow);
  Find(prune(1, Fields().U16(5).U16(6).U16(8).U16(9)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 9 | BlockChange::kAndBelow);
  Find(prune(0xffff, Fields().U16(5).U16(6)));  // says more than it has
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 5 | BlockChange::kAndBelow);
  Find(prune(0, Fields().U16(5)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, BlockChange::kHeaderOnly);
}

TEST_F(TargetsTest, OthersNameWhatLittleOfAPageTheyLookAt) {
  Find(RecordBuilder(kRmHeap2, 0x40)
           .Block(0, 0, Fields(), false, kVisibilityMapFork)
           .Block(1, 7)
           .Main(Fields().U32(0).U8(1)));
  ASSERT_EQ(targets_.changes().size(), 2u);
  ExpectChange(0, {kRel, kVisibilityMapFork, 0}, 0, BlockChange::kHeaderOnly);
  ExpectChange(1, {kRel, kMainFork, 7}, 1, BlockChange::kHeaderOnly);
  Find(RecordBuilder(kRmHeap2, 0x20).Block(0, 7, Fields().U16(3)).Main(Fields().U16(1)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, BlockChange::kAndBelow);
  Find(RecordBuilder(kRmBtree, 0x00).Block(0, 7, Fields().U64(1)).Main(Fields().U16(12)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, 12);
  Find(RecordBuilder(kRmBtree, 0x00).Block(0, 7, Fields().U64(1)).Main(Fields().U8(12)));
  ExpectChange(0, {kRel, kMainFork, 7}, 0, BlockChange::kHeaderOnly);
}

TEST_F(TargetsTest, BitsOfTheVisibilityMapAreToldWhenAsked) {
  const RecordBuilder insert =
      RecordBuilder(kRmHeap, 0).Block(0, 40000).Main(Fields().U16(2).U8(1));
  Find(insert);
  ASSERT_EQ(targets_.changes().size(), 2u);
  ExpectChange(0, {kRel, kVisibilityMapFork, MapPageOf(40000)}, -1, BlockChange::kHeaderOnly);
  ExpectChange(1, {kRel, kMainFork, 40000}, 0, 2);
  Find(insert, false);
  ASSERT_EQ(targets_.changes().size(), 1u);
  ExpectChange(0, {kRel, kMainFork, 40000}, 0, 2);
}

TEST_F(TargetsTest, WhatHappensToRelationsIsForAll) {
  Find(RecordBuilder(kRmSmgr, 0x20)
           .Main(Fields().U32(3).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(1)));
  EXPECT_EQ(targets_.partitions, (uint64_t{1} << kPartitions) - 1);
  ASSERT_EQ(targets_.changes().size(), kPartitions);
  for (const Targets::Change& target : targets_.changes())
    EXPECT_EQ(target.change.part, BlockChange::kWholeRecord);
}

}  // namespace
}  // namespace neon_redo
