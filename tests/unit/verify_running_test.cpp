// A cluster that a server runs on: pages that are read while they are written, and what is found although
// no WAL explains it. This process stands for the server.
#include "cpp_core/verify/running.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "cpp_core/backup/limited_backup.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/unchanged_check.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr const char* kFile = "base/5/16384";

class MemoryFile : public BaseFile {
 public:
  explicit MemoryFile(std::string content) : content_(std::move(content)) {}
  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    if (offset >= content_.size()) return size_t{0};
    const size_t count = std::min(out.size(), content_.size() - static_cast<size_t>(offset));
    std::memcpy(out.data(), content_.data() + offset, count);
    return count;
  }
  Result<uint64_t> Size() const override { return content_.size(); }

 private:
  const std::string content_;
};

// Files in memory, and what the next ones to open one will find instead.
class MemoryBackup : public BaseBackup {
 public:
  explicit MemoryBackup(const std::string& path) : BaseBackup(path) {}
  std::string kind() const override { return "files in memory"; }
  Result<BaseFiles> List() const override {
    BaseFiles out;
    for (const auto& [name, content] : files) out.files[name] = {content.size(), ""};
    out.directories = {"base", "base/5"};
    return out;
  }
  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    const auto found = files.find(std::string(name));
    if (found == files.end()) return MakeError(ErrorCode::kNotFound, "there is no such file");
    if (unreadable.contains(found->first))
      return MakeError(ErrorCode::kInvalidArgument, "it is a directory");
    auto& first = at_first[found->first];
    std::string content = found->second;
    if (!first.empty()) {
      content = first.front();
      first.pop_front();
    }
    return std::make_shared<MemoryFile>(std::move(content));
  }

  std::map<std::string, std::string> files;
  std::set<std::string> unreadable;
  mutable std::map<std::string, std::deque<std::string>> at_first;
};

std::string Page(uint64_t lsn, char fill) {
  alignas(8) uint8_t page[kBlockSize] = {};
  pg::SetLower(page, kPageHeaderSize + kLinePointerSize);
  pg::SetUpper(page, 8000);
  pg::SetSpecial(page, kBlockSize);
  pg::SetSizeAndVersion(page, kPageSizeAndVersion);
  SetPageLsn(page, Lsn(lsn));
  pg::Put32(page + kPageHeaderSize, LinePointer::Of(8000, kLpNormal, 150).bits);
  std::memset(page + 8000, fill, 150);
  return {reinterpret_cast<const char*>(page), kBlockSize};
}

class RunningTest : public ::testing::Test {
 protected:
  RunningTest() {
    std::filesystem::create_directory(wal_path_);
    wal_.Append(0, 0x20, 100);  // NOOP
    settled_ = wal_.Append(0, 0x20, 100).start;
    wal_.Append(0, 0x20, 100);
    wal_.Save(wal_path_);
    base_.files[kFile] = Page(100, 1) + Page(200, 2) + Page(300, 3);
    data_.files = base_.files;
    data_.files["postmaster.pid"] = fmt::format("{}\n{}\n1700000000\n5432\n", getpid(), path());
    data_.files[pg::kControlFile] = Control(6, settled_);
    std::filesystem::current_path(path());
  }
  ~RunningTest() override { std::filesystem::current_path(before_); }

  std::string path() const { return directory_.path(); }

  static std::string Control(uint32_t status, Lsn redo) {
    std::string out = pg::EmptyControlFile(kPg15);
    const auto put = [&](size_t at, auto value) { std::memcpy(&out[at], &value, sizeof(value)); };
    put(16, status);
    put(32, redo.value);
    put(40, redo.value);
    put(48, uint32_t{1});
    const size_t crc = kPg15.control_file.crc;
    put(crc, Crc32c(Bytes(reinterpret_cast<const uint8_t*>(out.data()), crc)));
    out.resize(pg::kControlFileSize);
    return out;
  }

  // One look, of pages that no WAL changes.
  Status Look(RunningServer* server, VerifyResult* result) {
    RETURN_IF_ERROR(server->BeginLook());
    FileCheck files(base_, &data_);
    const BaseFiles list = *base_.List();
    RETURN_IF_ERROR(files.TakeBase(list, kPg15));
    VerifyResult ignored;
    const BaseFiles on_disk = *data_.List();
    RETURN_IF_ERROR(files.Compare(
        {.on_disk = on_disk, .touched = {}, .sought = {}, .settled = settled_, .log = nullptr},
        &ignored));
    UnchangedOptions options{
        {&data_, &base_, &kPg15, false, 3, 1000, nullptr, &server->options()},
        {HintLogging::kNever, false, false, Lsn(1), settled_, Lsn(wal_.position())},
        1,
        {},
        server->only(),
        server->seen()};
    const BackupDamage damage{[](const BlockTag&) { return false; },
                              [](const std::string&) { return false; }};
    ChangedBlocks changed;
    RETURN_IF_ERROR(CompareUnchangedPages(options, files, &changed, damage, result));
    ClusterInputs inputs{base_, &data_};
    inputs.control = *ReadControlData(data_);
    inputs.wal = {wal_path_};
    return server->EndLook({.options = options_,
                            .inputs = inputs,
                            .settled = settled_,
                            .wal_end = Lsn(wal_.position()),
                            .find_dropping = [] { return std::set<uint32_t>(); }},
                           result);
  }

  const std::string before_ = std::filesystem::current_path();
  TempDirectory directory_;
  const std::string wal_path_ = directory_.path() + "/wal";
  WalWriter wal_;
  Lsn settled_;
  MemoryBackup base_{directory_.path() + "/backup"}, data_{directory_.path()};
  VerifyOptions options_;
};

using Next = RunningServer::Next;

TEST_F(RunningTest, EqualPagesNeedOneLook) {
  const auto server = RunningServer::Find(data_).value();
  VerifyResult result;
  const Status looked = Look(server.get(), &result);
  ASSERT_TRUE(looked) << looked.error().message;
  EXPECT_EQ(server->next(), Next::kNothing);
  server->Finish(&result);
  EXPECT_EQ(result.different, 0u);
  EXPECT_EQ(result.backup.unchanged_compared, 3u);
  ASSERT_TRUE(result.running);
  EXPECT_EQ(result.running->looks.size(), 1u);
  EXPECT_TRUE(result.skipped.empty());
}

// The first half is written already, the second one is not yet.
TEST_F(RunningTest, TornReadIsReadAgain) {
  std::string torn = data_.files[kFile];
  torn.replace(kBlockSize + 4096, 4096, std::string(4096, '\0'));
  data_.at_first[kFile] = {torn};
  const auto server = RunningServer::Find(data_).value();
  VerifyResult result;
  ASSERT_TRUE(Look(server.get(), &result));
  EXPECT_EQ(result.different, 0u);
  EXPECT_EQ(result.backup.unchanged_compared, 2u);
  ASSERT_EQ(server->next(), Next::kNow);
  ASSERT_EQ(server->only()->size(), 1u);
  EXPECT_EQ(server->only()->begin()->block, 1u);
  VerifyResult again;
  ASSERT_TRUE(Look(server.get(), &again));
  AddLook(std::move(again), &result);
  EXPECT_EQ(server->next(), Next::kNothing);
  server->Finish(&result);
  EXPECT_EQ(result.different, 0u);
  EXPECT_EQ(result.backup.unchanged_compared, 3u);
}

TEST_F(RunningTest, WhatStaysDifferentIsDamage) {
  data_.files[kFile].replace(2 * kBlockSize + 8010, 4, "abcd");
  const auto server = RunningServer::Find(data_).value();
  VerifyResult result;
  ASSERT_TRUE(Look(server.get(), &result));
  EXPECT_EQ(server->next(), Next::kNothing);
  server->Finish(&result);
  ASSERT_EQ(result.mismatches.size(), 1u);
  EXPECT_EQ(result.mismatches[0].tag.block, 2u);
  EXPECT_EQ(result.mismatches[0].damage, Damage::kContent);
  EXPECT_EQ(result.backup.unchanged_compared, 3u);
}

// A page whose LSN is newer than WAL is not yet damage, until WAL does not have it.
TEST_F(RunningTest, LsnOfTheFutureIsNoExcuseForLong) {
  data_.files[kFile].replace(0, kBlockSize, Page(uint64_t{1} << 60, 1));
  const auto server = RunningServer::Find(data_).value();
  VerifyResult result;
  ASSERT_TRUE(Look(server.get(), &result));
  EXPECT_EQ(result.different, 0u);
  ASSERT_EQ(server->next(), Next::kNow);
  ASSERT_TRUE(Look(server.get(), &result));
  EXPECT_EQ(server->next(), Next::kNothing);
  server->Finish(&result);
  ASSERT_EQ(result.mismatches.size(), 1u);
  EXPECT_EQ(result.mismatches[0].damage, Damage::kFuture);
}

// Also after all the looks that pages in the middle of a write may cause.
TEST_F(RunningTest, WhatIsProvenIsDecidedInAnyCase) {
  std::string torn = data_.files[kFile];
  torn.replace(kBlockSize + 4096, 4096, std::string(4096, '\0'));
  const auto server = RunningServer::Find(data_).value();
  VerifyResult result;
  for (int look = 0; look < 5; look++) {
    data_.at_first[kFile] = {torn};
    ASSERT_TRUE(Look(server.get(), &result));
    ASSERT_EQ(server->next(), Next::kNow);
  }
  data_.files[kFile].replace(kBlockSize, kBlockSize, Page(uint64_t{1} << 60, 2));
  ASSERT_TRUE(Look(server.get(), &result));
  ASSERT_EQ(server->next(), Next::kNow);
  ASSERT_TRUE(Look(server.get(), &result));
  EXPECT_EQ(server->next(), Next::kNothing);
  server->Finish(&result);
  EXPECT_EQ(result.different, 1u);
  EXPECT_TRUE(result.skipped.empty());
}

// Nothing is called damage that was not read twice, however much there is.
TEST_F(RunningTest, WhatHasNoRoomIsReadAgain) {
  constexpr size_t kPages = RunningLook::kMostSuspects + 50;
  std::string good, bad;
  for (size_t i = 0; i < kPages; i++) good += Page(100, 1);
  for (size_t i = 0; i < kPages; i++) bad += Page(uint64_t{1} << 60, 1);
  base_.files[kFile] = good;
  for (const bool stays_bad : {false, true}) {
    data_.files[kFile] = bad;
    const auto server = RunningServer::Find(data_).value();
    VerifyResult result;
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(result.different, 0u);
    ASSERT_EQ(server->next(), Next::kNow);
    if (!stays_bad) data_.files[kFile] = good;
    data_.at_first[kFile] = {bad};
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(server->next(), stays_bad ? Next::kNothing : Next::kNow);
    EXPECT_EQ(result.different, stays_bad ? kPages : 0u);
    if (!stays_bad) {
      ASSERT_TRUE(Look(server.get(), &result));
    }
    EXPECT_EQ(server->next(), Next::kNothing);
    server->Finish(&result);
    EXPECT_EQ(result.backup.unchanged_compared, kPages);
    EXPECT_EQ(result.damage.size(), stays_bad ? 1u : 0u);
    EXPECT_TRUE(result.skipped.empty());
  }
}

// Blocks that are not there any more may belong to what is being dropped, until another look after a
// checkpoint does not find them either.
TEST_F(RunningTest, MissingBlocksAreLookedForAgain) {
  const std::string cut = data_.files[kFile].substr(0, kBlockSize);
  for (const bool stays_away : {false, true}) {
    data_.files[pg::kControlFile] = Control(6, settled_);
    const auto server = RunningServer::Find(data_).value();
    VerifyResult result;
    data_.at_first[kFile] = {cut};
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(result.different, 0u);
    EXPECT_EQ(server->next(), Next::kFlush);
    EXPECT_EQ(server->only()->size(), 2u);
    data_.files[pg::kControlFile] = Control(6, wal_.written().back().start);
    EXPECT_TRUE(server->Await({}, {}).value());
    if (stays_away) data_.at_first[kFile] = {cut};
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(server->next(), Next::kNothing);
    server->Finish(&result);
    EXPECT_EQ(result.different, stays_away ? 2u : 0u);
    EXPECT_TRUE(result.skipped.empty());
    EXPECT_EQ(result.backup.unchanged_compared, stays_away ? 1u : 3u);
  }
}

TEST_F(RunningTest, FileThatCannotBeOpenedIsTriedAgain) {
  for (const bool stays_so : {false, true}) {
    data_.files[pg::kControlFile] = Control(6, settled_);
    data_.unreadable = {kFile};
    const auto server = RunningServer::Find(data_).value();
    VerifyResult result;
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(result.different, 0u);
    EXPECT_EQ(server->next(), Next::kFlush);
    data_.files[pg::kControlFile] = Control(6, wal_.written().back().start);
    EXPECT_TRUE(server->Await({}, {}).value());
    if (!stays_so) data_.unreadable.clear();
    ASSERT_TRUE(Look(server.get(), &result));
    EXPECT_EQ(server->next(), Next::kNothing);
    server->Finish(&result);
    EXPECT_EQ(result.different, stays_so ? 1u : 0u);
    EXPECT_EQ(result.backup.unchanged_compared, stays_so ? 0u : 3u);
    EXPECT_TRUE(result.skipped.empty());
  }
}

TEST(RunningLooks, LossInTheBackupIsCountedOnce) {
  VerifyResult look;
  Mismatch loss;
  loss.tag = {{1663, 5, 16384}, 0, 7};
  loss.file = kFile;
  loss.in_backup = true;
  loss.damage = Damage::kUnreadable;
  look.mismatches = {loss};
  look.different = look.backup.losses = look.damage[DamageKind(loss)] = 1;
  VerifyResult result = look;
  AddLook(look, &result);
  EXPECT_EQ(result.mismatches.size(), 1u);
  EXPECT_EQ(result.different, 1u);
  EXPECT_EQ(result.backup.losses, 1u);
  EXPECT_EQ(result.damage.at(DamageKind(loss)), 1u);
  loss.tag.block++;
  look.mismatches = {loss};
  AddLook(look, &result);
  EXPECT_EQ(result.backup.losses, 2u);
}

TEST_F(RunningTest, ServerMustStayTheSame) {
  const auto server = RunningServer::Find(data_).value();
  ASSERT_TRUE(server->CheckStillRuns());
  const auto expect = [&](const char* words) {
    const Status status = server->CheckStillRuns();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(status.error().message.find(words), std::string::npos) << status.error().message;
  };
  const std::string process = data_.files["postmaster.pid"];
  data_.files["postmaster.pid"] = fmt::format("{}\n{}\n1700000001\n", getpid(), path());
  expect("was started again");
  data_.files["postmaster.pid"] = process;
  data_.files[pg::kControlFile] = Control(4, settled_);
  expect("was stopped, or crashed (state: in crash recovery)");
  data_.files[pg::kControlFile] = Control(5, settled_);
  expect("was promoted");
  data_.files.erase("postmaster.pid");
  expect("has ended");
}

TEST(RateLimitTest, KeepsToTheRate) {
  RateLimit limit(100'000);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 6; i++) limit.Wait(4000);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took.count(), 0.2);  // of five; nothing waits for the last
}

}  // namespace
}  // namespace neon_redo
