// A checkpoint is one that the server can begin at if
//  - it comes after the end of the backup, since pages are consistent only from there on;
//  - recovery to the target replays it;
//  - nothing between its redo point and itself would go wrong if it were replayed over files that are ahead. That
//    is a copy of a database, which would copy the template as it has become, and a new tablespace, which
//    would be linked to where it was on the other machine.
#include "cpp_core/restore/survey.h"

#include <fmt/format.h>

#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

// Records of others say nothing that is looked for here.
bool IsLookedAt(uint8_t rmid) {
  return rmid == kRmXact || rmid == kRmXlog || rmid == kRmDbase || rmid == kRmTblspc;
}

std::string TextOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Surveyor {
 public:
  Surveyor(const ClusterInputs& inputs, const VerifyOptions& wal, const RestoreTarget& target)
      : in_(inputs), wal_(wal), target_(target), search_(target), view_(*inputs.control.version) {}

  Result<Survey> Run(const ProgressFunction& progress);

 private:
  Result<bool> Take(const WalRecord& record);
  Status TakeChanges(const WalRecord& record);
  void TakeCheckpoint(const Change& change, const WalRecord& record);
  Status Check(const WalReader& reader) const;
  Status Parse(const WalRecord& record);
  std::string LastPoint() const;

  const ClusterInputs& in_;
  const VerifyOptions& wal_;
  const RestoreTarget& target_;
  TargetSearch search_;
  Survey out_;
  RecordView view_;
  Ingest ingest_;
  ChangeList changes_;
  std::string parameters_;
  bool backup_ended_ = false, reached_ = false;
  Lsn unrepeatable_;  // start of the last such record
};

std::string Surveyor::LastPoint() const {
  std::string out = fmt::format("the last point that can be reached is {}", out_.end.ToString());
  if (const auto time = search_.last_transaction())
    out += fmt::format(", whose last transaction ended at {}", TimestampText(*time));
  return out;
}

Status Surveyor::Parse(const WalRecord& record) {
  changes_.clear();
  if (!IsLookedAt(LoadNative<RecordHeader>(record.bytes.data()).rmid)) return {};
  RETURN_IF_ERROR(ParseRecord(record, &view_));
  if (const RecordFault fault = ingest_.TakeBeyondBlocks(view_, &changes_))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  return {};
}

// Whether recovery goes on after the record.
Result<bool> Surveyor::Take(const WalRecord& record) {
  RETURN_IF_ERROR(Parse(record));
  if (search_.StopsBefore(record, view_, changes_)) {
    reached_ = true;
    out_.read_end = record.end;
    return false;
  }
  RETURN_IF_ERROR(TakeChanges(record));
  out_.end = out_.read_end = record.end;
  reached_ = search_.StopsAfter(record, view_, changes_);
  return !reached_;
}

Status Surveyor::TakeChanges(const WalRecord& record) {
  if (in_.consistent_at.valid()) backup_ended_ |= record.start >= in_.consistent_at;
  for (const Change& change : changes_) {
    switch (change.kind) {
      case ChangeKind::kBackupEnd:
        backup_ended_ |= Lsn(static_cast<uint64_t>(change.time)) == in_.label.start;
        break;
      case ChangeKind::kParameters:
        if (Status level = pg::CheckWalLevel(change.payload, record.start); !level) {
          level.error().message += "; " + LastPoint();
          return level;
        }
        parameters_ = TextOf(change.payload);
        break;
      case ChangeKind::kCheckpoint:
        TakeCheckpoint(change, record);
        break;
      case ChangeKind::kCopyDatabase:
        unrepeatable_ = record.start;
        out_.copied_databases.push_back(record.start);
        break;
      case ChangeKind::kCreateTablespace:
        unrepeatable_ = record.start;
        out_.new_tablespaces.push_back({change.number, TextOf(change.payload), record.start});
        break;
      default:
        break;
    }
  }
  return {};
}

void Surveyor::TakeCheckpoint(const Change& change, const WalRecord& record) {
  const auto checkpoint = pg::ReadCheckPoint(change.payload, *in_.control.version);
  if (!backup_ended_ || !checkpoint || checkpoint->redo > record.start ||
      checkpoint->redo < in_.label.start ||
      (unrepeatable_.valid() && checkpoint->redo <= unrepeatable_))
    return;
  out_.point = {record.start, record.end, *checkpoint, TextOf(change.payload), parameters_};
}

Status Surveyor::Check(const WalReader& reader) const {
  const std::string wal = NamePaths(in_.set->given());
  if (reader.error())
    return MakeError(reader.error()->code,
                     fmt::format("{}; {}", reader.error()->message, LastPoint()));
  const bool is_latest = target_.kind == RestoreTarget::Kind::kLatest;
  if (!reached_ && !is_latest)
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("recovery to {} is not possible: the WAL in {} does not reach it ({}); {}",
                    target_.Text(), wal, reader.end_reason(), LastPoint()));
  const bool is_consistent =
      backup_ended_ || (in_.consistent_at.valid() && out_.end >= in_.consistent_at);
  if (is_consistent) return {};
  if (is_latest)
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before the end of the backup in {}: the backup "
                    "cannot be made consistent; add the missing segments",
                    wal, out_.end.ToString(), reader.end_reason(), in_.base.path()));
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("recovery to {} is not possible: it would stop at {}, before the end "
                  "of the backup in {}: take an older backup, or a later target",
                  target_.Text(), out_.end.ToString(), in_.base.path()));
}

Result<Survey> Surveyor::Run(const ProgressFunction& progress) {
  ASSIGN_OR_RETURN(const auto reader,
                   OpenWal(*in_.set, {.from = in_.label.start, .timeline = in_.Timeline(wal_)}));
  out_.start = out_.end = out_.read_end = in_.label.start;
  WalRecord record;
  uint64_t records = 0;
  while (reader->Next(&record)) {
    ASSIGN_OR_RETURN(const bool goes_on, Take(record));
    if (!goes_on) break;
    if (++records % 4096 == 0 && progress)
      progress({"looking through WAL", record.end - in_.label.start, reader->bytes_total()});
  }
  RETURN_IF_ERROR(Check(*reader));
  out_.last_transaction = search_.last_transaction();
  return std::move(out_);
}

}  // namespace

Result<Survey> SurveyWal(const ClusterInputs& inputs, const VerifyOptions& wal,
                         const RestoreTarget& target, const ProgressFunction& progress) {
  return Surveyor(inputs, wal, target).Run(progress);
}

}  // namespace neon_redo
