// A checkpoint writes the state of each prepared transaction to a file: the data of its PREPARE
// record, then their CRC (RecreateTwoPhaseFile in access/transam/twophase.c). The end of the
// transaction removes the file.
#include "cpp_core/verify/two_phase_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/data_directory.h"

namespace neon_redo {

namespace {

// Paths of the files, and the transaction by each name.
using Files = std::map<std::string, uint32_t>;

Files FilesOf(const BaseFiles& list, const pg::Version& version) {
  const std::string below = fmt::format("{}/", pg::kTwoPhaseDirectory);
  Files out;
  for (auto file = list.files.lower_bound(below);
       file != list.files.end() && file->first.starts_with(below); ++file)
    if (const auto xid =
            pg::ParseTwoPhaseName(version, std::string_view(file->first).substr(below.size())))
      out[file->first] = *xid;
  return out;
}

}  // namespace

Status TwoPhaseCheck::ReadBase(const BaseBackup& base, const BaseFiles& list,
                               const pg::Version& version, uint64_t next_full_xid, CommitLog* log,
                               bool reads_all) {
  version_ = &version;
  for (const auto& [file, xid] : FilesOf(list, version)) {
    if (file != pg::TwoPhasePath(version, xid, next_full_xid)) continue;  // no server reads it
    auto content = base.ReadIfThere(file, kMaxSmallFile);
    if (!content && (!reads_all || IsShortage(content.error().code)))
      return tl::unexpected(content.error());
    if (!content) unreadable_[file] = content.error().message;
    if (!content) continue;
    of_base_.insert(xid);
    const CommitLog::Fate fate = log->Of(xid);
    states_[xid].content = std::move(*content);
    states_[xid].is_stale =
        fate == CommitLog::Fate::kCommitted || fate == CommitLog::Fate::kAborted;
  }
  return {};
}

void TwoPhaseCheck::Take(const Change& change, const WalRecord& record) {
  if (change.kind == ChangeKind::kFinishPrepared) {
    states_[change.number] = {std::nullopt, record.start, record.end, false};
  } else if (change.kind == ChangeKind::kPrepare) {
    std::string content(change.payload.begin(), change.payload.end());
    const uint32_t crc = Crc32c(change.payload);
    content.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
    states_[change.number] = {std::move(content), record.start, record.end, false};
  }
}

// ReadTwoPhaseFile, which ends the server's start.
void TwoPhaseCheck::CheckBase(uint64_t next_full_xid, const std::set<std::string>& missing,
                              Findings* findings) const {
  for (const auto& [file, why] : unreadable_) {
    if (missing.contains(file)) continue;
    Mismatch mismatch;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = file;
    mismatch.damage = Damage::kUnreadable;
    mismatch.problem = why;
    mismatch.in_backup = true;
    findings->Damaged(std::move(mismatch));
  }
  for (const auto& [xid, state] : states_) {
    if (!state.content || state.end.valid() || state.is_stale) continue;
    const auto* bytes = reinterpret_cast<const uint8_t*>(state.content->data());
    const size_t size = state.content->size();
    if (size > 4 && LoadNative<uint32_t>(bytes + size - 4) == Crc32c(Bytes(bytes, size - 4)))
      continue;
    Mismatch mismatch;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = pg::TwoPhasePath(*version_, xid, next_full_xid);
    if (missing.contains(mismatch.file)) continue;
    mismatch.damage = Damage::kChecksum;
    mismatch.problem =
        "the state file of a prepared transaction has a checksum that does not fit its "
        "content: no server starts with it; take a new backup";
    mismatch.in_backup = true;
    findings->Damaged(std::move(mismatch));
  }
}

std::map<uint32_t, const std::string*> TwoPhaseCheck::PreparedBefore(Lsn lsn) const {
  std::map<uint32_t, const std::string*> out;
  for (const auto& [xid, state] : states_)
    if (state.content && !state.is_stale && state.end <= lsn) out[xid] = &*state.content;
  return out;
}

bool TwoPhaseCheck::HasPrepared() const {
  return !unreadable_.empty() || std::any_of(states_.begin(), states_.end(), [](const auto& found) {
    return found.second.content.has_value() && !found.second.is_stale;
  });
}

Status TwoPhaseCheck::Compare(const BaseBackup& data, const BaseFiles& list, uint64_t next_full_xid,
                              Lsn settled, const IsLost& is_lost, VerifyResult* result) const {
  Findings findings;
  Files left = FilesOf(list, *version_);
  const auto report = [&](const std::string& file, const State& state, Damage damage,
                          std::string problem) {
    Mismatch mismatch;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = file;
    mismatch.lsn = state.end;
    mismatch.last_start = state.start;
    mismatch.damage = damage;
    mismatch.problem = std::move(problem);
    findings.Damaged(std::move(mismatch));
  };
  for (const auto& [xid, state] : states_) {
    // While a backup is taken transactions are prepared and end.
    const bool is_later = settled.valid() && state.end > settled;
    const std::string file = pg::TwoPhasePath(*version_, xid, next_full_xid);
    const bool was_there = left.erase(file) > 0;
    if (is_later || state.is_stale) continue;
    if (!state.content) {
      if (was_there)
        report(file, state, Damage::kExtraFile,
               "WAL ends the prepared transaction, but its state file is still there");
      continue;
    }
    result->compared[pg::kTwoPhaseDirectory]++;
    const auto content = data.ReadIfThere(file, kMaxSmallFile);
    if (!content && IsShortage(content.error().code)) return tl::unexpected(content.error());
    if (!content) {
      report(file, state, Damage::kUnreadable, content.error().message);
    } else if (!*content) {
      report(file, state, Damage::kMissingFile,
             "the state file of a prepared transaction is missing on disk");
    } else if (**content == *state.content) {
      continue;
    } else if ((*content)->size() < state.content->size()) {
      report(file, state, Damage::kShortFile,
             fmt::format("the state file of a prepared transaction has {} bytes, by WAL {}",
                         (*content)->size(), state.content->size()));
    } else if (std::all_of((*content)->begin(), (*content)->end(), [](char c) { return c == 0; })) {
      report(file, state, Damage::kZeroed,
             "the state file of a prepared transaction is all zeroes");
    } else {
      report(file, state, Damage::kContent,
             "the state file of a prepared transaction is not that of WAL");
    }
  }
  if (!settled.valid())
    for (const auto& [file, xid] : left)
      if (!unreadable_.contains(file) && !(is_lost && is_lost(file)))
        report(file, {}, Damage::kExtraFile,
               "neither the base backup nor WAL has this prepared transaction");
  findings.AddTo(result);
  return {};
}

}  // namespace neon_redo
