// The verifier's way through WAL: what each record changes, and where replay ends.
#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/verify/cluster_verifier.h"
#include "cpp_core/wal/open.h"

namespace neon_redo {

Status ClusterVerifier::CheckEnd(const WalReader& reader, const ReplayEnd& replay_end,
                                 Lsn last) const {
  const std::string end = reader.end_of_wal().ToString();
  const std::string wal = NamePaths(in_.set->given());
  if (!compares()) {
    const Lsn replayed = replay_end.reached() ? replay_end.end() : reader.end_of_wal();
    const bool is_at_end = in_.consistent_at.valid() && replayed >= in_.consistent_at;
    const bool ended = backup_ended_ || is_at_end;
    RETURN_IF_ERROR(replay_end.Check(reader, wal, in_.base.path(), ended));
    if (ended) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before the end of the backup in {}: the "
                    "backup cannot be made consistent; add the missing segments",
                    wal, end, reader.end_reason(), in_.base.path()));
  }
  // All WAL that there is, with the cluster's own.
  const bool reads_all = in_.crashed || in_.running;
  if (reads_all && last >= in_.control.checkpoint) return {};
  if (in_.second.start.valid() && !reads_all) {
    if (in_.of_standby ? reader.end_of_wal() >= second_end_ : second_end_.valid()) return {};
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in {} ends at {} ({}), before {} {}: add the missing segments", wal,
                    end, reader.end_reason(),
                    in_.of_standby ? "the minimum recovery point of" : "the end of the backup in",
                    in_.data->path()));
  }
  if (last < in_.control.checkpoint)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL in {} ends at {} ({}), but the last checkpoint of the "
                                 "cluster in {} is at {}: add the missing segments",
                                 wal, end, reader.end_reason(), in_.data->path(),
                                 in_.control.checkpoint.ToString()));
  if (last > in_.control.checkpoint)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("the WAL in {} has no record at {}, where {} has its shutdown "
                                 "checkpoint: it is not this cluster's WAL",
                                 wal, in_.control.checkpoint.ToString(), in_.data->path()));
  return {};
}

std::string ClusterVerifier::EndReason(const WalReader& reader, const ReplayEnd& end) const {
  if (in_.crashed || in_.running) return end.Reason(reader);
  return compares() ? EndOfCompared() : end.Reason(reader);
}

std::string ClusterVerifier::EndOfCompared() const {
  if (in_.second.start.valid())
    return fmt::format("the {} {} was reached",
                       in_.of_standby ? "minimum recovery point of" : "end of the backup in",
                       in_.data->path());
  return fmt::format("the shutdown checkpoint of {} was reached", in_.data->path());
}

Status ClusterVerifier::ReadAll(PageReplay* replay, bool first_pass) {
  if (wanted_ != nullptr) return ReadWanted(replay, first_pass);
  const Lsn from = ledger_ != nullptr ? ledger_->read_from() : in_.label.start;
  auto opened = OpenWal(
      *in_.set, {.from = from, .timeline = resumes() ? in_.wal_timeline : in_.Timeline(options_)});
  if (!opened) return tl::unexpected(WalError(in_, std::move(opened.error())));
  WalReader& reader = **opened;
  const uint64_t total = compares() && !in_.second.start.valid()
                             ? in_.control.checkpoint - in_.label.start
                             : reader.bytes_total();
  Lsn last;
  uint64_t records = 0;
  free_space_map_ = 0;
  WalRecord record;
  ReplayEnd end(options_);
  // A server may write WAL as fast as it is read.
  const Lsn enough = std::max(in_.control.checkpoint, in_.label.start + reader.bytes_total());
  const auto has_read_enough = [&] { return in_.running && last > enough; };
  while (!HasEnded(last) && !end.reached() && !has_read_enough() && reader.Next(&record)) {
    ASSIGN_OR_RETURN(const bool stops, end.StopsBefore(record, &view_));
    if (stops) break;
    last = record.start;
    if (ledger_ != nullptr && first_pass) ledger_->Take(record);
    if (ledger_ == nullptr || ledger_->Replays(record.start))
      RETURN_IF_ERROR(Take(record, first_pass, replay));
    end.Took(record);
    if (++records % 4096 == 0 && options_.progress)
      options_.progress({first_pass ? "reading WAL" : "reading WAL again", last - from, total});
  }
  if (reader.error()) return tl::unexpected(WalError(in_, *reader.error()));
  if (ledger_ != nullptr && first_pass) ledger_->EndOfWal();
  if (Status ended = CheckEnd(reader, end, last); !ended)
    return tl::unexpected(WalError(in_, std::move(ended.error())));
  TakeEnd(reader, end, has_read_enough());
  result_.start = from;
  result_.wal_bytes = result_.end - from;
  result_.records = records;
  if (first_pass)
    result_.wal_notes.insert(result_.wal_notes.end(), reader.notes().begin(), reader.notes().end());
  return {};
}

void ClusterVerifier::TakeEnd(const WalReader& reader, const ReplayEnd& end, bool has_enough) {
  result_.end = end.reached() ? end.end() : reader.end_of_wal();
  result_.end_reason =
      has_enough ? "more was not there when the look began" : EndReason(reader, end);
  result_.last_transaction = end.last_transaction();
  if (!result_.last_transaction && resumes())
    result_.last_transaction = ledger_->before().last_transaction;
}

Status ClusterVerifier::Take(const WalRecord& record, bool first_pass, PageReplay* replay) {
  RETURN_IF_ERROR(ParseRecord(record, &view_));
  // An earlier run may have taken it.
  const bool is_new = first_pass && (ledger_ == nullptr || ledger_->IsNew(record.start));
  // WAL need not have a record of the end.
  if (in_.consistent_at.valid()) backup_ended_ |= record.start >= in_.consistent_at;
  for (int id = 0; id <= view_.max_block_id(); id++) {
    const BlockRef* ref = view_.block(id);
    free_space_map_ += ref != nullptr && ref->tag.fork == kFreeSpaceMapFork;
  }
  const RecordFault fault =
      is_new ? ingest_.TakeBeyondBlocks(view_, &others_) : TakeRelationChanges(view_, &others_);
  if (fault)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  if (is_new && proves_backup()) proof_.Take(record, view_, others_, backup_ended_);
  if (first_pass && earlier_ != nullptr) forks_.Take(view_, others_);
  RETURN_IF_ERROR(replay->Take(record, view_, others_));
  return is_new && !others_.empty() ? TakeOthers(record) : Status();
}

// Takes the record's changes to what is no relation's page.
Status ClusterVerifier::TakeOthers(const WalRecord& record) {
  for (const Change& change : others_) {
    if (change.kind == ChangeKind::kBackupEnd) {
      const Lsn start(static_cast<uint64_t>(change.time));
      backup_ended_ |= start == in_.label.start;
      if (start == in_.label.start) result_.backup_end = record.end;
      if (!in_.of_standby && start == in_.second.start) second_end_ = record.start;
    }
    if (change.kind == ChangeKind::kParameters) RETURN_IF_ERROR(TakeParameters(change, record));
    switched_ |= change.kind == ChangeKind::kTimeline && change.number != change.number2;
    restarted_ |= change.kind == ChangeKind::kTimeline ||
                  (change.kind == ChangeKind::kCheckpoint && change.flags != 0 &&
                   (in_.running || record.start != in_.control.checkpoint));
    if (ledger_ != nullptr) ledger_->Take(change);
    files_.Take(change, record);
    if (wanted_ != nullptr) continue;
    two_phase_.Take(change, record);
    RETURN_IF_ERROR(slrus_.Take(change, record, view_.rmid()));
  }
  return {};
}

Status ClusterVerifier::TakeParameters(const Change& change, const WalRecord& record) {
  RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, record.start));
  const auto parameters = pg::ReadParameterChange(change.payload);
  hints_changed_ |= (parameters->wal_log_hints != 0) != in_.base_control.wal_log_hints;
  return {};
}

}  // namespace neon_redo
