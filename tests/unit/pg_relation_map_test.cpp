#include "cpp_core/pg/relation_map.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cpp_core/base/crc32c.h"
#include "neon_redo/bytes.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

// With these numbers from its begin on, and a right checksum.
std::string Map(const pg::Version& version, std::initializer_list<uint32_t> numbers) {
  std::string out(version.relation_map_size, '\0');
  size_t at = 0;
  for (const uint32_t number : numbers) {
    std::memcpy(out.data() + at, &number, sizeof(number));
    at += sizeof(number);
  }
  const size_t crc_at = pg::RelationMapCrcAt(version);
  const uint32_t crc = Crc32c({reinterpret_cast<const uint8_t*>(out.data()), crc_at});
  std::memcpy(out.data() + crc_at, &crc, sizeof(crc));
  return out;
}

constexpr uint32_t kMagic = 0x592717;

TEST(RelationMapTest, Paths) {
  EXPECT_EQ(pg::RelationMapPath(kPg15, 1663, 5), "base/5/pg_filenode.map");
  EXPECT_EQ(pg::RelationMapPath(kPg15, 1664, 0), "global/pg_filenode.map");
}

TEST(RelationMapTest, Entries) {
  const std::string map = Map(kPg15, {kMagic, 2, 1259, 16384, 1249, 1249});
  const auto parsed = pg::ParseRelationMap(kPg15, map);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, (pg::RelationMap{{1249, 1249}, {1259, 16384}}));
  // Somebody else's file may say that it has any number of them.
  EXPECT_TRUE(pg::ParseRelationMap(kPg15, Map(kPg15, {kMagic, UINT32_MAX, 1259, 16384})));
}

TEST(RelationMapTest, WhatIsNone) {
  const std::string good = Map(kPg15, {kMagic, 1, 1259, 16384});
  ASSERT_TRUE(pg::ParseRelationMap(kPg15, good));
  for (size_t at = 0; at < pg::RelationMapCrcAt(kPg15) + 4; at++) {
    std::string bad = good;
    bad[at] ^= 1;
    EXPECT_FALSE(pg::ParseRelationMap(kPg15, bad)) << at;
  }
  EXPECT_FALSE(pg::ParseRelationMap(kPg15, Map(kPg15, {kMagic + 1, 1, 1259, 16384})));
  EXPECT_FALSE(pg::ParseRelationMap(kPg15, good.substr(0, good.size() - 1)));
  EXPECT_FALSE(pg::ParseRelationMap(kPg15, ""));
}

}  // namespace
}  // namespace neon_redo
