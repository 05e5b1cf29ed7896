// How commands read their options, and the numbers in them.
#include "cli/options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/foreign_text.h"
#include "cli/progress_bar.h"
#include "cpp_core/base/number.h"

namespace neon_redo {
namespace {

std::string IntegerError(const char* text, int64_t min, int64_t max) {
  const auto parsed = ParseInteger(text, min, max);
  return parsed ? "" : parsed.error().message;
}

TEST(ForeignText, CommandsNoTerminal) {
  EXPECT_EQ(cli::PrintableLines("a\x1b[31m\nb\xc2\x9bm\n"), "a\\x1b[31m\nb\\xc2\\x9bm\n");
  EXPECT_EQ(cli::PrintableLines(""), "");
  EXPECT_EQ(cli::PrintableLines("plain: \xc3\xa9"), "plain: \xc3\xa9");
  EXPECT_EQ(cli::JsonText({{"a", "\xc3\xa9\xc2\x9b\x7f\xc2\xa0\n"}}),
            "{\"a\":\"\xc3\xa9\\u009b\\u007f\xc2\xa0\\n\"}");
  EXPECT_EQ(cli::JsonText({{"path", "a\xff\x9b"}}, 1),
            "{\n \"path\": \"a\xef\xbf\xbd\xef\xbf\xbd\"\n}");
  EXPECT_EQ(cli::JsonText(nlohmann::ordered_json::object()), "{}");
  EXPECT_EQ(cli::ShellWord("/srv/wal-1"), "/srv/wal-1");
  EXPECT_EQ(cli::ShellWord("my wal's"), "'my wal'\\''s'");
  EXPECT_EQ(cli::ShellWord(""), "''");
}

TEST(Progress, RateAndTimeLeft) {
  const std::string half = std::string(20, '#') + std::string(20, '.');
  EXPECT_EQ(cli::ProgressText("reading WAL", 0, 50'000'000, 100'000'000, 2.5),
            "reading WAL      [" + half + "]  50%, 20.0 MB/s, 0:03 left");
  EXPECT_EQ(cli::ProgressText("comparing pages", 1000, 5000, 10000, 1),
            "comparing pages  [" + half + "]  50%, 4000 pages/s, 0:01 left");
  EXPECT_EQ(cli::ProgressText("other", 0, 50, 100, 7200),
            "other            [" + half + "]  50%, 2:00:00 left");
  EXPECT_EQ(cli::ProgressText("other", 0, 50, 100, 0.9), "other            [" + half + "]  50%");
  EXPECT_EQ(cli::ProgressText("other", 50, 50, 100, 9), "other            [" + half + "]  50%");
  EXPECT_EQ(cli::ProgressText("other", 0, 50, 0, 9),
            "other            [" + std::string(40, '.') + "]   0%");
}

TEST(Number, Integers) {
  EXPECT_EQ(*ParseInteger("0", 0, 1), 0);
  EXPECT_EQ(*ParseInteger("-7", -10, 1), -7);
  EXPECT_EQ(*ParseInteger("9223372036854775807", 0, INT64_MAX), INT64_MAX);
  EXPECT_EQ(IntegerError("2", 0, 1), "it must be between 0 and 1");
  EXPECT_EQ(IntegerError("99999999999999999999999", 0, 1), "it must be between 0 and 1");
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x10", "1.5", "1e3", "x", "99999999999999999999x"})
    EXPECT_EQ(IntegerError(text, 0, INT64_MAX), "it must be an integer") << text;
}

TEST(Number, Sizes) {
  EXPECT_EQ(*ParseSize("0B"), 0u);
  EXPECT_EQ(*ParseSize("512MB"), uint64_t{512} << 20);
  EXPECT_EQ(*ParseSize("8kB"), 8192u);
  EXPECT_EQ(*ParseSize("4 gb"), uint64_t{4} << 30);
  EXPECT_EQ(*ParseSize("1.5GB"), uint64_t{1536} << 20);
  EXPECT_EQ(*ParseSize("8388607TB"), uint64_t{8388607} << 40);
  EXPECT_EQ(ParseSize("512").error().message, "the unit is missing; write 512kB, 512MB or 512GB");
  EXPECT_EQ(ParseSize("512M").error().message, "valid units are B, kB, MB, GB and TB, as in 512MB");
  EXPECT_EQ(ParseSize("8388608TB").error().message, "it must be less than 8388608TB");
  for (const char* text : {"", "MB", "-1MB", "+1MB", " 1MB", "infMB", "nan", ".5GB", "many"})
    EXPECT_EQ(ParseSize(text).error().message, "it must be a size, such as 512MB") << text;
  EXPECT_FALSE(ParseSize("1MB "));
  EXPECT_FALSE(ParseSize("1e9MB"));
}

TEST(Number, Durations) {
  EXPECT_DOUBLE_EQ(ParseDuration("10")->count(), 10);
  EXPECT_DOUBLE_EQ(ParseDuration("0.2")->count(), 0.2);
  EXPECT_DOUBLE_EQ(ParseDuration("250ms")->count(), 0.25);
  EXPECT_DOUBLE_EQ(ParseDuration("2 min")->count(), 120);
  EXPECT_DOUBLE_EQ(ParseDuration("36500d")->count(), 36500.0 * 86400);
  for (const char* text : {"", "-1", "x", "1 year", "1e400", "36501d", "inf"})
    EXPECT_FALSE(ParseDuration(text)) << text;
}

}  // namespace

namespace cli {
namespace {

// A command with an option of each kind.
class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    options_.Path("--wal=DIR", &wal_, "directory").Required();
    options_.Flag("-f, --follow", &follow_, "flag");
    options_.Text("--slot=NAME", &slot_, "text").Needs("--follow");
    options_.TextList("-r, --rmgr=RMGR", &rmgrs_, "list");
    options_.Integer("-n, --limit=N", &limit_, {1, 10}, "integer");
    options_.Size("--memory=SIZE", &memory_, uint64_t{16} << 20, "size");
    options_.Location("--from=LSN", &from_, "location");
    options_.Duration("--timeout=SECS", &timeout_, std::chrono::seconds(1), "duration");
    options_.Choice<int>("--format=FORMAT", &format_, {{"text", 1}, {"json", 2}, {"xml", 3}},
                         "choice");
    options_.Value(
        "-z, --stats[=record]",
        [this](const std::string& text) {
          stats_ = text;
          return Status();
        },
        "optional value");
    options_.Arguments(&arguments_, 2);
  }

  // The message of the failure; empty when there is none.
  std::string Parse(std::vector<std::string> arguments) {
    const auto parsed = options_.Parse(arguments);
    hint_ = parsed ? "" : parsed.error().hint;
    return parsed ? "" : parsed.error().message;
  }

  Options options_{"try"};
  std::string wal_, slot_, hint_;
  bool follow_ = false;
  std::vector<std::string> rmgrs_, arguments_;
  std::optional<uint32_t> limit_;
  uint64_t memory_ = 0;
  std::optional<Lsn> from_;
  std::chrono::duration<double> timeout_{0};
  int format_ = 0;
  std::optional<std::string> stats_;
};

TEST_F(OptionsTest, ValuesOfEveryKind) {
  EXPECT_EQ(
      Parse({"one", "--wal=/a", "-f", "--slot", "s", "-r", "Heap", "-rBtree", "-n5",
             "--memory=16MB", "--from", "1/2", "--timeout=1500ms", "--format", "json", "two"}),
      "");
  EXPECT_EQ(wal_, "/a");
  EXPECT_TRUE(follow_);
  EXPECT_EQ(slot_, "s");
  EXPECT_EQ(rmgrs_, (std::vector<std::string>{"Heap", "Btree"}));
  EXPECT_EQ(limit_, 5u);
  EXPECT_EQ(memory_, uint64_t{16} << 20);
  EXPECT_EQ(from_, Lsn(0x100000002));
  EXPECT_DOUBLE_EQ(timeout_.count(), 1.5);
  EXPECT_EQ(format_, 2);
  EXPECT_EQ(arguments_, (std::vector<std::string>{"one", "two"}));
  EXPECT_FALSE(stats_);
}

TEST_F(OptionsTest, OptionalValuesTakeNoArgument) {
  EXPECT_EQ(Parse({"--wal=/a", "--stats", "x"}), "");
  EXPECT_EQ(stats_, "");
  EXPECT_EQ(arguments_, (std::vector<std::string>{"x"}));
  EXPECT_EQ(Parse({"--wal=/a", "--stats=record"}), "");
  EXPECT_EQ(stats_, "record");
  EXPECT_EQ(Parse({"--wal=/a", "-fz", "y"}), "");
  EXPECT_EQ(stats_, "");
  EXPECT_EQ(arguments_, (std::vector<std::string>{"y"}));
}

TEST_F(OptionsTest, TheLastOfTwoCountsAndLongNamesMayBeCutShort) {
  EXPECT_EQ(Parse({"--wa", "/a", "--wal=/b", "--", "-f"}), "");
  EXPECT_EQ(wal_, "/b");
  EXPECT_EQ(arguments_, (std::vector<std::string>{"-f"}));
  EXPECT_FALSE(follow_);
}

TEST_F(OptionsTest, EmptyAndStrangeValues) {
  EXPECT_EQ(Parse({"--wal=[a,b]", "-f", "--slot=", "x"}), "");
  EXPECT_EQ(wal_, "[a,b]");
  EXPECT_EQ(slot_, "");
  EXPECT_EQ(arguments_, (std::vector<std::string>{"x"}));
  EXPECT_EQ(Parse({"--wal="}), "invalid value \"\" for option --wal: a path must not be empty");
}

TEST_F(OptionsTest, Misuse) {
  const auto misuse = [&](std::vector<std::string> arguments, const std::string& message) {
    arguments.insert(arguments.begin(), "--wal=/a");
    EXPECT_EQ(Parse(arguments), message);
    EXPECT_EQ(hint_, "Try \"neon-redo try --help\" for more information.");
  };
  misuse({"--frob"}, "unrecognized option \"--frob\"");
  misuse({"x", "--frob=1", "y"}, "unrecognized option \"--frob\"");
  misuse({"-fq"}, "unrecognized option \"-q\"");
  misuse({"--fo"}, "unrecognized option \"--fo\"");  // --follow or --format
  misuse({"--follow=yes"}, "option \"--follow\" does not take a value");
  misuse({"--slot"}, "option \"--slot\" requires a value");
  misuse({"-fn"}, "option \"-n\" requires a value");
  misuse({"a", "b", "c", "d"}, "too many command-line arguments (first is \"c\")");
  misuse({"--slot=s"}, "option --slot requires option --follow");
  EXPECT_EQ(Parse({"-f"}), "option --wal is required");
}

TEST_F(OptionsTest, ValuesThatAreWrong) {
  const auto wrong = [&](const char* option, const char* value, const std::string& why) {
    EXPECT_EQ(Parse({option, value}),
              std::string("invalid value \"") + value + "\" for option " + option + ": " + why);
  };
  wrong("--limit", "0", "it must be between 1 and 10");
  wrong("--limit", "five", "it must be an integer");
  wrong("--memory", "512", "the unit is missing; write 512kB, 512MB or 512GB");
  wrong("--memory", "1MB", "it must be at least 16MB");
  wrong("--from", "7", "it must be an LSN, such as 16/B374D848");
  wrong("--timeout", "1ms", "it must be at least 1 seconds");
  wrong("--format", "yaml", "it must be text, json or xml");
}

TEST_F(OptionsTest, HelpBeforeAnythingIsChecked) {
  EXPECT_EQ(Parse({"--limit=1", "-?", "--frob"}), "");
  EXPECT_TRUE(options_.wants_help());
  const std::string help = options_.Help();
  EXPECT_NE(help.find("\n  -f, --follow             flag\n"), std::string::npos) << help;
  EXPECT_NE(help.find("\n      --wal=DIR            directory\n"), std::string::npos) << help;
}

TEST(OptionsAlone, UnknownOptionsCanBeIgnored) {
  Options options("worker");
  std::string user;
  options.Text("--user=NAME", &user, "user");
  options.IgnoreUnknown();
  EXPECT_TRUE(options.Parse({"--wal-redo", "--tenant-shard-id", "X", "-D", "--user", "u"}));
  EXPECT_EQ(user, "u");
  EXPECT_FALSE(options.Parse({"--user"}));
}

}  // namespace
}  // namespace cli
}  // namespace neon_redo
