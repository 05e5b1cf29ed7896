#include "cpp_core/pg/backup_label.h"

#include <gtest/gtest.h>

namespace neon_redo {
namespace {

TEST(BackupLabel, WhatPeopleRead) {
  const auto label = ParseBackupLabel(
      "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
      "CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n"
      "START TIME: 2024-05-31 14:00:00 UTC\nLABEL: pg_basebackup base <b>\nSTART TIMELINE: 1\n");
  ASSERT_TRUE(label);
  EXPECT_EQ(label->label, "pg_basebackup base <b>");
  EXPECT_EQ(label->start_time, "2024-05-31 14:00:00 UTC");
  EXPECT_EQ(label->start.ToString(), "0/2000028");
}

TEST(TablespaceMap, WhatTheServerWrites) {
  using Map = std::map<uint32_t, std::string>;
  EXPECT_EQ(ParseTablespaceMap("16399 /a b\n16400 /c\\\nd\\\\e\n"),
            (Map{{16399, "/a b"}, {16400, "/c\nd\\e"}}));
  EXPECT_EQ(ParseTablespaceMap(""), Map());
  EXPECT_EQ(ParseTablespaceMap("x /a\n\n17\n016 /b\n17 "), (Map{{17, ""}}));
  EXPECT_EQ(ParseTablespaceMap("17 /a\\"), (Map{{17, "/a\\"}}));
}

}  // namespace
}  // namespace neon_redo
