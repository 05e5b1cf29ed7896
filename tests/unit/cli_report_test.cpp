// What a report of verify makes of hostile text, and of many mismatches.
#include <gtest/gtest.h>

#include <string>

#include "cli/report_damage.h"
#include "cli/report_map.h"
#include "cli/report_text.h"

namespace neon_redo {
namespace {

using cli::DamagedFile;
using cli::DamagedRange;

TEST(ReportText, IsNoElement) {
  EXPECT_EQ(cli::HtmlText("<a href=\"x\">&amp;'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&amp;amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(cli::HtmlCode("a<b"), "<code>a&lt;b</code>");
  EXPECT_EQ(cli::HtmlText("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(ReportText, HidesNothing) {
  EXPECT_EQ(cli::HtmlText("a\x1b[1m\r\x7f"), "a\\x1b[1m\\x0d\\x7f");
  EXPECT_EQ(cli::HtmlText("a\xe2\x80\xae"
                          "gpj\xe2\x81\xa6\xef\xbb\xbf"
                          "b\xe2\x80\x8b"),
            "a\\u202egpj\\u2066\\ufeffb\\u200b");
  EXPECT_EQ(cli::HtmlText("a\xff\xe2\x80"), "a\xef\xbf\xbd\xef\xbf\xbd\\x80");
}

Mismatch OnBlock(const char* file, uint32_t block, Damage damage, uint32_t blocks = 1) {
  Mismatch m{};
  m.tag = {{1663, 5, 16384}, kMainFork, block};
  m.file = file;
  m.damage = damage;
  m.blocks = blocks;
  return m;
}

TEST(ReportDamage, RangesOfAFileDoNotOverlap) {
  VerifyResult result;
  const char* const file = "base/5/16384";
  for (const uint32_t block : {9u, 7u, 8u, 20u})
    result.mismatches.push_back(OnBlock(file, block, Damage::kChecksum));
  result.mismatches.push_back(OnBlock(file, 8, Damage::kStale, 4));
  result.mismatches.push_back(OnBlock(file, kNoBlockNumber, Damage::kUnreadable));
  const auto files = cli::DamageByFile(result, {});
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].ranges, (std::vector<DamagedRange>{
                                 {7, 8, "checksum"}, {9, 11, "stale"}, {20, 20, "checksum"}}));
  EXPECT_EQ(files[0].whole, std::vector<std::string>{"unreadable"});
  EXPECT_EQ(files[0].relation, "1663/5/16384");
  EXPECT_FALSE(files[0].blocks);
}

TEST(ReportDamage, FilesOfOneRelation) {
  VerifyResult result;
  result.mismatches.push_back(OnBlock("base/5/16384", 5, Damage::kTorn));
  result.mismatches.push_back(OnBlock("base/5/16384.1", 131073, Damage::kZeroed, 3));
  Mismatch of_backup = OnBlock("base/5/16384", 5, Damage::kChecksum);
  of_backup.in_backup = true;
  result.mismatches.push_back(of_backup);
  const auto files = cli::DamageByFile(result, {});
  ASSERT_EQ(files.size(), 3u);
  EXPECT_TRUE(files[0].in_backup);
  EXPECT_EQ(files[2].file, "base/5/16384.1");
  EXPECT_EQ(files[2].first_block, 131072u);
  const auto relations = cli::DamageByRelation(result);
  ASSERT_EQ(relations.size(), 2u);
  EXPECT_TRUE(relations[0].in_backup);
  EXPECT_EQ(relations[1].damaged(), 4u);
  EXPECT_EQ(relations[1].kinds, (std::map<std::string, uint64_t>{{"torn", 1}, {"zeroed", 3}}));
  EXPECT_EQ(relations[1].files, (std::vector<std::string>{"base/5/16384", "base/5/16384.1"}));
}

TEST(ReportDamage, PlacesInWords) {
  Mismatch m = OnBlock("base/5/16384", 5, Damage::kZeroed, 3);
  m.subject = "table public.t";
  EXPECT_EQ(cli::Place(m),
            "relation 1663/5/16384 (table public.t) fork main blocks 5 to 7 (base/5/16384)");
  m = OnBlock("global/pg_control", kNoBlockNumber, Damage::kUnreadable);
  m.tag.rel = {};
  m.in_backup = true;
  EXPECT_EQ(cli::Place(m), "in the backup: global/pg_control");
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at++) count++;
  return count;
}

TEST(ReportMap, FitsAPage) {
  DamagedFile file{
      .file = "<x>", .relation = {}, .fork = {}, .whole = {}, .ranges = {{131073, 131074, "torn"}}};
  EXPECT_EQ(cli::DamageMap(DamagedFile{}), "");
  file.first_block = 131072;
  file.blocks = 4;
  const std::string small = cli::DamageMap(file);
  EXPECT_EQ(Count(small, "class=\"l\""), 2u);
  EXPECT_EQ(Count(small, "<x>"), 0u);
  EXPECT_EQ(Count(small, ": 1 range\""), 1u);
  EXPECT_NE(small.find(">131072</text>"), std::string::npos);
  // A whole gigabyte, and all blocks there can be.
  file.blocks = 131072;
  file.ranges = {{131072, 262143, "torn"}};
  EXPECT_EQ(Count(cli::DamageMap(file), "class=\"l\""), 1024u);
  file.first_block = 0;
  file.ranges = {{0, 0xfffffffe, "zeroed"}};
  EXPECT_LE(Count(cli::DamageMap(file), "class=\"l\""), 1024u);
  // A range before the file's first block, which no file has.
  file.first_block = 131072;
  file.ranges = {{3, 5, "a kind of damage that is not known"}};
  EXPECT_EQ(Count(cli::DamageMap(file), "class=\"l\""), 1u);
}

}  // namespace
}  // namespace neon_redo
