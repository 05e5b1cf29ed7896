// The process that makes an index beside neon-redo receive, with a script in the place of the program.
#include "cli/receive_index.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/await.h"

namespace neon_redo::cli {
namespace {

using std::chrono::milliseconds;
using Clock = ReceiveIndex::Clock;

class ReceiveIndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // The program writes its arguments down, a line for each call, and then does this.
  ReceiveIndexOptions Options(const std::string& script) {
    const std::string program = directory_ / "program";
    {
      std::ofstream out(program);
      out << "#!/bin/sh\necho \"$@\" >>'" << (directory_ / "calls").string() << "'\n" << script;
    }
    chmod(program.c_str(), 0755);
    return {
        .program = program, .wal = "W", .directory = "I", .say = [this](const std::string& line) {
          said_.push_back(line);
        }};
  }

  std::vector<std::string> Calls() const {
    std::vector<std::string> out;
    std::ifstream in(directory_ / "calls");
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }

  // Until it is so; time for the index passes as fast as its pauses need.
  template <typename Condition>
  void StepUntil(ReceiveIndex* index, Condition condition) {
    neon_redo::testing::Await("the index", [&] {
      index->Step(now_);
      now_ += milliseconds(20);
      return condition();
    });
  }

  std::filesystem::path directory_;
  std::vector<std::string> said_;
  Clock::time_point now_ = Clock::now();
};

constexpr const char* kFine = "echo '{\"end_lsn\": \"0/3000000\", \"damage\": null}'\n";

TEST_F(ReceiveIndexTest, BeginsOnceSegmentsHaveSettled) {
  ReceiveIndex index(Options(kFine));
  index.Complete(Lsn(0x2000000), now_);
  index.Step(now_ + milliseconds(2000));
  EXPECT_EQ(index.behind(), 0x2000000u);
  // One that comes later is not waited for.
  index.Complete(Lsn(0x3000000), now_ + milliseconds(2050));
  now_ += milliseconds(2200);
  StepUntil(&index, [&] { return index.indexed() == Lsn(0x3000000); });
  EXPECT_EQ(Calls(), std::vector<std::string>(
                         {"index --wal W --index I --jobs=1 --format=json --to 0/2000000"}));
  EXPECT_EQ(index.behind(), 0u);
  EXPECT_EQ(said_, std::vector<std::string>());
  index.Complete(Lsn(0x4000000), now_);
  EXPECT_EQ(index.behind(), 0x1000000u);
  now_ += milliseconds(2200);
  StepUntil(&index, [&] { return Calls().size() == 2; });
  EXPECT_EQ(Calls()[1],
            "index --wal W --index I --jobs=1 --format=json --to 0/4000000 --from 0/3000000");
}

TEST_F(ReceiveIndexTest, AFailureIsSaidAndTriedAgainLater) {
  ReceiveIndex index(Options("echo 'neon-redo: error: no room' >&2; exit 2\n"));
  index.Complete(Lsn(0x2000000), now_);
  now_ += milliseconds(2200);
  StepUntil(&index, [&] { return index.failures() == 1; });
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_NE(said_[0].find("not made up to 0/2000000: neon-redo: error: no room; next attempt"),
            std::string::npos)
      << said_[0];
  const auto failed = now_;
  StepUntil(&index, [&] { return index.failures() == 4; });
  // Pauses of at least 0.5, 1 and 2 seconds.
  EXPECT_GT(now_ - failed, milliseconds(3400));
  EXPECT_EQ(index.indexed(), Lsn());
  EXPECT_EQ(index.behind(), 0x2000000u);
}

TEST_F(ReceiveIndexTest, AProgramThatCannotBeStarted) {
  auto options = Options("");
  options.program = "/nowhere/neon-redo";
  ReceiveIndex index(options);
  index.Complete(Lsn(0x2000000), now_);
  index.Step(now_ + milliseconds(2200));
  EXPECT_EQ(index.failures(), 1u);
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(ReceiveIndexTest, DamageBeforeTheStartDoesNotKeepLaterWalFromBeingIndexed) {
  ReceiveIndex index(
      Options("echo '{\"end_lsn\": \"0/1000000\", \"damage\": \"file X is missing\"}'; exit 2\n"));
  index.Complete(Lsn(0x2000000), now_);
  now_ += milliseconds(2200);
  StepUntil(&index, [&] { return index.failures() == 1; });
  EXPECT_NE(said_[0].find("file X is missing"), std::string::npos);
  index.Complete(Lsn(0x3000000), now_);
  StepUntil(&index, [&] { return index.failures() == 2; });
  EXPECT_EQ(Calls()[1],
            "index --wal W --index I --jobs=1 --format=json --to 0/3000000 --from 0/2000000");
}

TEST_F(ReceiveIndexTest, EndsAtOnceAndRestsAfterWork) {
  auto index = std::make_unique<ReceiveIndex>(Options("sleep 100\n"));
  index->Complete(Lsn(0x2000000), now_);
  now_ += milliseconds(2200);
  StepUntil(index.get(), [&] { return Calls().size() == 1; });
  const auto before = Clock::now();
  index.reset();
  EXPECT_LT(Clock::now() - before, milliseconds(5000));
}

TEST_F(ReceiveIndexTest, AProcessThatEndsSlowlyIsNotWaitedFor) {
  const std::string said = directory_ / "said";
  ReceiveIndex index(
      Options(std::string(kFine) + "exec >&- 2>&-; echo >'" + said + "'; sleep 0.8\n"));
  index.Complete(Lsn(0x3000000), now_);
  now_ += milliseconds(2200);
  index.Step(now_);
  neon_redo::testing::Await("the process", [&] { return std::filesystem::exists(said); });
  const auto before = Clock::now();
  index.Step(now_);
  EXPECT_LT(Clock::now() - before, milliseconds(400));
  StepUntil(&index, [&] { return index.indexed() == Lsn(0x3000000); });
  EXPECT_EQ(index.failures(), 0u);
}

TEST_F(ReceiveIndexTest, MuchOutputIsReadAndNotKept) {
  ReceiveIndex index(
      Options(std::string("head -c 3000000 /dev/zero | tr '\\0' '\\n' >&2\n") + kFine));
  index.Complete(Lsn(0x3000000), now_);
  now_ += milliseconds(2200);
  StepUntil(&index, [&] { return index.indexed() == Lsn(0x3000000); });
  EXPECT_EQ(index.failures(), 0u);
}

}  // namespace
}  // namespace neon_redo::cli
