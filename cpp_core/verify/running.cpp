#include "cpp_core/verify/running.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/relation_files.h"

namespace neon_redo {

namespace {

constexpr std::chrono::milliseconds kPause{100};  // more than it takes to write a page
constexpr int kReadAgain = 3;
constexpr int kMostRepeatedLooks = 5;

// Its first three lines: the process, the directory, when it was started (CreateLockFile).
Result<std::string> ReadProcess(const BaseBackup& data) {
  ASSIGN_OR_RETURN(const auto text, data.ReadIfThere("postmaster.pid", kMaxSmallFile));
  size_t end = 0;
  for (int line = 0; text && line < 3 && end != std::string::npos; line++)
    end = text->find('\n', end + (line > 0));
  return text ? text->substr(0, end) : std::string();
}

void Subtract(uint64_t* count, uint64_t by) { *count -= std::min(*count, by); }

// The mismatch is none after all.
void Remove(const Mismatch& mismatch, VerifyResult* result) {
  Subtract(&result->different, mismatch.blocks);
  uint64_t& kind = result->damage[DamageKind(mismatch)];
  Subtract(&kind, mismatch.blocks);
  if (kind == 0) result->damage.erase(DamageKind(mismatch));
  if (!mismatch.rmid) return;
  Subtract(&result->by_rmgr[*mismatch.rmid].different, mismatch.blocks);
  Subtract(&result->by_rmgr[*mismatch.rmid].rebuilt, mismatch.blocks);
}

bool HasLoss(const VerifyResult& result, const Mismatch& loss) {
  return std::any_of(result.mismatches.begin(), result.mismatches.end(), [&](const Mismatch& m) {
    return m.in_backup && m.tag == loss.tag && m.file == loss.file && m.damage == loss.damage;
  });
}

void AddCounts(const VerifyResult& from, VerifyResult* to) {
  to->pages_compared += from.pages_compared;
  to->pages_replayed += from.pages_replayed;
  to->pages_spilled += from.pages_spilled;
  to->different += from.different;
  to->not_listed += from.not_listed;
  to->notes_not_listed += from.notes_not_listed;
  to->engines.Add(from.engines);
  to->backup.unchanged_compared += from.backup.unchanged_compared;
  to->backup.losses += from.backup.losses;
  for (const auto& [kind, count] : from.compared) to->compared[kind] += count;
  for (const auto& [kind, count] : from.damage) to->damage[kind] += count;
  for (const auto& [reason, count] : from.skipped) to->skipped[reason] += count;
  to->mismatches.insert(to->mismatches.end(), from.mismatches.begin(), from.mismatches.end());
  to->notes.insert(to->notes.end(), from.notes.begin(), from.notes.end());
  for (size_t rmid = 0; rmid < to->by_rmgr.size(); rmid++) {
    to->by_rmgr[rmid].rebuilt += from.by_rmgr[rmid].rebuilt;
    to->by_rmgr[rmid].equal += from.by_rmgr[rmid].equal;
    to->by_rmgr[rmid].different += from.by_rmgr[rmid].different;
  }
}

}  // namespace

void AddLook(VerifyResult look, VerifyResult* result) {
  std::erase_if(look.mismatches, [&](const Mismatch& mismatch) {
    if (!mismatch.in_backup || !HasLoss(*result, mismatch)) return false;
    Remove(mismatch, &look);
    Subtract(&look.backup.losses, mismatch.blocks);
    return true;
  });
  AddCounts(look, result);
  result->end = look.end;
  result->end_reason = look.end_reason;
  result->last_transaction = look.last_transaction;
  result->wal_bytes = look.wal_bytes;
  result->records = look.records;
}

void TouchedForks::Take(const RecordView& record, const ChangeList& others) {
  for (const Change& change : others) {
    const RelFileNode rel = RelationOf(change);
    if (change.kind == ChangeKind::kTruncateFork) {
      const auto fork = sizes_.find({rel, change.key.field5, 0});
      if (fork != sizes_.end()) fork->second = std::min(fork->second, change.number);
    } else if (change.kind == ChangeKind::kDropRelation) {
      Forget({rel, 0, 0}, {rel, kMaxForkNumber, 0});
    } else if (change.kind == ChangeKind::kCreateDatabase ||
               change.kind == ChangeKind::kCopyDatabase ||
               change.kind == ChangeKind::kDropDatabase) {
      Forget({{rel.spc, rel.db, 0}, 0, 0}, {{rel.spc, rel.db, UINT32_MAX}, kMaxForkNumber, 0});
    }
  }
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* ref = record.block(id);
    if (ref == nullptr || ref->tag.fork == kFreeSpaceMapFork) continue;
    uint32_t& end = sizes_[{ref->tag.rel, ref->tag.fork, 0}];
    end = std::max(end, ref->tag.block + 1);
  }
}

void TouchedForks::Forget(const BlockTag& first, const BlockTag& last) {
  sizes_.erase(sizes_.lower_bound(first), sizes_.upper_bound(last));
}

Result<std::unique_ptr<RunningServer>> RunningServer::Find(const BaseBackup& data) {
  std::unique_ptr<RunningServer> server(new RunningServer(data));
  ASSIGN_OR_RETURN(server->process_, ReadProcess(data));
  ASSIGN_OR_RETURN(server->control_, ReadControlData(data));
  return server;
}

Status RunningServer::CheckStillRuns() const {
  const auto ended = [&](const std::string& what) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the server that ran on {} {} while the command compared its "
                                 "files, so nothing is known of them: begin again",
                                 data_.path(), what));
  };
  ASSIGN_OR_RETURN(const auto process, FindServer(data_));
  if (!process) return ended("has ended");
  ASSIGN_OR_RETURN(const std::string now, ReadProcess(data_));
  if (now != process_) return ended("was started again");
  ASSIGN_OR_RETURN(const ControlData control, ReadControlData(data_));
  if (control.in_recovery != control_.in_recovery) return ended("was promoted");
  if (control.state != control_.state)
    return ended(fmt::format("was stopped, or crashed (state: {})", control.state));
  if (control.timeline != control_.timeline)
    return ended(fmt::format("has gone over to timeline {}", control.timeline));
  return {};
}

Status RunningServer::BeginLook() {
  seen_.clear();
  others_ = {};
  others_.version = control_.version;
  earlier_ = std::exchange(sightings_, {});
  doubtful_ = 0;
  look_began_ = Clock::now();
  ASSIGN_OR_RETURN(const ControlData control, ReadControlData(data_));
  redo_at_begin_ = control.redo;
  return {};
}

// The pages that were not as they must be, again after a pause and again: those that have other bytes now.
Result<std::set<BlockTag>> RunningServer::ReadAgain() const {
  std::set<BlockTag> rewritten;
  std::vector<std::pair<BlockTag, uint64_t>> pages;  // with their hashes
  for (const RunningLook& look : seen_) {
    for (const RunningLook::Suspect& suspect : look.suspects)
      if (suspect.disk_hash != 0) pages.emplace_back(suspect.mismatch.tag, suspect.disk_hash);
    for (const RunningLook::Brief& brief : look.briefs)
      pages.emplace_back(brief.tag, brief.disk_hash);
  }
  if (pages.empty()) return rewritten;
  RelationFiles files(&data_, control_.version);
  alignas(64) uint8_t page[kBlockSize];
  for (int time = 0; time < kReadAgain; time++) {
    std::this_thread::sleep_for(kPause);
    for (const auto& [tag, hash] : pages) {
      ASSIGN_OR_RETURN(const auto found, files.Read(tag, page));
      if (found != RelationFiles::Found::kPage || HashPage(page) != hash) rewritten.insert(tag);
    }
  }
  return rewritten;
}

// The blocks of what was seen.
std::set<BlockTag> RunningServer::Wanted() const {
  std::set<BlockTag> out;
  const auto add = [&out](const Mismatch& mismatch) {
    for (uint32_t i = 0; i < mismatch.blocks; i++)
      out.insert({mismatch.tag.rel, mismatch.tag.fork, mismatch.tag.block + i});
  };
  for (const RunningLook& look : seen_) {
    out.insert(look.newer.begin(), look.newer.end());
    for (const RunningLook::Suspect& suspect : look.suspects) add(suspect.mismatch);
    for (const RunningLook::Brief& brief : look.briefs) out.insert(brief.tag);
  }
  for (const Mismatch& mismatch : others_.mismatches) add(mismatch);
  return out;
}

Status RunningServer::ReadWal(const Look& look, RecentWal* recent) const {
  const ClusterInputs& in = look.inputs;
  const uint32_t timeline = in.control.timeline;
  ASSIGN_OR_RETURN(const auto set, OpenWalOf(look.options, in, look.settled, timeline));
  if (Status read = recent->Read(set, timeline, look.settled, in.control.next_full_xid,
                                 in.control.track_commit_timestamp);
      !read)
    return tl::unexpected(WalError(in, std::move(read.error())));
  // The primary of a standby may be started again.
  const Lsn restart = is_standby() ? Lsn() : recent->RestartAfter(control_.checkpoint);
  if (!restart.valid()) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the server that runs on {} was stopped or has crashed, and was "
                               "started again at {}, while the command compared its files: begin "
                               "again",
                               data_.path(), restart.ToString()));
}

Status RunningServer::EndLook(const Look& look, VerifyResult* result) {
  settled_ = look.settled;
  ASSIGN_OR_RETURN(auto rewritten, ReadAgain());
  auto dropping = look.find_dropping();
  const std::set<BlockTag> wanted = Wanted();
  RecentWal recent(*control_.version, wanted);
  RETURN_IF_ERROR(ReadWal(look, &recent));
  RETURN_IF_ERROR(CheckStillRuns());
  ASSIGN_OR_RETURN(const ControlData control, ReadControlData(data_));
  redo_at_end_ = control.redo;
  const Evidence evidence{recent, std::move(rewritten), std::move(dropping)};
  Decide(evidence, result);
  DecideOthers(evidence);
  looks_.push_back({look.settled, look.wal_end,
                    result->pages_compared + result->backup.unchanged_compared, only_.size()});
  return {};
}

// Blocks that a look leaves to the next.
struct RunningServer::Undecided {
  std::set<BlockTag> waiting;  // for a checkpoint, or until WAL is flushed
  std::set<BlockTag> urgent;
  std::set<BlockTag> proven;  // of these
};

void RunningServer::Decide(const Evidence& evidence, VerifyResult* result) {
  Undecided left;
  Findings found;
  for (const RunningLook& look : seen_) {
    left.waiting.insert(look.undecided.begin(), look.undecided.end());
    Subtract(&result->backup.unchanged_compared, look.unchanged);
    for (const BlockTag& tag : look.newer) {
      const bool is_newer = evidence.wal.Changes(tag) || evidence.wal.ChangesRelation(tag.rel) ||
                            evidence.dropping.contains(tag.rel.db);
      if (!is_newer) left.proven.insert(tag);
      (is_newer ? left.waiting : left.urgent).insert(tag);
    }
    for (const RunningLook::Suspect& suspect : look.suspects)
      DecideSuspect(suspect, evidence, &left, &found, result);
    for (const RunningLook::Brief& brief : look.briefs)
      DecideSuspect(Described(brief), evidence, &left, &found, result);
  }
  found.AddTo(result);
  // What is proven is decided by the next look, however many there were.
  is_urgent_ =
      !left.proven.empty() || (!left.urgent.empty() && ++urgent_looks_ <= kMostRepeatedLooks);
  options_.proven = std::move(left.proven);
  undecided_ = left.waiting.size();
  only_ = std::move(left.waiting);
  only_.merge(left.urgent);
}

RunningLook::Suspect RunningServer::Described(const RunningLook::Brief& brief) const {
  Mismatch mismatch;
  mismatch.tag = brief.tag;
  mismatch.file = pg::BlockFilePath(*control_.version, brief.tag);
  mismatch.damage = brief.damage;
  mismatch.problem =
      fmt::format("{}the page on disk is not as it must be", brief.is_unchanged ? kNotChanged : "");
  return {std::move(mismatch), brief.rmid, brief.is_unchanged, brief.disk_hash};
}

void RunningServer::DecideSuspect(const RunningLook::Suspect& suspect, const Evidence& evidence,
                                  Undecided* left, Findings* found, VerifyResult* result) {
  const Mismatch& mismatch = suspect.mismatch;
  const bool is_file = mismatch.tag.block == kNoBlockNumber;
  const bool has_page = suspect.disk_hash != 0;
  const auto leave = [&](std::set<BlockTag>* to) {
    const uint32_t first = is_file ? suspect.first_block : mismatch.tag.block;
    const uint32_t blocks = is_file ? suspect.file_blocks : mismatch.blocks;
    for (uint32_t i = 0; i < blocks; i++)
      to->insert({mismatch.tag.rel, mismatch.tag.fork, first + i});
  };
  if (evidence.Excuses(mismatch)) return leave(&left->waiting);
  if (evidence.rewritten.contains(mismatch.tag)) return leave(&left->urgent);
  // A database is removed before that is in WAL.
  if (!has_page && !IsConfirmed(mismatch)) return leave(&left->waiting);
  Mismatch one = mismatch;
  for (one.blocks = 1; one.tag.block - mismatch.tag.block < mismatch.blocks; one.tag.block++) {
    if (suspect.is_unchanged)
      found->Damaged(one);
    else
      found->Different(suspect.rmid, true, one);
    if (is_file) break;
  }
  if (!has_page) return;
  if (suspect.is_unchanged) {
    result->backup.unchanged_compared++;
  } else {
    result->pages_compared++;
    result->compared["relation pages"]++;
  }
}

// Another look has found it, so long ago that its WAL would be there by now.
bool RunningServer::IsConfirmed(const Mismatch& mismatch) {
  const Key key{mismatch.tag, mismatch.file, mismatch.damage};
  const auto before = earlier_.find(key);
  Sighting& now = sightings_[key];
  now = before != earlier_.end() ? before->second : Sighting{Clock::now(), redo_at_end_};
  now.is_confirmed = before != earlier_.end() && IsReady(now, look_began_, redo_at_begin_);
  return now.is_confirmed;
}

void RunningServer::DecideOthers(const Evidence& evidence) {
  std::erase_if(others_.mismatches, [&](const Mismatch& mismatch) {
    if (mismatch.in_backup || !evidence.Excuses(mismatch)) return false;
    Remove(mismatch, &others_);
    doubtful_ += mismatch.blocks;
    return true;
  });
  for (const Mismatch& mismatch : others_.mismatches)
    if (!mismatch.in_backup) IsConfirmed(mismatch);
}

RunningServer::Next RunningServer::next() const {
  if (is_urgent_) return Next::kNow;
  const bool is_doubtful =
      std::any_of(sightings_.begin(), sightings_.end(),
                  [](const auto& sighting) { return !sighting.second.is_confirmed; });
  if (is_doubtful && flush_looks_ < kMostRepeatedLooks) return Next::kFlush;
  // Files and pages of SLRUs.
  const bool others_wait =
      others_.skipped.contains(SkipName({SkipReason::kChangedDuringBackup}, nullptr));
  return undecided_ > 0 || others_wait ? Next::kCheckpoint : Next::kNothing;
}

Result<bool> RunningServer::Await(Clock::time_point deadline, const ProgressFunction& progress) {
  const Next awaited = next();
  if (awaited == Next::kNow) return true;
  if (awaited == Next::kFlush) flush_looks_++;
  const auto is_ready = [&](Lsn redo) {
    if (awaited == Next::kCheckpoint) return redo > settled_;
    return std::all_of(sightings_.begin(), sightings_.end(), [&](const auto& sighting) {
      return sighting.second.is_confirmed || IsReady(sighting.second, Clock::now(), redo);
    });
  };
  for (;;) {
    RETURN_IF_ERROR(CheckStillRuns());
    ASSIGN_OR_RETURN(const ControlData control, ReadControlData(data_));
    if (is_ready(control.redo)) return true;
    if (awaited == Next::kCheckpoint && Clock::now() >= deadline) return false;
    if (progress) progress({"waiting for a checkpoint", 0, 0});
    std::this_thread::sleep_for(kPause);
  }
}

void RunningServer::Finish(VerifyResult* result) {
  std::erase_if(others_.mismatches, [&](const Mismatch& mismatch) {
    const auto seen = sightings_.find({mismatch.tag, mismatch.file, mismatch.damage});
    if (mismatch.in_backup || seen == sightings_.end() || seen->second.is_confirmed) return false;
    Remove(mismatch, &others_);
    doubtful_ += mismatch.blocks;
    return true;
  });
  AddCounts(others_, result);
  if (const uint64_t left = only_.size() + doubtful_; left > 0)
    result->skipped[kUndecidedOnRunning] += left;
  result->running = RunningCluster{is_standby(), looks_};
}

}  // namespace neon_redo
