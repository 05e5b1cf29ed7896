// Which records waldump's options choose, and the times that they understand.
#include "cpp_core/wal/filter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "cpp_core/wal/commit_time.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

template <typename T>
void Put(std::vector<uint8_t>* out, T v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  out->insert(out->end(), p, p + sizeof(v));
}

// A Heap record of transaction 77 with block 5 of the main fork and block 6 of the visibility map,
// of two relations, without images.
std::vector<uint8_t> TwoBlocks() {
  std::vector<uint8_t> r(kRecordHeaderSize, 0);
  r[17] = 10;  // xl_rmid
  const auto put_block = [&](uint8_t id, uint8_t fork, uint32_t relation, uint32_t block) {
    Put<uint8_t>(&r, id);
    Put<uint8_t>(&r, fork);
    Put<uint16_t>(&r, 0);
    for (const uint32_t oid : {1663u, 5u, relation}) Put(&r, oid);
    Put(&r, block);
  };
  put_block(0, kMainFork, 100, 5);
  put_block(1, kVisibilityMapFork, 200, 6);
  const auto length = static_cast<uint32_t>(r.size());
  const uint32_t xid = 77;
  std::memcpy(r.data(), &length, 4);
  std::memcpy(r.data() + 4, &xid, 4);
  return r;
}

TEST(WalFilter, OneBlockMustMatchAllThatIsSaidOfBlocks) {
  const std::vector<uint8_t> bytes = TwoBlocks();
  RecordView record(kPg15);
  ASSERT_FALSE(record.Parse(bytes));
  WalFilter filter;
  EXPECT_TRUE(filter.Matches(record.header()) && filter.MatchesBlocks(record));
  filter.relation = RelFileNode{1663, 5, 100};
  EXPECT_TRUE(filter.MatchesBlocks(record));
  filter.block = 5;
  EXPECT_TRUE(filter.MatchesBlocks(record));
  filter.fork = kVisibilityMapFork;
  EXPECT_FALSE(filter.MatchesBlocks(record));
  filter = {};
  filter.fork = kVisibilityMapFork;
  EXPECT_TRUE(filter.MatchesBlocks(record));
  filter.full_page = true;
  EXPECT_FALSE(filter.MatchesBlocks(record));
}

TEST(WalFilter, Header) {
  const std::vector<uint8_t> bytes = TwoBlocks();
  RecordView record(kPg15);
  ASSERT_FALSE(record.Parse(bytes));
  WalFilter filter;
  filter.rmgrs.set(11);
  EXPECT_FALSE(filter.Matches(record.header()));
  filter.rmgrs.set(10);
  EXPECT_TRUE(filter.Matches(record.header()));
  filter.xid = 78;
  EXPECT_FALSE(filter.Matches(record.header()));
  filter.xid = 77;
  EXPECT_TRUE(filter.Matches(record.header()));
}

TEST(WalTime, Parses) {
  setenv("TZ", "Asia/Tokyo", 1);
  tzset();
  EXPECT_EQ(*ParseWalTime("2000-01-01 00:00Z"), 0);
  EXPECT_EQ(*ParseWalTime("2000-01-01T00:00:01.25Z"), 1'250'000);
  EXPECT_EQ(*ParseWalTime("2000-01-01 02:00:00+02"), 0);
  EXPECT_EQ(*ParseWalTime("1999-12-31 18:30:00 -05:30"), 0);
  EXPECT_EQ(*ParseWalTime("2000-01-01 09:00:00"), 0);  // local time
  for (const char* text : {"", "now", "2000-01-01", "2000-13-01 00:00", "2000-01-01 00:00:00+2",
                           "2000-01-01 00:00:00 JST", "2000-01-01 00:00:00Zulu"})
    EXPECT_FALSE(ParseWalTime(text)) << text;
  unsetenv("TZ");
  tzset();
}

}  // namespace
}  // namespace neon_redo
