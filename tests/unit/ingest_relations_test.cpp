// What records do to relation files and visibility maps that they do not name, without what earlier
// records say: TakeRelationChanges, and that it agrees with Ingest.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "cpp_core/pg/rmgr.h"
#include "neon_redo/ingest.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;
using Texts = std::vector<std::string>;

// The changes of a record, as text.
Texts Take(const RecordBuilder& builder) {
  const std::vector<uint8_t> bytes = builder.Bytes();
  RecordView view(kPg15);
  EXPECT_FALSE(view.Parse(bytes));
  ChangeList changes;
  if (const RecordFault fault = TakeRelationChanges(view, &changes))
    return {std::string("fault: ") + fault.what};
  Texts texts;
  for (const Change& change : changes)
    texts.push_back(DescribeChange(change) +
                    (change.flags == kNewRelationFile && change.kind == ChangeKind::kCreateFork
                         ? ", new"
                         : ""));
  return texts;
}

Fields Rel() { return Fields().U32(kRel.spc).U32(kRel.db).U32(kRel.rel); }

TEST(RelationChanges, CreateAndTruncate) {
  EXPECT_EQ(Take(RecordBuilder(kRmSmgr, 0x10).Main(Rel().U32(3))),
            Texts{"create_fork 1663/5/16384 (init fork), new"});
  const Texts cut =
      Take(RecordBuilder(kRmSmgr, 0x20)
               .Main(Fields().U32(77).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(3)));
  ASSERT_EQ(cut.size(), 4u);
  EXPECT_EQ(cut[0], "create_fork 1663/5/16384 (main fork)");
  EXPECT_EQ(cut[1], "truncate_fork 1663/5/16384 (main fork) to 77 blocks");
  EXPECT_TRUE(cut[2].starts_with("truncate_visibility block 0")) << cut[2];
  EXPECT_EQ(cut[3], "truncate_fork 1663/5/16384 (vm fork) to 1 blocks");
}

TEST(RelationChanges, CommitAndAbortDropRelations) {
  // Time; database, subtransactions, relations.
  const Fields main = Fields()
                          .U64(1)
                          .U32(7)
                          .U64(2)
                          .U32(1)
                          .U32(99)
                          .U32(2)
                          .U32(kRel.spc)
                          .U32(kRel.db)
                          .U32(kRel.rel)
                          .U32(1663)
                          .U32(5)
                          .U32(9);
  for (uint8_t op : {0x00, 0x20})
    EXPECT_EQ(Take(RecordBuilder(kRmXact, op | 0x80).Main(main)),
              (Texts{"drop_relation 1663/5/16384", "drop_relation 1663/5/9"}));
  EXPECT_EQ(Take(RecordBuilder(kRmXact, 0x00).Main(Fields().U64(1))), Texts{});
  EXPECT_EQ(Take(RecordBuilder(kRmXact, 0x10 | 0x80).Main(main)), Texts{});  // PREPARE
  // Of prepared transactions, whose xid comes after the relations.
  const Fields prepared =
      Fields().U64(1).U32(4 | 16).U32(1).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(55);
  for (uint8_t op : {0x30, 0x40})
    EXPECT_EQ(Take(RecordBuilder(kRmXact, op | 0x80).Main(prepared)),
              Texts{"drop_relation 1663/5/16384"});
}

TEST(RelationChanges, Databases) {
  EXPECT_EQ(Take(RecordBuilder(kRmDbase, 0x00).Main(Fields().U32(8).U32(1663).U32(1).U32(2))),
            Texts{"copy_database 1663/8 from 2/1"});
  EXPECT_EQ(Take(RecordBuilder(kRmDbase, 0x10).Main(Fields().U32(8).U32(1663))),
            Texts{"create_database 1663/8"});
  EXPECT_EQ(Take(RecordBuilder(kRmDbase, 0x20).Main(Fields().U32(8).U32(2).U32(1663).U32(777))),
            (Texts{"drop_database 1663/8", "drop_database 777/8"}));
}

// The bits, and the heap blocks that lose them: new tuple's, old tuple's.
struct Cleared {
  uint8_t bits;
  uint32_t new_block, old_block;
  bool operator==(const Cleared&) const = default;
};

std::vector<Cleared> Bits(const RecordBuilder& builder) {
  const std::vector<uint8_t> bytes = builder.Bytes();
  RecordView view(kPg15);
  EXPECT_FALSE(view.Parse(bytes));
  ChangeList changes;
  EXPECT_FALSE(TakeRelationChanges(view, &changes));
  std::vector<Cleared> out;
  for (const Change& change : changes) {
    EXPECT_EQ(change.kind, ChangeKind::kClearVisibility);
    EXPECT_EQ(BlockOf(change), (BlockTag{kRel, kVisibilityMapFork, 0}));
    out.push_back({change.flags, change.number, change.number2});
  }
  return out;
}

TEST(RelationChanges, VisibilityBits) {
  const auto at7 = [](uint8_t before, uint8_t flags) {
    return Fields().U32(0).U16(1).U8(before).U8(flags).U64(0);
  };
  const auto heap = [](uint8_t rmid, uint8_t info, uint32_t block, const Fields& main) {
    return RecordBuilder(rmid, info).Block(0, block).Main(main);
  };
  using Expected = std::vector<Cleared>;
  EXPECT_EQ(Bits(heap(kRmHeap, 0x00, 5, Fields().U16(1).U8(1))), (Expected{{3, 5, kNoBlock}}));
  EXPECT_EQ(Bits(heap(kRmHeap, 0x80, 5, Fields().U16(1).U8(0x0a))), Expected{});
  EXPECT_EQ(Bits(heap(kRmHeap, 0x10, 6, at7(0, 1))), (Expected{{3, 6, kNoBlock}}));
  EXPECT_EQ(Bits(heap(kRmHeap, 0x10, 6, at7(1, 0))), Expected{});
  // Update: block 0 is the new page, block 1 the old one.
  EXPECT_EQ(Bits(heap(kRmHeap, 0x20, 7, at7(0, 3)).Block(1, 8)), (Expected{{3, 7, 8}}));
  EXPECT_EQ(Bits(heap(kRmHeap, 0x20, 7, at7(0, 1)).Block(1, 8)), (Expected{{3, kNoBlock, 8}}));
  EXPECT_EQ(Bits(heap(kRmHeap, 0x40, 7, at7(0, 1))), (Expected{{3, kNoBlock, 7}}));
  EXPECT_EQ(Bits(heap(kRmHeap, 0x60, 9, at7(0, 1))), (Expected{{2, 9, kNoBlock}}));
  EXPECT_EQ(Bits(heap(kRmHeap2, 0x50, 3, Fields().U8(1).U8(0).U16(0))),
            (Expected{{3, 3, kNoBlock}}));
  EXPECT_EQ(Bits(heap(kRmHeap2, 0x60, 4, at7(0, 1))), (Expected{{2, 4, kNoBlock}}));
}

bool IsOfRelations(const Change& change) {
  return ChangesRelationFiles(change.kind) || change.kind == ChangeKind::kClearVisibility ||
         change.kind == ChangeKind::kTruncateVisibility;
}

Texts Describe(const ChangeList& changes, auto wanted) {
  Texts texts;
  for (const Change& change : changes)
    if (wanted(change)) texts.push_back(DescribeChange(change));
  return texts;
}

// The three ways to take a record agree, whatever is in it, and short data is refused, not read.
TEST(RelationChanges, AreThoseOfIngest) {
  std::mt19937 random(1);
  RecordView view(kPg15);
  ChangeList all, others, relations;
  int refused = 0, taken = 0;
  for (int i = 0; i < 20000; i++) {
    Fields main;
    for (size_t n = random() % 60; n > 0; n--)
      main.U8(random() % 3 ? static_cast<uint8_t>(random()) : 0);
    constexpr uint8_t kRmgrs[] = {kRmXact, kRmSmgr, kRmDbase, kRmHeap, kRmHeap2};
    RecordBuilder record(kRmgrs[random() % 5], static_cast<uint8_t>(random() & 0xf0));
    if (random() % 2) record.Block(0, 1);
    const std::vector<uint8_t> built = record.Main(main).Bytes();
    // Exactly as long as it is, so that a sanitizer sees a read past the end.
    const auto bytes = std::make_unique<uint8_t[]>(built.size());
    std::memcpy(bytes.get(), built.data(), built.size());
    ASSERT_FALSE(view.Parse({bytes.get(), built.size()}));
    Ingest whole, beyond;
    const bool faulty = static_cast<bool>(whole.Take(view, &all));
    EXPECT_EQ(static_cast<bool>(beyond.TakeBeyondBlocks(view, &others)), faulty);
    if (TakeRelationChanges(view, &relations)) {
      EXPECT_TRUE(faulty);
      refused++;
    }
    if (faulty) continue;
    taken += !relations.empty();
    EXPECT_EQ(Describe(others, [](const Change&) { return true; }),
              Describe(all, [](const Change& change) {
                return change.kind != ChangeKind::kRecord && change.kind != ChangeKind::kImage;
              }));
    EXPECT_EQ(Describe(relations, [](const Change&) { return true; }),
              Describe(others, IsOfRelations));
    EXPECT_EQ(whole.state().next_xid, beyond.state().next_xid);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace neon_redo
