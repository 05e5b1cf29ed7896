// Descriptions of records built by hand. That real records read as pg_waldump prints them is
// tested by tests/integration/test_waldump.py; here: hostile bytes, and what real WAL seldom has.
#include "neon_redo/describe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "cpp_core/pg/rmgr.h"
#include "tests/unit/described_record.h"

namespace neon_redo {
namespace {

using Record = DescribedRecord;

TEST(Describe, ALineAsPgWaldumpPrintsIt) {
  const Record insert(kRmHeap, 0x80, Fields(uint16_t{1}, uint8_t{8}), "tuple");
  EXPECT_EQ(DescribeRecord(insert.view(), Lsn(0x1500000f8)),
            "rmgr: Heap        len (rec/tot):     57/    57, tx:        731, lsn: 1/500000F8, "
            "prev 1/500000A8, desc: INSERT+INIT off 1 flags 0x08, blkref #0: rel 1663/5/16384 "
            "blk 9");
}

TEST(Describe, CustomAndUnknown) {
  EXPECT_EQ(RmgrDisplayName(131), "custom131");
  EXPECT_EQ(RmgrDisplayName(0), "XLOG");
  EXPECT_EQ(OperationName(kPg15, kRmXlog, 0xc0), nullptr);
  const std::string custom = DescribeRecord(Record(131, 0x30, "x").view(), Lsn(8));
  EXPECT_NE(custom.find("rmgr: custom131 "), std::string::npos);
  EXPECT_NE(custom.find("desc: UNKNOWN (30) rmid: 131"), std::string::npos);
  const std::string unknown = DescribeRecord(Record(kRmXlog, 0xc0, "x").view(), Lsn(8));
  EXPECT_NE(unknown.find("desc: UNKNOWN (c0) "), std::string::npos);
}

TEST(Describe, CommitWithEveryPart) {
  setenv("TZ", "UTC", 1);
  tzset();
  const uint32_t info = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 |
                        1u << 8 | 1u << 29 | 1u << 30 | 1u << 31;
  std::string main = Fields(int64_t{1234567}, info, uint32_t{5}, uint32_t{1663});
  main += Fields(int32_t{2}, uint32_t{801}, uint32_t{802});
  main += Fields(int32_t{1}, uint32_t{1663}, uint32_t{5}, uint32_t{16400});
  main += Fields(int32_t{1}, int32_t{2}, uint32_t{5}, uint32_t{16400});
  main += Fields(int32_t{1}, int32_t{-2}, uint32_t{5}, uint32_t{16400}, uint32_t{0});
  main += Fields(uint32_t{800});
  main += std::string("a gid\0", 6);
  main += Fields(uint64_t{0x1600000008}, int64_t{0});
  EXPECT_EQ(Record(kRmXact, 0x30 | 0x80, main).Operation(),
            "800: 2000-01-01 00:00:01.234567 UTC; rels: base/5/16400; subxacts: 801 802; "
            "dropped stats: 2/5/16400; relcache init file inval dbid 5 tsid 1663; inval msgs: "
            "relcache 16400; apply_feedback; sync; origin: node 0, lsn 16/8, at "
            "2000-01-01 00:00:00.000000 UTC");
}

TEST(Describe, SaysWhenDataIsCutShort) {
  EXPECT_EQ(Record(kRmHeap, 0x00, "\x01").Operation(),
            "off 0 flags 0x01 [malformed: 1 bytes of data are too few]");
  const std::string counts = Fields(uint32_t{1}, uint32_t{0xffffffff}, uint32_t{0}, uint32_t{7});
  EXPECT_EQ(Record(kRmHeap, 0x30, counts).Operation(),
            "nrelids 4294967295 relids 7 [malformed: 16 bytes of data are too few]");
  EXPECT_NE(Record(kRmTblspc, 0x00, Fields(uint32_t{1}) + "no end").Operation().find("[malformed"),
            std::string::npos);
}

// A user who may create a tablespace or a restore point may put any byte into WAL, and a terminal
// obeys some.
TEST(Describe, NamesArePrintable) {
  const Record tablespace(kRmTblspc, 0, std::string("\1\0\0\0/a\nb\x1b[2J\x7f\xc3\xa4\0", 16));
  EXPECT_EQ(tablespace.Operation(), "1 \"/a\\x0ab\\x1b[2J\\x7f\xc3\xa4\"");
}

TEST(Describe, C1ControlsAreNotPrintable) {
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "31m\xc2\xa0"),
            "a\\xc2\\x9b31m\xc2\xa0");  // as UTF-8
  EXPECT_EQ(Printable("a\x9b"
                      "31m\xe4"),
            "a\\x9b31m\xe4");  // as a byte
  // Bytes of longer characters are none.
  EXPECT_EQ(Printable("\xe2\x82\xac\xf0\x9f\x98\x80"), "\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(Printable("\xe2\x9b"), "\xe2\\x9b");
}

// An operation has a name and is known to pg/version.h, or neither. A flag in the highest bit makes
// no operation of its own.
TEST(Describe, NamesTheOperationsOfTheVersion) {
  for (const pg::Version& version : pg::kVersions) {
    for (uint8_t rmid = 0; rmid <= kMaxBuiltinRmgr; rmid++) {
      if (rmid == kRmGeneric) continue;  // its records have no operations
      for (int info = 0; info < 0x100; info += 0x10) {
        const auto operation = static_cast<uint8_t>(info);
        const bool is_known = version.HasOperation(rmid, operation);
        const bool is_named = OperationName(version, rmid, operation) != nullptr;
        const bool has_flag = operation >= 0x80 && version.HasOperation(rmid, operation & 0x70);
        EXPECT_TRUE(is_named == is_known || (has_flag && is_known))
            << version.major << " " << RmgrDisplayName(rmid) << " " << info;
      }
    }
  }
}

// Any bytes: no read outside the record (the sanitizer build sees it), no endless text.
void DescribeAnyBytes(const pg::Version& version) {
  std::mt19937 random(3);
  for (int rmid = 0; rmid < 256; rmid++) {
    if (!RmgrIsValid(static_cast<uint8_t>(rmid)) || (rmid > 128 && rmid < 255)) continue;
    for (int operation = 0; operation < 16; operation++) {
      for (size_t length = 0; length < 130; length++) {
        std::string main(length, '\0');
        std::string block(length / 3, '\0');
        const uint32_t kind = random() % 3;
        for (std::string* s : {&main, &block}) {
          for (char& c : *s)
            c = kind == 0 ? '\xff' : random() % (kind + 1) ? '\0' : static_cast<char>(random());
        }
        const Record record(static_cast<uint8_t>(rmid), static_cast<uint8_t>(operation << 4), main,
                            block, version);
        EXPECT_LT(DescribeRecord(record.view(), Lsn(0x1000028)).size(), 100000u);
        if (length % 16 == 0) {
          const std::string json =
              DescribeRecordAsJson(record.view(), Lsn(0x1000028), Lsn(0x1000100));
          EXPECT_TRUE(nlohmann::json::accept(json)) << json;
        }
      }
    }
  }
}

TEST(Describe, AnyBytesForAnyOperation) {
  for (const pg::Version& version : pg::kVersions) DescribeAnyBytes(version);
}

}  // namespace
}  // namespace neon_redo
