#include "cpp_core/verify/ledger_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/verify/ledger_check.h"

namespace neon_redo {

Lsn LedgerRun::read_from() const {
  if (!resumes()) return now_.start;
  return std::max(now_.start, Lsn(NumberOf(before_->redo) * now_.segment_size));
}

void LedgerRun::Take(const WalRecord& record) {
  if (resumes() && !has_replayed_ && record.start >= before_->redo) {
    has_replayed_ = true;
    if (record.start != before_->redo)
      Doubt(fmt::format("no record begins at {}, where the last checkpoint's redo begins",
                        before_->redo.ToString()));
  }
  if (resumes() && !is_checked_ && IsNew(record.start)) CheckProven();
  if (!is_checked_) last_end_ = record.end;
  const uint64_t number = NumberOf(record.start);
  if (number != number_) {
    number_ = number;
    sum_ = &sums_[number];
  }
  *sum_ += RecordSum(record);
}

void LedgerRun::EndOfWal() {
  if (resumes() && !is_checked_) CheckProven();
}

// The WAL that was read once more is the one that was proven.
void LedgerRun::CheckProven() {
  is_checked_ = true;
  const uint64_t first = NumberOf(before_->start);
  bool is_same = last_end_ == before_->end;
  for (uint64_t number = NumberOf(before_->redo); number <= before_->segments.back().number;
       number++) {
    const auto sum = sums_.find(number);
    is_same &= before_->segments[number - first].sum == (sum == sums_.end() ? 0 : sum->second);
  }
  if (!is_same)
    Doubt(fmt::format("the WAL before {} is not as it was on {}", before_->end.ToString(),
                      LedgerTime(before_->proven_at)));
}

void LedgerRun::AddMade(const BlockTag& tag) {
  const std::lock_guard lock(mutex_);
  made_.Add(tag);
}

bool LedgerRun::HasMade(const BlockTag& tag) const {
  const std::lock_guard lock(mutex_);
  return made_.Contains(tag);
}

void LedgerRun::Doubt(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (doubt_.empty()) doubt_ = why;
}

void LedgerRun::Prove(Proof proof) {
  is_proven_ = true;
  now_.redo = proof.redo;
  now_.end = proof.end;
  now_.backup_end = proof.backup_end;
  now_.last_transaction = proof.last_transaction;
  now_.state = std::move(proof.state);
  if (!resumes())
    for (LedgerContent& content : now_.contents)
      if (const auto found = proof.contents->find(content.name); found != proof.contents->end())
        content.hash = found->second;
  for (LedgerSegment& segment : now_.segments)
    if (const auto sum = sums_.find(segment.number); sum != sums_.end()) segment.sum = sum->second;
}

tl::expected<Ledger, std::string> LedgerRun::Finish(int64_t now) const {
  if (!is_proven_) return tl::unexpected<std::string>("nothing is proven");
  if (now_.redo < now_.start)
    return tl::unexpected<std::string>("WAL has no checkpoint since the backup's start");
  Ledger out = now_;
  out.proven_at = now;
  out.read_all_at = resumes() ? before_->read_all_at : now;
  const uint64_t last = (out.end.value - 1) / out.segment_size;
  std::erase_if(out.segments, [last](const LedgerSegment& s) { return s.number > last; });
  const uint64_t first = NumberOf(out.start);
  for (size_t i = 0; i < out.segments.size(); i++)
    if (out.segments[i].number != first + i)
      return tl::unexpected<std::string>("segments came while the command ran");
  if (out.segments.size() != last - first + 1)
    return tl::unexpected<std::string>("segments came while the command ran");
  return out;
}

namespace {

int64_t SecondsNow() { return static_cast<int64_t>(std::time(nullptr)); }

// One verification, and the ledger before and after it.
class LedgerVerifier {
 public:
  LedgerVerifier(const VerifyOptions& options, const BaseBackup& base, const VerifyWith& verify)
      : options_(options), base_(base), verify_(verify) {}

  Result<VerifyResult> Run() {
    RETURN_IF_ERROR(CheckLedgerPlace(options_.ledger));
    if (options_.reads_all) {
      use_.why_all = "--full was given";
    } else {
      ASSIGN_OR_RETURN(auto read, ReadLedger(options_.ledger));
      before_ = std::move(read.ledger);
      use_.why_all = read.why_not;
    }
    if (before_) {
      ASSIGN_OR_RETURN(auto result, Resume());
      if (result) return *std::move(result);
    }
    return ReadAll();
  }

 private:
  // Nothing: all must be read (use_.why_all).
  Result<std::optional<VerifyResult>> Resume() {
    ASSIGN_OR_RETURN(auto inputs, ReadClusterInputs(options_, base_, nullptr));
    ASSIGN_OR_RETURN(auto inventory, TakeInventory(inputs));
    ASSIGN_OR_RETURN(const auto fit, FitLedger(options_, inputs, *before_, &inventory));
    if (fit.is_same_line) wal_end_ = before_->end;
    use_.why_all = fit.why_not;
    if (!fit.why_not.empty()) return std::nullopt;
    LedgerRun run(std::move(inventory), &*before_);
    ASSIGN_OR_RETURN(auto result, verify_(std::move(inputs), &run));
    use_.why_all = run.doubt();
    if (use_.why_all.empty() && result.different > 0)
      use_.why_all = "something was wrong, which only a run over all may say";
    if (!use_.why_all.empty()) return std::nullopt;
    use_.relied = true;
    use_.files = before_->contents.size();
    use_.files_read_again = fit.files_read_again;
    use_.segments =
        before_->redo.value / before_->segment_size - before_->start.value / before_->segment_size;
    use_.segments_read_again = fit.segments_read_again;
    use_.proven_to = before_->end;
    use_.proven_at = before_->proven_at;
    use_.read_all_at = before_->read_all_at;
    Write(run);
    result.ledger = use_;
    return result;
  }

  // What was proven before may be damaged on disk without a trace: a run that ends otherwise than well leaves
  // no ledger.
  Result<VerifyResult> ReadAll() {
    ASSIGN_OR_RETURN(auto inputs, ReadClusterInputs(options_, base_, nullptr));
    ASSIGN_OR_RETURN(auto inventory, TakeInventory(inputs));
    LedgerRun run(std::move(inventory), nullptr);
    auto result = verify_(std::move(inputs), &run);
    if (!result) {
      if (!IsShortage(result.error().code)) result.error().message += Remove();
      return result;
    }
    if (result->end < wal_end_)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("WAL is missing that was there on {}: it went up to {}, and ends "
                      "at {} now ({}); put it back, or give --full to verify what there "
                      "is",
                      LedgerTime(before_->proven_at), wal_end_.ToString(), result->end.ToString(),
                      result->end_reason));
    use_.read_all_at = SecondsNow();
    if (result->different == 0) {
      Write(run);
    } else if (std::string trouble = Remove(); !trouble.empty()) {
      use_.why_not_written = "damage was found" + trouble;
    }
    result->ledger = use_;
    return result;
  }

  // What has become of the verification does not depend on it: a ledger that could not be written is the old one,
  // which is still right.
  void Write(const LedgerRun& run) {
    const auto ledger = run.Finish(SecondsNow());
    if (!ledger) {
      use_.why_not_written = ledger.error();
      return;
    }
    const Status written = WriteLedger(options_.ledger, *ledger);
    use_.written = written.has_value();
    if (!written) use_.why_not_written = written.error().message;
  }

  // Trouble with that, as the end of a message: it has to be done by hand then.
  std::string Remove() {
    const Status removed = RemoveLedger(options_.ledger);
    return removed ? "" : fmt::format("; and remove the ledger: {}", removed.error().message);
  }

  const VerifyOptions& options_;
  const BaseBackup& base_;
  const VerifyWith& verify_;
  std::optional<Ledger> before_;
  Lsn wal_end_;  // that the same WAL had before; 0: not known
  LedgerUse use_;
};

}  // namespace

Result<VerifyResult> VerifyWithLedger(const VerifyOptions& options, const BaseBackup& base,
                                      const VerifyWith& verify) {
  return LedgerVerifier(options, base, verify).Run();
}

Status CheckLedgerOptions(const VerifyOptions& options, bool compares) {
  const auto refuse = [](const char* why) {
    return MakeError(ErrorCode::kInvalidArgument, std::string("a ledger is of a backup and all its "
                                                              "WAL: ") +
                                                      why);
  };
  if (options.ledger.empty()) return {};
  if (compares) return refuse("nothing can be compared with it");
  if (options.until_lsn || options.until_time) return refuse("replay to a target proves less");
  if (options.quick) return refuse("a quick run proves less");
  if (options.engine == Engine::kNative)
    return refuse("the native engine alone leaves records out");
  if (!options.restore_command.empty())
    return refuse("a restore command cannot list the segments that it has");
  return {};
}

void SaveIngest(const Ingest& ingest, StateWriter* out) {
  const Ingest::Memory memory = ingest.memory();
  const ClusterState& state = memory.state;
  out->Add(state.next_xid);
  for (const uint32_t number : {state.next_oid, state.next_multixact, state.next_multixact_offset,
                                state.oldest_xid, state.oldest_multixact, state.timeline})
    out->Add(number);
  out->Add(state.checkpoint_redo);
  out->Add(state.track_commit_timestamp);
  out->Add(memory.last_offsets_page);
  out->Add(memory.early_offsets_page);
}

Ingest LoadIngest(StateReader* in) {
  Ingest::Memory memory;
  ClusterState& state = memory.state;
  state.next_xid = in->Get<uint64_t>();
  for (uint32_t* number : {&state.next_oid, &state.next_multixact, &state.next_multixact_offset,
                           &state.oldest_xid, &state.oldest_multixact, &state.timeline})
    *number = in->Get<uint32_t>();
  state.checkpoint_redo = in->GetLsn();
  state.track_commit_timestamp = in->Get<bool>();
  memory.last_offsets_page = in->Get<int64_t>();
  memory.early_offsets_page = in->Get<int64_t>();
  Ingest ingest;
  ingest.Remember(memory);
  return ingest;
}

}  // namespace neon_redo
