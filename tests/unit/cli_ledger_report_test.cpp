// What a program that reads JSON learns of a ledger.
#include "cli/ledger_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace neon_redo {
namespace {

TEST(LedgerReport, JsonSaysWhyNothingWasWritten) {
  LedgerUse use;
  EXPECT_TRUE(cli::LedgerJson("", use).is_null());
  use.why_not_written = "WAL has no checkpoint since the backup's start";
  auto json = cli::LedgerJson("main.ledger", use);
  EXPECT_EQ(json["written"], false);
  EXPECT_EQ(json["why_not_written"], use.why_not_written);
  use.written = true;
  use.why_not_written = "";
  json = cli::LedgerJson("main.ledger", use);
  EXPECT_EQ(json["written"], true);
  EXPECT_TRUE(json["why_not_written"].is_null());
}

}  // namespace
}  // namespace neon_redo
