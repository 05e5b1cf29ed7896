// What the versions after 15 write differently, and what their minor releases do. The records are
// put together by hand; see ingest_test.cpp.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cpp_core/pg/rmgr.h"
#include "neon_redo/ingest.h"
#include "neon_redo/version.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;
using Texts = std::vector<std::string>;

Texts TakeAs(const pg::Version& version, const RecordBuilder& builder, Ingest* ingest = nullptr) {
  const std::vector<uint8_t> bytes = builder.Bytes();
  RecordView view(version);
  if (RecordFault fault = view.Parse(bytes)) return {std::string("unreadable: ") + fault.what};
  Ingest fresh;
  ChangeList list;
  if (RecordFault fault = (ingest ? ingest : &fresh)->Take(view, &list))
    return {std::string("fault: ") + fault.what};
  Texts texts;
  for (const Change& change : list) texts.push_back(DescribeChange(change));
  return texts;
}

TEST(IngestVersions, PageNumbersHaveEightBytesFrom17On) {
  const Texts cut{"truncate_slru clog before page 64"};
  const auto of_15 = RecordBuilder(kRmClog, 0x10).Main(Fields().U32(64).U32(7).U32(5));
  const auto of_17 = RecordBuilder(kRmClog, 0x10).Main(Fields().U64(64).U32(7).U32(5));
  EXPECT_EQ(TakeAs(kPg15, of_15), cut);
  for (const pg::Version* version : {&kPg17, &kPg18}) {
    EXPECT_EQ(TakeAs(*version, of_17), cut);
    EXPECT_EQ(TakeAs(*version, of_15), Texts{"fault: its data is too short"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmCommitTs, 0x10).Main(Fields().U64(64).U32(7))),
              Texts{"truncate_slru commit_ts before page 64"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmClog, 0x00).Main(Fields().U64(33))),
              Texts{"zero_slru_page block 1 of clog segment 0001"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmCommitTs, 0x00).Main(Fields().U64(33))),
              Texts{"zero_slru_page block 1 of commit_ts segment 0001"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmMultiXact, 0x00).Main(Fields().U64(33))),
              Texts{"zero_slru_page block 1 of multixact_offsets segment 0001"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmMultiXact, 0x10).Main(Fields().U64(33))),
              Texts{"zero_slru_page block 1 of multixact_members segment 0001"});
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmClog, 0x00).Main(Fields().U64(uint64_t{1} << 32))),
              Texts{"fault: it names a page that cannot be"});
  }
}

TEST(IngestVersions, DroppedStatisticsHave16BytesFrom18On) {
  const auto commit = [](bool is_18) {
    Fields main = Fields().U64(0).U32(0x100 | 0x10).U32(2);  // stats, then the prepared xid
    for (int i = 0; i < 2; i++) {
      main.U32(1).U32(5).U32(16384 + static_cast<uint32_t>(i));
      if (is_18) main.U32(0);
    }
    return RecordBuilder(kRmXact, 0xb0, 0).Main(main.U32(33));
  };
  const std::string end = "finish_prepared 33";
  EXPECT_EQ(TakeAs(kPg15, commit(false)).back(), end);
  EXPECT_EQ(TakeAs(kPg17, commit(false)).back(), end);
  EXPECT_EQ(TakeAs(kPg18, commit(true)).back(), end);
  EXPECT_EQ(TakeAs(kPg18, commit(false)), Texts{"fault: its data is too short"});
}

TEST(IngestVersions, RelationMapsHave524BytesFrom16On) {
  const auto update = [](uint32_t size) {
    Fields map = Fields().U32(5).U32(1663).U32(size);
    for (uint32_t i = 0; i < size; i++) map.U8(0);
    return RecordBuilder(kRmRelMap, 0x00).Main(map);
  };
  EXPECT_EQ(TakeAs(kPg15, update(512)), Texts{"relation_map 1663/5"});
  EXPECT_EQ(TakeAs(kPg15, update(524)), Texts{"fault: its relation map has the wrong size"});
  EXPECT_EQ(TakeAs(kPg18, update(524)), Texts{"relation_map 1663/5"});
  EXPECT_EQ(TakeAs(kPg17, update(512)), Texts{"fault: its relation map has the wrong size"});
}

TEST(IngestVersions, CheckpointsAndEndsOfRecovery) {
  Fields checkpoint = Fields().U64(0x1000).U32(1).U32(1).U32(1).U32(1).U64(0x500000321);
  checkpoint.U32(20000).U32(5).U32(10).U32(3).U32(1).U32(1).U32(1).U32(0);
  checkpoint.U64(0).U32(0).U32(0).U32(0);
  for (const pg::Version* version : {&kPg15, &kPg17, &kPg18}) {
    Ingest ingest;
    EXPECT_EQ(TakeAs(*version, RecordBuilder(kRmXlog, 0x10, 0).Main(checkpoint), &ingest),
              Texts{"checkpoint online"});
    EXPECT_EQ(ingest.state().next_xid, 0x500000321u);
    EXPECT_EQ(ingest.state().next_multixact, 5u);
    EXPECT_EQ(
        TakeAs(*version,
               RecordBuilder(kRmXlog, 0x90, 0).Main(Fields().U64(0).U32(3).U32(2).U32(1).U32(0))),
        Texts{"timeline 3 after 2"});
  }
  // XLOG_CHECKPOINT_REDO: the redo point of the checkpoint to come.
  Ingest ingest;
  EXPECT_EQ(TakeAs(kPg17, RecordBuilder(kRmXlog, 0xe0, 0).Main(Fields().U32(1)), &ingest), Texts{});
  EXPECT_EQ(ingest.counts().Unknown(kRmXlog), 0u);
  EXPECT_EQ(TakeAs(kPg15, RecordBuilder(kRmXlog, 0xe0, 0).Main(Fields().U32(1)), &ingest), Texts{});
  EXPECT_EQ(ingest.counts().Unknown(kRmXlog), 1u);
}

// Older minor releases name the heap's pages alone, newer ones the map's too, where bits were set.
TEST(IngestVersions, BitsOfTheMapAreClearedOnce) {
  const std::string heap = "record block 9 of 1663/5/16384 (main fork)";
  const std::string map = "record block 0 of 1663/5/16384 (vm fork)";
  const auto cleared = [](const char* blocks, int bits) {
    return "clear_visibility block 0 of 1663/5/16384 (vm fork): ClearVisibilityMapFlags " +
           std::string(blocks) + ", flags 0x0" + std::to_string(bits);
  };
  struct Case {
    uint8_t rmid, info;
    Fields main;
    int bits;
  };
  const Case cases[] = {
      {kRmHeap, 0x00, Fields().U16(4).U8(1), 3},
      {kRmHeap, 0x10, Fields().U32(900).U16(1).U8(0).U8(1), 3},
      {kRmHeap, 0x60, Fields().U32(900).U16(1).U8(0).U8(1), 2},
      {kRmHeap2, 0x50, Fields().U8(1).U8(0).U16(1).U16(4), 3},
      {kRmHeap2, 0x60, Fields().U32(900).U16(1).U8(0).U8(1), 2},
  };
  for (const Case& c : cases) {
    RecordBuilder old_form(c.rmid, c.info), new_form(c.rmid, c.info);
    old_form.Block(0, 9).Main(c.main);
    new_form.Block(0, 9).Block(1, 0, {}, false, kVisibilityMapFork).Main(c.main);
    for (const pg::Version* version : {&kPg15, &kPg17, &kPg18}) {
      EXPECT_EQ(TakeAs(*version, old_form),
                (Texts{heap, cleared("new heap block 9, old heap block none", c.bits)}));
      EXPECT_EQ(TakeAs(*version, new_form), (Texts{heap, map}));
    }
  }

  const auto update = [](std::optional<uint8_t> map_id) {
    RecordBuilder builder(kRmHeap, 0x20);
    builder.Block(0, 9, Fields().U8(0)).Block(1, 4);
    if (map_id) builder.Block(*map_id, 0, {}, false, kVisibilityMapFork);
    return builder.Main(Fields().U32(7).U16(1).U8(0).U8(3).U32(0).U16(2));
  };
  const std::string old_heap = "record block 4 of 1663/5/16384 (main fork)";
  EXPECT_EQ(TakeAs(kPg17, update(std::nullopt)),
            (Texts{heap, old_heap, cleared("new heap block 9, old heap block 4", 3)}));
  EXPECT_EQ(TakeAs(kPg17, update(2)), (Texts{heap, old_heap, map}));
  EXPECT_EQ(TakeAs(kPg18, update(3)), (Texts{heap, old_heap, map}));
}

// Its offsets have 64 bits: what is not read must not be misread.
TEST(IngestVersions, MultixactsOf19AreRefused) {
  const RecordBuilder create =
      RecordBuilder(kRmMultiXact, 0x20).Main(Fields().U32(7).U32(0).U64(3).U32(1).U32(700).U32(1));
  EXPECT_EQ(TakeAs(kPg19, create), Texts{"fault: the multixacts of its version are not read yet"});
  EXPECT_EQ(kPg19.multixact_offset_size, 8u);
}

TEST(IngestVersions, WalOfAnUntestedVersionIsRefused) {
  TempDirectory directory;
  WalWriter wal(1 << 20, 3, 1, *pg::FindVersionByMajor(16));
  wal.Append(kRmHeap, 0, 10);
  wal.Save(directory.path());
  const auto reader =
      WalReader::Open({{directory.path()}, std::nullopt, std::nullopt, std::nullopt});
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(reader.error().message.find("is of PostgreSQL 16, which this program was not tested"),
            std::string::npos)
      << reader.error().message;
  EXPECT_EQ(FindServerVersion(16), nullptr);
  EXPECT_EQ(FindServerVersion(17), &kPg17);
}

TEST(IngestVersions, ReadersTakeTheVersionFromThePages) {
  for (const pg::Version* version : {&kPg15, &kPg17, &kPg18}) {
    TempDirectory directory;
    WalWriter wal(1 << 20, 3, 1, *version);
    std::string page(16, '\0');
    page[0] = 33;
    wal.AppendData(kRmClog, 0x00, page);
    wal.Save(directory.path());
    const auto reader =
        WalReader::Open({{directory.path()}, std::nullopt, std::nullopt, std::nullopt});
    ASSERT_TRUE(reader);
    EXPECT_EQ(&(*reader)->version(), version);
    Ingest ingest;
    ASSERT_TRUE(ingest.TakeAll(reader->get(), nullptr));
    EXPECT_EQ(ingest.counts().records, 1u);
  }
}

}  // namespace
}  // namespace neon_redo
