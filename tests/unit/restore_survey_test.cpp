// Which checkpoint a restore rolls forward to, and what is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/restore/survey.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

class SurveyTest : public ::testing::Test {
 protected:
  SurveyTest() { Append(kRmXlog, layout::xlog::kNoop, "begin"); }

  Lsn Append(uint8_t rmid, uint8_t info, const std::string& data) {
    return wal_.AppendData(rmid, info, data).start;
  }
  template <typename T>
  static std::string Of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
  }
  Lsn Heap() { return Append(kRmHeap, 0, "changes a page, for all that is looked at"); }
  Lsn Checkpoint(Lsn redo) {
    std::string data(88, '\0');
    const pg::CheckPointLayout& at = kPg15.checkpoint;
    const uint32_t timeline = 1, multixact = 1;
    std::memcpy(data.data(), &redo.value, 8);
    std::memcpy(data.data() + 8, &timeline, 4);
    std::memcpy(data.data() + 12, &timeline, 4);
    std::memcpy(data.data() + at.next_multixact, &multixact, 4);
    return Append(kRmXlog, layout::xlog::kCheckpointOnline, data);
  }
  Lsn EndOfBackup() { return Append(kRmXlog, layout::xlog::kBackupEnd, Of(Start().value)); }
  Lsn Commit(int64_t time) { return Append(kRmXact, layout::xact::kCommit, Of(time)); }
  Lsn CopyDatabase() {
    return Append(
        kRmDbase, layout::dbase::kCreateFileCopy,
        Of(layout::dbase::CreateFileCopy{
            .database = 9, .tablespace = 1663, .source_database = 8, .source_tablespace = 1663}));
  }
  Lsn CreateTablespace(const std::string& path) {
    const uint32_t oid = 16400;
    return Append(kRmTblspc, layout::tblspc::kCreate, Of(oid) + path + std::string(1, '\0'));
  }
  Lsn Parameters(int32_t wal_level) {
    layout::xlog::ParameterChange change{};
    change.wal_level = wal_level;
    return Append(kRmXlog, layout::xlog::kParameterChange, Of(change));
  }
  Lsn Start() const { return wal_.written()[0].start; }

  Result<Survey> Run(const std::string& to = "latest", Lsn consistent_at = {}) {
    wal_.Save(directory_.path());
    const auto base = DataDirectory("/base");
    ClusterInputs inputs{*base, nullptr};
    inputs.control.version = &kPg15;
    inputs.label.start = Start();
    inputs.label.timeline = 1;
    inputs.consistent_at = consistent_at;
    auto set = WalSet::Open(directory_.path());
    EXPECT_TRUE(set) << set.error().message;
    inputs.set = std::move(*set);
    return SurveyWal(inputs, {}, *ParseRestoreTarget(to), {});
  }
  // Of the checkpoint's record; 0: there is none.
  Lsn PointOf(const Result<Survey>& survey) {
    EXPECT_TRUE(survey) << survey.error().message;
    return survey && survey->point ? survey->point->start : Lsn();
  }

  TempDirectory directory_;
  WalWriter wal_;
};

TEST_F(SurveyTest, TheLastCheckpointAfterTheBackup) {
  Checkpoint(Heap());
  EndOfBackup();
  EXPECT_EQ(PointOf(Run()), Lsn());
  Checkpoint(Heap());
  const Lsn redo = Heap();
  Heap();
  const Lsn last = Checkpoint(redo);
  Heap();
  const auto survey = Run();
  EXPECT_EQ(PointOf(survey), last);
  EXPECT_EQ(survey->point->checkpoint.redo, redo);
  EXPECT_EQ(survey->point->content.size(), 88u);
  EXPECT_EQ(survey->start, Start());
  EXPECT_EQ(survey->end, wal_.written().back().end);
}

TEST_F(SurveyTest, NoneAfterTheTarget) {
  EndOfBackup();
  const Lsn first = Checkpoint(Heap());
  Commit(40);
  const Lsn between = Heap();
  Commit(60);
  const Lsn second = Checkpoint(Heap());
  EXPECT_EQ(PointOf(Run(between.ToString())), first);
  EXPECT_EQ(PointOf(Run("time:2000-01-01 00:00:00.000050Z")), first);
  // The target is the checkpoint itself, which recovery replays.
  EXPECT_EQ(PointOf(Run(second.ToString())), second);
  EXPECT_EQ(PointOf(Run(Lsn(second.value - 1).ToString())), second);
  const auto survey = Run("time:2000-01-01 00:00:00.000050Z");
  EXPECT_EQ(survey->last_transaction, 40);
}

TEST_F(SurveyTest, NothingIsReplayedAgainThatWouldGoWrong) {
  EndOfBackup();
  const Lsn first = Checkpoint(Heap());
  const Lsn redo = Heap();
  const Lsn copy = CopyDatabase();
  Checkpoint(redo);  // the copy lies between its redo point and itself
  EXPECT_EQ(PointOf(Run()), first);
  Checkpoint(copy);
  EXPECT_EQ(PointOf(Run()), first);
  const Lsn second = Checkpoint(Heap());
  EXPECT_EQ(PointOf(Run()), second);
  const Lsn third_redo = Heap();
  const Lsn made = CreateTablespace("/srv/a");
  Checkpoint(third_redo);
  const auto survey = Run();
  EXPECT_EQ(PointOf(survey), second);
  EXPECT_EQ(survey->copied_databases, std::vector<Lsn>{copy});
  ASSERT_EQ(survey->new_tablespaces.size(), 1u);
  EXPECT_EQ(survey->new_tablespaces[0].oid, 16400u);
  EXPECT_EQ(survey->new_tablespaces[0].path, "/srv/a");
  EXPECT_EQ(survey->new_tablespaces[0].start, made);
}

TEST_F(SurveyTest, SettingsAreThoseBeforeTheCheckpoint) {
  EndOfBackup();
  Checkpoint(Heap());
  EXPECT_EQ(Run()->point->parameters, "");
  Parameters(1);
  EXPECT_EQ(Run()->point->parameters, "");
  Checkpoint(Heap());
  EXPECT_EQ(Run()->point->parameters.size(), sizeof(layout::xlog::ParameterChange));
}

TEST_F(SurveyTest, WalOfLevelMinimal) {
  EndOfBackup();
  Commit(40);
  const Lsn last = Heap();
  Parameters(0);
  const auto survey = Run();
  ASSERT_FALSE(survey);
  EXPECT_EQ(survey.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(survey.error().message.find("; the last point that can be reached is "),
            std::string::npos);
  EXPECT_TRUE(Run(last.ToString()));
}

TEST_F(SurveyTest, TargetsThatCannotBe) {
  Heap();
  const Lsn in_backup = Heap();
  const auto incomplete = Run();
  ASSERT_FALSE(incomplete);
  EXPECT_EQ(incomplete.error().code, ErrorCode::kNotFound);
  EXPECT_NE(incomplete.error().message.find("before the end of the backup"), std::string::npos);
  EndOfBackup();
  Commit(40);
  const auto too_early = Run(in_backup.ToString());
  ASSERT_FALSE(too_early);
  EXPECT_EQ(too_early.error().code, ErrorCode::kInvalidArgument);
  const auto never = Run("name:never");
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, ErrorCode::kNotFound);
  EXPECT_NE(never.error().message.find("the last point that can be reached is " +
                                       wal_.written().back().end.ToString()),
            std::string::npos)
      << never.error().message;
}

TEST_F(SurveyTest, ABackupWhoseEndNoRecordSays) {
  const Lsn early = Checkpoint(Heap());
  const Lsn consistent = Heap();
  EXPECT_EQ(PointOf(Run("latest", consistent)), Lsn());
  const Lsn late = Checkpoint(Heap());
  EXPECT_EQ(PointOf(Run("latest", consistent)), late);
  EXPECT_EQ(PointOf(Run("latest", early)), late);
  EXPECT_FALSE(Run("latest", Lsn(late.value + 1000)));
}

}  // namespace
}  // namespace neon_redo
