// Records put together by hand, at the places where changes are cut: pages of an SLRU, pages of the
// visibility map, the ends of number ranges. Real WAL: tests/integration/test_ingest.py.
#include "neon_redo/ingest.h"

#include <gtest/gtest.h>

#include <random>

#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/slru.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::RecordBuilder;
using Texts = std::vector<std::string>;

constexpr uint32_t kMapBlocks = (kBlockSize - 24) * 4;  // heap blocks on a page of the map

// The changes of one record as text, or its fault.
Texts TakeWith(Ingest* ingest, const RecordBuilder& builder, ChangeList* changes = nullptr) {
  static std::vector<uint8_t> bytes;  // outlives the changes that point into it
  bytes = builder.Bytes();
  RecordView view(kPg15);
  if (RecordFault fault = view.Parse(bytes)) return {std::string("unreadable: ") + fault.what};
  ChangeList list;
  if (RecordFault fault = ingest->Take(view, &list)) return {std::string("fault: ") + fault.what};
  Texts texts;
  for (const Change& change : list) texts.push_back(DescribeChange(change));
  if (changes) *changes = list;
  return texts;
}

Texts TakeOne(const RecordBuilder& builder, const IngestOptions& options = {}) {
  Ingest ingest(options);
  return TakeWith(&ingest, builder);
}

// Main data cut short anywhere is a fault or means less: nothing past its end is read.
#ifdef __SANITIZE_ADDRESS__  // only a sanitizer can see it
void ExpectNothingPastTheEnd(uint8_t rmid, uint8_t info, const Fields& main) {
  for (size_t n = 0; n < main.size(); n++) {
    Fields cut;
    cut.Raw(main.bytes().data(), n);
    const RecordBuilder record = RecordBuilder(rmid, info).Main(cut);
    const auto exact = std::make_unique<uint8_t[]>(record.Bytes().size());
    std::memcpy(exact.get(), record.Bytes().data(), record.Bytes().size());
    RecordView view(kPg15);
    ASSERT_FALSE(view.Parse({exact.get(), record.Bytes().size()}));
    Ingest ingest({.track_commit_timestamp = true});
    ChangeList changes;
    if (ingest.Take(view, &changes)) continue;
    for (const Change& change : changes) DescribeChange(change);
  }
}
#else
void ExpectNothingPastTheEnd(uint8_t, uint8_t, const Fields&) {}
#endif

TEST(Ingest, BlocksAndImages) {
  uint8_t page[kBlockSize] = {};
  EXPECT_EQ(TakeOne(RecordBuilder(kRmBtree, 0x30)
                        .Block(0, 5, Fields().U8(1))
                        .Image(1, 6, page)
                        .Block(2, 7, {}, true)
                        .Main(Fields().U64(0).U64(0))),
            (Texts{"record block 5 of 1663/5/16384 (main fork)",
                   "image block 6 of 1663/5/16384 (main fork), 8192 bytes",
                   "record block 7 of 1663/5/16384 (main fork), makes it whole"}));
  // An image that the rest of the record goes on to change is no image.
  EXPECT_EQ(TakeOne(RecordBuilder(kRmGist, 0x00).Image(0, 5, page).Image(1, 6, page)),
            (Texts{"image block 5 of 1663/5/16384 (main fork), 8192 bytes",
                   "record block 6 of 1663/5/16384 (main fork), makes it whole"}));
  // XLOG_FPI_FOR_HINT without full_page_writes: named, not changed.
  EXPECT_EQ(TakeOne(RecordBuilder(kRmXlog, 0xa0).Block(0, 5)), Texts{});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmXlog, 0xb0).Block(0, 5)),
            Texts{"fault: it has a block without an image"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmXlog, 0xb0).Image(0, 5, page)),
            Texts{"image block 5 of 1663/5/16384 (main fork), 8192 bytes"});
}

TEST(Ingest, HeapRecordsThatClearVisibilityBits) {
  const auto heap = [](uint8_t info, const Fields& main, uint32_t block) {
    Texts texts = TakeOne(RecordBuilder(kRmHeap, info).Block(0, block).Main(main));
    texts.erase(texts.begin());
    return texts;
  };
  const std::string vm0 =
      "clear_visibility block 0 of 1663/5/16384 (vm fork): "
      "ClearVisibilityMapFlags ";
  const std::string vm1 =
      "clear_visibility block 1 of 1663/5/16384 (vm fork): "
      "ClearVisibilityMapFlags ";
  EXPECT_EQ(heap(0x00, Fields().U16(1).U8(1), 9),
            Texts{vm0 + "new heap block 9, old heap block none, flags 0x03"});
  EXPECT_EQ(heap(0x80, Fields().U16(1).U8(1), kMapBlocks),
            Texts{vm1 + "new heap block 32672, old heap block none, flags 0x03"});
  EXPECT_EQ(heap(0x00, Fields().U16(1).U8(0xfe), 9), Texts{});
  EXPECT_EQ(heap(0x10, Fields().U32(7).U16(1).U8(0).U8(1), kMapBlocks - 1),
            Texts{vm0 + "new heap block 32671, old heap block none, flags 0x03"});
  EXPECT_EQ(heap(0x60, Fields().U32(7).U16(1).U8(0).U8(1), 9),
            Texts{vm0 + "new heap block 9, old heap block none, flags 0x02"});

  // Updates: block 0 is the new page, block 1 the old one.
  const auto update = [](uint8_t flags, uint32_t new_block, std::optional<uint32_t> old_block) {
    RecordBuilder builder(kRmHeap, 0x20);
    builder.Block(0, new_block, Fields().U8(0));
    if (old_block) builder.Block(1, *old_block);
    Texts texts = TakeOne(builder.Main(Fields().U32(7).U16(1).U8(0).U8(flags).U32(0).U16(2)));
    texts.erase(texts.begin(), texts.begin() + 1 + old_block.has_value());
    return texts;
  };
  EXPECT_EQ(update(3, 4, std::nullopt),
            Texts{vm0 + "new heap block 4, old heap block 4, flags 0x03"});
  EXPECT_EQ(update(3, 5, 4), Texts{vm0 + "new heap block 5, old heap block 4, flags 0x03"});
  EXPECT_EQ(update(1, 5, 4), Texts{vm0 + "new heap block none, old heap block 4, flags 0x03"});
  EXPECT_EQ(update(2, 5, 4), Texts{vm0 + "new heap block 5, old heap block none, flags 0x03"});
  EXPECT_EQ(update(3, kMapBlocks, kMapBlocks - 1),
            (Texts{vm0 + "new heap block none, old heap block 32671, flags 0x03",
                   vm1 + "new heap block 32672, old heap block none, flags 0x03"}));
  EXPECT_EQ(TakeOne(RecordBuilder(kRmHeap2, 0x50)
                        .Block(0, 9, Fields().U8(0))
                        .Main(Fields().U8(1).U8(0).U16(1)))
                .back(),
            vm0 + "new heap block 9, old heap block none, flags 0x03");
  EXPECT_EQ(
      TakeOne(RecordBuilder(kRmHeap2, 0x60).Block(0, 9).Main(Fields().U32(7).U16(1).U8(0).U8(1)))
          .back(),
      vm0 + "new heap block 9, old heap block none, flags 0x02");
}

// Every xid of a commit lands on the page that has it, once, whatever the list looks like.
TEST(Ingest, CommitsSpanPagesOfPgXact) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; round++) {
    const uint32_t xid = round < 3 ? kXactsPerClogPage - 1 : static_cast<uint32_t>(random()) | 4;
    std::vector<uint32_t> expected{xid};
    uint32_t next = xid;
    for (uint32_t i = random() % 300; i > 0; i--) {
      next += 1 + static_cast<uint32_t>(random()) % (round % 2 ? 3 : 5000);
      expected.push_back(next);
    }
    const bool commit = round % 4 < 2;
    Fields main = Fields().U64(12345).U32(2).U32(static_cast<uint32_t>(expected.size() - 1));
    for (size_t i = 1; i < expected.size(); i++) main.U32(expected[i]);
    Ingest ingest({.track_commit_timestamp = true});
    ChangeList changes;
    TakeWith(&ingest, RecordBuilder(kRmXact, commit ? 0x80 : 0xa0, xid).Main(main), &changes);
    std::vector<uint32_t> clog, commit_ts;
    for (const Change& change : changes) {
      const auto slru = change.key.ToSlruBlock();
      ASSERT_TRUE(slru);
      std::vector<uint32_t>& all = slru->kind == SlruKind::kClog ? clog : commit_ts;
      std::vector<uint32_t> xids;
      if (change.number) xids.push_back(change.number);
      for (size_t at = 0; at < change.payload.size(); at += 4)
        xids.push_back(LoadNative<uint32_t>(change.payload.data() + at));
      ASSERT_FALSE(xids.empty());
      for (uint32_t x : xids) ASSERT_EQ(SlruKeyOfEntry(slru->kind, x), change.key);
      all.insert(all.end(), xids.begin(), xids.end());
      EXPECT_EQ(change.time, 12345);
      if (slru->kind == SlruKind::kClog) {
        EXPECT_EQ(change.kind, commit ? ChangeKind::kClogCommitted : ChangeKind::kClogAborted);
        std::vector<uint8_t> page(kBlockSize);
        ASSERT_TRUE(ApplyPageServerRecord(*ToPageServerRecord(change), Lsn(1), change.key, &page));
      }
    }
    EXPECT_EQ(clog, expected);
    EXPECT_EQ(commit_ts, commit ? expected : std::vector<uint32_t>{});
  }
}

TEST(Ingest, CommitDropsRelationsAndEndsPreparedTransactions) {
  const Fields rel = Fields().U32(1663).U32(5).U32(77);
  EXPECT_EQ(
      TakeOne(RecordBuilder(kRmXact, 0x80, 700)
                  .Main(Fields().U64(0).U32(1 | 4).U32(5).U32(1663).U32(2).Add(rel).Add(rel))),
      (Texts{"clog_committed block 0 of clog segment 0000: ClogSetCommitted transactions "
             "700, timestamp 0",
             "drop_relation 1663/5/77", "drop_relation 1663/5/77"}));
  // The prepared transaction's xid is not the record's. Everything before it must be skipped.
  const Fields prepared = Fields()
                              .U64(0)
                              .U32(0x1b1 | 2)  // database, subxacts, twophase, origin, gid, stats
                              .U32(5)
                              .U32(1663)
                              .U32(1)
                              .U32(40000)
                              .U32(1)
                              .U32(1)
                              .U32(2)
                              .U32(3)
                              .U32(33)
                              .Text("gid")
                              .U8(0)
                              .U64(99)
                              .U64(98);  // clang-format off
  EXPECT_EQ(TakeOne(RecordBuilder(kRmXact, 0xb0, 0).Main(prepared),
                    {.track_commit_timestamp = true}),
            (Texts{"commit_ts block 0 of commit_ts segment 0000, 1 transactions, origin 0",
                   "commit_ts block 16 of commit_ts segment 0001, 1 transactions, origin 0",
                   ("clog_committed block 0 of clog segment 0000: ClogSetCommitted transactions 33, "
                    "timestamp 0"),
                   ("clog_committed block 1 of clog segment 0000: ClogSetCommitted transactions "
                    "40000, timestamp 0"),
                   "finish_prepared 33"}));
  // clang-format on
  ExpectNothingPastTheEnd(kRmXact, 0xb0, prepared);
  EXPECT_EQ(TakeOne(RecordBuilder(kRmXact, 0xb0, 0).Main(Fields().U64(0).U32(0))),
            Texts{"fault: it does not say which prepared transaction ends"});
}

Fields Multixact(uint32_t id, uint32_t offset, uint32_t members) {
  Fields main = Fields().U32(id).U32(offset).U32(members);
  for (uint32_t i = 0; i < members; i++) main.U32(1000 + i).U32(i % 6);
  return main;
}

// Offsets and members all land on their pages; applied to pages, they give what PostgreSQL's own
// arithmetic (MultiXactIdToOffsetPage, MXOffsetToMemberPage) finds there.
TEST(Ingest, MultixactsCrossPagesAndGoRound) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; round++) {
    uint32_t offset = static_cast<uint32_t>(random()) | 1;
    uint32_t id = static_cast<uint32_t>(random()) | 1;
    if (round % 5 == 0) offset = 0u - 1 - random() % 50;
    if (round % 7 == 0) id = 0u - 1 - random() % 2;
    const uint32_t count = 1 + random() % (round % 3 ? 30 : 4000);
    Ingest ingest;
    ChangeList changes;
    TakeWith(&ingest, RecordBuilder(kRmMultiXact, 0x20).Main(Multixact(id, offset, count)),
             &changes);
    uint32_t member = 0;
    std::vector<std::pair<uint32_t, uint32_t>> offsets;
    for (const Change& change : changes) {
      std::vector<uint8_t> page(kBlockSize);
      const auto native = ToPageServerRecord(change);
      ASSERT_TRUE(native);
      ASSERT_TRUE(ApplyPageServerRecord(*native, Lsn(1), change.key, &page)) << round;
      if (change.kind == ChangeKind::kMultixactOffset) {
        offsets.push_back({change.number, change.number2});
        continue;
      }
      ASSERT_EQ(change.kind, ChangeKind::kMultixactMembers);
      ASSERT_EQ(change.number, offset + member);
      member += static_cast<uint32_t>(change.payload.size() / 8);
    }
    EXPECT_EQ(member, count);
    const uint32_t next = id + 1 == 0 ? 1 : id + 1;
    const uint32_t end = offset + count == 0 ? 1 : offset + count;
    EXPECT_EQ(offsets, (std::vector<std::pair<uint32_t, uint32_t>>{{id, offset}, {next, end}}));
  }
  ExpectNothingPastTheEnd(kRmMultiXact, 0x20, Multixact(5, 6, 3));
  EXPECT_EQ(TakeOne(RecordBuilder(kRmMultiXact, 0x20).Main(Fields().U32(5).U32(6).U32(0u - 1))),
            Texts{"fault: its data is too short"});
}

// RecordNewMultiXact in recovery: a server before 15.16 zeroes the next page of offsets only after
// the multixact whose successor is on it; that must not wipe out what was written there.
TEST(Ingest, OffsetsPageBegunBeforeItsRecord) {
  const auto zero = [](uint32_t page) {
    return RecordBuilder(kRmMultiXact, 0x00).Main(Fields().U32(page));
  };
  const auto last_on_page_3 =
      RecordBuilder(kRmMultiXact, 0x20).Main(Multixact(4 * kOffsetsPerPage - 1, 50, 2));
  const std::string zero_4 = "zero_slru_page block 4 of multixact_offsets segment 0000";
  Ingest old_server;
  EXPECT_EQ(TakeWith(&old_server, zero(3)).size(), 1u);
  EXPECT_EQ(TakeWith(&old_server, last_on_page_3)[0], zero_4);
  EXPECT_EQ(TakeWith(&old_server, zero(4)), Texts{});
  EXPECT_EQ(TakeWith(&old_server, zero(4)), Texts{zero_4});

  Ingest new_server;
  TakeWith(&new_server, zero(3));
  EXPECT_EQ(TakeWith(&new_server, zero(4)), Texts{zero_4});
  EXPECT_EQ(TakeWith(&new_server, last_on_page_3).size(), 3u);
}

TEST(Ingest, Truncations) {
  const auto cut = [](uint32_t blocks, uint32_t flags) {
    Texts texts = TakeOne(RecordBuilder(kRmSmgr, 0x20)
                              .Main(Fields().U32(blocks).U32(1663).U32(5).U32(16384).U32(flags)));
    EXPECT_EQ(texts[0], "create_fork 1663/5/16384 (main fork)");
    texts.erase(texts.begin());
    return texts;
  };
  const std::string rel = "truncate_fork 1663/5/16384 ";
  EXPECT_EQ(cut(3, 1), Texts{rel + "(main fork) to 3 blocks"});
  EXPECT_EQ(cut(0, 7), (Texts{rel + "(main fork) to 0 blocks", rel + "(fsm fork) to 2 blocks",
                              rel + "(vm fork) to 0 blocks"}));
  EXPECT_EQ(cut(1, 4), Texts{rel + "(fsm fork) to 3 blocks"});
  EXPECT_EQ(cut(4069, 4), Texts{rel + "(fsm fork) to 3 blocks"});
  EXPECT_EQ(cut(4070, 4), Texts{rel + "(fsm fork) to 4 blocks"});
  EXPECT_EQ(cut(4069 * 4069, 4), Texts{rel + "(fsm fork) to 4072 blocks"});
  EXPECT_EQ(cut(kMapBlocks, 2), Texts{rel + "(vm fork) to 1 blocks"});
  EXPECT_EQ(cut(kMapBlocks + 5, 2),
            (Texts{"truncate_visibility block 1 of 1663/5/16384 (vm fork): TruncateVisibilityMap "
                   "from bit 2 of byte 1",
                   rel + "(vm fork) to 2 blocks"}));
  EXPECT_EQ(TakeOne(RecordBuilder(kRmSmgr, 0x10).Main(Fields().U32(1663).U32(5).U32(9).U32(3))),
            Texts{"create_fork 1663/5/9 (init fork)"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmSmgr, 0x10).Main(Fields().U32(1663).U32(5).U32(9).U32(4))),
            Texts{"fault: it creates a fork that does not exist"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmMultiXact, 0x30)
                        .Main(Fields().U32(1).U32(1).U32(kOffsetsPerPage).U32(0).U32(60000))),
            (Texts{"drop_slru_segments multixact_members segments 0000 up to 0001",
                   "truncate_slru multixact_offsets before page 0"}));
  EXPECT_EQ(TakeOne(RecordBuilder(kRmClog, 0x10).Main(Fields().U32(64).U32(0).U32(0))),
            Texts{"truncate_slru clog before page 64"});
}

// Which segments go, against a walk round the circle of numbers (SimpleLruTruncate).
TEST(Slru, SegmentsBeforeThePageGo) {
  EXPECT_TRUE(SlruSegmentIsGone(SlruKind::kClog, 1, 64));
  EXPECT_FALSE(SlruSegmentIsGone(SlruKind::kClog, 2, 64));
  EXPECT_FALSE(SlruSegmentIsGone(SlruKind::kClog, 2, 95));
  EXPECT_TRUE(SlruSegmentIsGone(SlruKind::kClog, 2, 96));
  // Half the numbers are in the past; the segment that would begin exactly there is spared.
  const uint32_t segments = LastSlruSegment(SlruKind::kClog) + 1;
  EXPECT_EQ(segments, 4096u);
  EXPECT_TRUE(SlruSegmentIsGone(SlruKind::kClog, segments - 1, 32));
  EXPECT_TRUE(SlruSegmentIsGone(SlruKind::kClog, segments / 2 + 11, 10 * 32));
  EXPECT_FALSE(SlruSegmentIsGone(SlruKind::kClog, segments / 2 + 10, 10 * 32));
  EXPECT_EQ(LastSlruSegment(SlruKind::kMultixactMembers), 0x14078u);
}

TEST(Ingest, Databases) {
  EXPECT_EQ(TakeOne(RecordBuilder(kRmDbase, 0x00).Main(Fields().U32(7).U32(1663).U32(1).U32(1664))),
            Texts{"copy_database 1663/7 from 1664/1"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmDbase, 0x00).Main(Fields().U32(7).U32(1663).U32(7).U32(1663))),
            Texts{"fault: it copies a database onto itself"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmDbase, 0x10).Main(Fields().U32(7).U32(1663))),
            Texts{"create_database 1663/7"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmDbase, 0x20).Main(Fields().U32(7).U32(2).U32(1663).U32(99))),
            (Texts{"drop_database 1663/7", "drop_database 99/7"}));
  EXPECT_EQ(TakeOne(RecordBuilder(kRmDbase, 0x20).Main(Fields().U32(7).U32(2).U32(1663))),
            Texts{"fault: its data is too short"});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmTblspc, 0x00).Main(Fields().U32(99).Text("/x/y").U8(0))),
            Texts{"create_tablespace 99 at \"/x/y\""});
  EXPECT_EQ(TakeOne(RecordBuilder(kRmTblspc, 0x10).Main(Fields().U32(99))),
            Texts{"drop_tablespace 99"});
  Fields map = Fields().U32(5).U32(1663).U32(512);
  for (int i = 0; i < 64; i++) map.U64(i);
  ChangeList changes;
  Ingest ingest;
  EXPECT_EQ(TakeWith(&ingest, RecordBuilder(kRmRelMap, 0).Main(map), &changes),
            Texts{"relation_map 1663/5"});
  EXPECT_EQ(changes[0].payload.size(), 512u);
  EXPECT_EQ(changes[0].key, PageKey::OfRelationMap(1663, 5));
  ExpectNothingPastTheEnd(kRmRelMap, 0, map);
}

Fields Checkpoint(uint32_t timeline, uint32_t previous, uint64_t next_xid, uint32_t next_multi) {
  Fields fields = Fields().U64(0x1000).U32(timeline).U32(previous).U64(1).U64(next_xid);
  fields.U32(20000).U32(next_multi).U32(10).U32(3).U32(1).U32(1).U32(1).U32(0);
  return fields.U64(0).U32(0).U32(0).U32(0);
}

TEST(Ingest, CountersAndTimelines) {
  Ingest ingest;
  const uint64_t epoch = uint64_t{1} << 32;
  TakeWith(&ingest, RecordBuilder(kRmXlog, 0x10, 0).Main(Checkpoint(1, 1, epoch - 2, 5)));
  EXPECT_EQ(ingest.state().next_xid, epoch - 2);
  // The next xid goes past those that records carry, over the special ones after wrap-around.
  TakeWith(&ingest, RecordBuilder(kRmHeap, 0x50, 0xfffffffeu).Block(0, 1).Main(Fields().U16(1)));
  EXPECT_EQ(ingest.state().next_xid, epoch - 1);
  TakeWith(&ingest, RecordBuilder(kRmHeap, 0x50, 0xffffffffu).Block(0, 1).Main(Fields().U16(1)));
  EXPECT_EQ(ingest.state().next_xid, epoch + 3);
  TakeWith(&ingest, RecordBuilder(kRmHeap, 0x50, 0xfffffff0u).Block(0, 1).Main(Fields().U16(1)));
  EXPECT_EQ(ingest.state().next_xid, epoch + 3);
  // An online checkpoint does not set it back, one at shutdown is exact.
  TakeWith(&ingest, RecordBuilder(kRmXlog, 0x10, 0).Main(Checkpoint(1, 1, epoch, 5)));
  EXPECT_EQ(ingest.state().next_xid, epoch + 3);
  TakeWith(&ingest, RecordBuilder(kRmMultiXact, 0x20, 0).Main(Multixact(8, 20, 2)));
  EXPECT_EQ(ingest.state().next_multixact, 9u);
  EXPECT_EQ(ingest.state().next_multixact_offset, 22u);
  EXPECT_EQ(TakeWith(&ingest, RecordBuilder(kRmXlog, 0x00, 0).Main(Checkpoint(2, 1, epoch, 5))),
            (Texts{"checkpoint shutdown", "timeline 2 after 1"}));
  EXPECT_EQ(ingest.state().next_xid, epoch);
  EXPECT_EQ(ingest.state().next_multixact, 5u);
  EXPECT_EQ(TakeWith(&ingest, RecordBuilder(kRmXlog, 0x90, 0).Main(Fields().U64(0).U32(3).U32(2))),
            Texts{"timeline 3 after 2"});
  EXPECT_EQ(ingest.state().timeline, 3u);
  EXPECT_EQ(TakeWith(&ingest, RecordBuilder(kRmXlog, 0x70, 0)
                                  .Main(Fields().U64(1).Text("before the migration").U8(0).U64(0))),
            Texts{"restore_point \"before the migration\""});
}

TEST(Ingest, CommitTimestampsTurnedOnAndOff) {
  const auto parameters = [](bool on) {
    return RecordBuilder(kRmXlog, 0x60, 0)
        .Main(Fields().U32(100).U32(8).U32(10).U32(0).U32(64).U32(1).U8(0).U8(on));
  };
  const auto commit = RecordBuilder(kRmXact, 0x00, 900).Main(Fields().U64(5));
  Ingest ingest;
  TakeWith(&ingest, RecordBuilder(kRmXlog, 0x00, 0).Main(Checkpoint(1, 1, 900, 1)));
  EXPECT_EQ(TakeWith(&ingest, commit).size(), 1u);
  EXPECT_EQ(TakeWith(&ingest, parameters(true)),
            (Texts{"parameters", "zero_slru_page block 1 of commit_ts segment 0000"}));
  EXPECT_EQ(TakeWith(&ingest, commit).size(), 2u);
  EXPECT_EQ(TakeWith(&ingest, parameters(true)), Texts{"parameters"});
  EXPECT_EQ(TakeWith(&ingest, parameters(false)), (Texts{"parameters", "drop_slru commit_ts"}));
  EXPECT_EQ(TakeWith(&ingest, commit).size(), 1u);
}

TEST(Ingest, CountsWhatItDoesNotKnow) {
  Ingest ingest;
  EXPECT_EQ(TakeWith(&ingest, RecordBuilder(130, 0x30).Block(0, 5)),
            Texts{"record block 5 of 1663/5/16384 (main fork)"});
  TakeWith(&ingest, RecordBuilder(130, 0x30).Main(Fields().U32(0)));
  TakeWith(&ingest, RecordBuilder(kRmGist, 0x50).Main(Fields().U32(0)));  // gone since long
  TakeWith(&ingest, RecordBuilder(kRmLogicalMsg, 0x00).Main(Fields().U32(0)));
  TakeWith(&ingest, RecordBuilder(kRmStandby, 0x10).Main(Fields().U32(0)));
  const IngestCounts& counts = ingest.counts();
  EXPECT_EQ(counts.records, 5u);
  EXPECT_EQ(counts.unknown[130][3], 2u);
  EXPECT_EQ(counts.Unknown(130), 2u);
  EXPECT_EQ(counts.Unknown(kRmGist), 1u);
  EXPECT_EQ(counts.Unknown(kRmLogicalMsg), 0u);
  EXPECT_EQ(counts.without_change[kRmLogicalMsg], 1u);
  EXPECT_EQ(counts.without_change[kRmStandby], 1u);
  EXPECT_EQ(counts.changes[static_cast<int>(ChangeKind::kRecord)], 1u);
}

// Any main data at all, for every resource manager and operation.
TEST(Ingest, RandomDataIsRefusedOrTaken) {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; round++) {
    Fields main;
    for (uint32_t n = random() % 80; n > 0; n--)
      main.U8(random() % 3 ? 0 : static_cast<uint8_t>(random()));
    RecordBuilder builder(static_cast<uint8_t>(random() % (kMaxBuiltinRmgr + 1)),
                          static_cast<uint8_t>(random() & 0xf0));
    if (random() % 2) builder.Block(0, 1);
    builder.Main(main);
    const std::vector<uint8_t> bytes = builder.Bytes();
    const auto exact = std::make_unique<uint8_t[]>(bytes.size());
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    RecordView view(kPg15);
    ASSERT_FALSE(view.Parse({exact.get(), bytes.size()}));
    Ingest ingest({.track_commit_timestamp = true});
    ChangeList changes;
    if (ingest.Take(view, &changes)) continue;
    for (const Change& change : changes) ASSERT_FALSE(DescribeChange(change).empty());
  }
}

}  // namespace
}  // namespace neon_redo
