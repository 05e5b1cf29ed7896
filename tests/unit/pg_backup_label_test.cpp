#include "cpp_core/pg/backup_label.h"

#include <gtest/gtest.h>

namespace neon_redo {
namespace {

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
