// What must be there follows from the files of the base backup and the records since. Where the
// server may be ahead of WAL, that is no difference: relations are extended by pages that are still
// zeroes (RelationAddExtraBlocks), maps come into being without a record, unlogged relations have
// no records but for their init fork, and WAL does not name the files of a copied database.
#include "cpp_core/verify/file_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/relation_map.h"

namespace neon_redo {

namespace {

// The block at `at` of the file that begins with block 0 of the fork.
BlockTag BlockOf(const BlockTag& fork, uint32_t at) { return {fork.rel, fork.fork, at}; }

// Finds the first block that has been in use, from *at on, and sets *at to it. kPastEnd: there is
// none before `to`. kUnreadable: the block at *at could not be read (files->reason()).
Result<RelationFiles::Found> FindPage(RelationFiles* files, const BlockTag& fork, uint32_t* at,
                                      uint32_t to) {
  using Found = RelationFiles::Found;
  alignas(8) uint8_t page[kBlockSize];
  for (; *at < to; ++*at) {
    ASSIGN_OR_RETURN(const Found found, files->Read(BlockOf(fork, *at), page));
    if (found == Found::kUnreadable) return found;
    // A page that was made ready for use but never logged, because of an error, has no LSN and holds
    // nothing. One that was filled without WAL (wal_level=minimal) has no LSN either.
    const PageView view(page);
    if (found == Found::kPage && !view.is_new() &&
        (view.lsn().valid() || view.line_pointer_count() > 0))
      return found;
  }
  return Found::kPastEnd;
}

}  // namespace

Status FileCheck::TakeBase(const BaseFiles& list, const pg::Version& version, bool reads_all) {
  version_ = &version;
  reads_all_ = reads_all;
  for (const auto& [oid, tablespace] : list.tablespaces)
    if (tablespace.state != BaseTablespace::kThere && !reads_all)
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("tablespace {} of the backup in \"{}\" is not there, or not of "
                                   "this version: pg_tblspc/{} {}",
                                   oid, base_backup_.path(), oid,
                                   tablespace.target.empty()
                                       ? std::string("is no link")
                                       : fmt::format("leads to \"{}\"", tablespace.target)));
  base_ = FindRelationFiles(list, version);
  return CheckNothingStrange(base_, base_backup_.path(), version);
}

bool FileCheck::HasFork(const BlockTag& fork) const {
  const auto state = forks_.find(fork);
  return base_.forks.contains(fork) || !IsDatabaseOfBase(fork.rel.spc, fork.rel.db) ||
         (state != forks_.end() && state->second.kind != ForkState::kAsBefore);
}

bool FileCheck::IsForkOfBase(const BlockTag& fork) const {
  return IsDatabaseOfBase(fork.rel.spc, fork.rel.db) && !forks_.contains(fork);
}

uint32_t FileCheck::BaseEnd(const BlockTag& fork) const {
  if (!IsDatabaseOfBase(fork.rel.spc, fork.rel.db)) return 0;
  const auto state = forks_.find(fork);
  return state == forks_.end() ? UINT32_MAX : state->second.base_end;
}

Lsn FileCheck::CreatedAt(const BlockTag& fork) const {
  const auto state = forks_.find(fork);
  const bool is_made = state != forks_.end() && state->second.kind == ForkState::kCreated;
  return is_made ? state->second.created : Lsn();
}

bool FileCheck::IsCopiedDatabase(uint32_t spc, uint32_t db) const {
  const auto state = databases_.find({spc, db});
  return state != databases_.end() && state->second.kind == ChangeKind::kCopyDatabase;
}

bool FileCheck::IsBlockOfBase(const BlockTag& tag) const {
  const BlockTag fork{tag.rel, tag.fork, 0};
  const auto listed = base_.forks.find(fork);
  return listed != base_.forks.end() && tag.block < listed->second.blocks &&
         tag.block < BaseEnd(fork);
}

Result<std::string> FileCheck::ReadMap(const BaseBackup& files, uint32_t spc, uint32_t db) const {
  auto map = files.ReadWhole(pg::RelationMapPath(*version_, spc, db), size_t{1} << 16);
  if (!map && map.error().code == ErrorCode::kNotFound) return std::string();
  return map;
}

Result<std::string> FileCheck::FinalMap(uint32_t spc, uint32_t db) const {
  if (const auto map = maps_.find({spc, db}); map != maps_.end())
    return std::string(map->second.content.begin(), map->second.content.end());
  return ReadMap(base_backup_, spc, db);
}

void FileCheck::Take(const Change& change, const WalRecord& record) {
  const Event event{record.start, record.end};
  const PageKey& key = change.key;
  const RelFileNode rel = RelationOf(change);
  switch (change.kind) {
    case ChangeKind::kCreateFork:
      // A truncation "creates" what is there already.
      if (!(change.flags & kNewRelationFile)) return;
      if (key.field5 == kMainFork)
        for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++)
          forks_[{rel, fork, 0}] = {ForkState::kAsBefore, 0, event, {}};
      forks_[{rel, key.field5, 0}] = {ForkState::kCreated, 0, event, record.start};
      return;
    case ChangeKind::kTruncateFork: {
      ForkState& state = forks_[{rel, key.field5, 0}];
      state.base_end = std::min(state.base_end, change.number);
      state.last = event;
      return;
    }
    case ChangeKind::kDropRelation:
      for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++)
        forks_[{rel, fork, 0}] = {ForkState::kDropped, 0, event, {}};
      return;
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      return TakeDatabase(change, event);
    case ChangeKind::kRelationMap: {
      Map& map = maps_[{key.field2, key.field3}];
      map.content.assign(change.payload.begin(), change.payload.end());
      map.last = event;
      return;
    }
    default:
      return;
  }
}

void FileCheck::TakeDatabase(const Change& change, const Event& event) {
  const Database database{change.key.field2, change.key.field3};
  databases_[database] = {change.kind, event};
  maps_.erase(database);
  const BlockTag first{{database.first, database.second, 0}};
  const BlockTag last{{database.first, database.second, UINT32_MAX}, kMaxForkNumber, 0};
  forks_.erase(forks_.lower_bound(first), forks_.upper_bound(last));
}

Status FileCheck::Compare(const Expectations& expectations, VerifyResult* result) {
  expectations_ = &expectations;
  disk_ = FindRelationFiles(expectations.on_disk, *version_);
  settled_ = expectations.settled;
  catalog_ = nullptr;
  if (expectations.log != nullptr)
    catalog_ = std::make_unique<Catalog>(*data_, *version_, disk_, expectations.log,
                                         expectations.may_be_prepared, &base_backup_);
  findings_ = Findings();
  files_ = map_files_ = 0;
  std::set<BlockTag> forks;
  for (const auto& [fork, files] : base_.forks) forks.insert(fork);
  for (const auto& [fork, state] : forks_) forks.insert(fork);
  for (const auto& [fork, size] : expectations.touched) forks.insert(fork);
  for (const BlockTag& fork : forks)
    if (fork.fork != kFreeSpaceMapFork && !IsDropping(fork.rel.db) && IsWanted(fork.rel))
      RETURN_IF_ERROR(CheckFork(fork));
  CheckUnknown();
  CheckStrange();
  if (expectations.only == nullptr) {
    CheckDatabases();
    CheckUnknownDatabases();
    RETURN_IF_ERROR(CheckMaps());
  }
  findings_.AddTo(result);
  result->compared["relation files"] += files_;
  result->compared["relation maps"] += map_files_;
  return {};
}

// Whether files must be as they were after the event.
bool FileCheck::IsSettled(const Event& last) {
  const bool settled = !settled_.valid() || last.end <= settled_;
  if (!settled) findings_.Skip(SkipReason::kChangedDuringBackup);
  return settled;
}

FileCheck::Expected FileCheck::Expect(const BlockTag& fork) const {
  const ForkSizes& touched = expectations_->touched;
  Expected out;
  const Database database{fork.rel.spc, fork.rel.db};
  const auto db = databases_.find(database);
  const bool is_of_base = db == databases_.end();
  if (!is_of_base) {
    out.last = db->second.last;
    if (db->second.kind == ChangeKind::kDropDatabase) return out;  // reported as a whole
  }
  const auto base = is_of_base ? base_.forks.find(fork) : base_.forks.end();
  const BlockTag main{fork.rel};
  const bool main_is_known = is_of_base && base_.forks.contains(main);
  if (const auto used = touched.find(fork); used != touched.end()) out.touched = used->second;
  if (const auto used = expectations_->sought.find(fork); used != expectations_->sought.end())
    out.sought = used->second;
  if (base != base_.forks.end()) {
    // An empty file may be what a drop just before the backup has left for the next checkpoint.
    out.kind = base->second.blocks > 0 ? Expected::kThere : Expected::kUnknown;
    out.base = base->second.blocks;
  }
  out.knows_end = main_is_known || base != base_.forks.end();
  const auto state = forks_.find(fork);
  if (state == forks_.end()) return out;
  out.last = state->second.last;
  out.base = std::min(out.base, state->second.base_end);
  if (state->second.base_end == 0) {
    out.knows_end = true;
    out.kind = Expected::kUnknown;
  }
  if (state->second.kind == ForkState::kCreated) out.kind = Expected::kThere;
  if (state->second.kind == ForkState::kDropped) out.kind = Expected::kNone;
  return out;
}

Status FileCheck::CheckFork(const BlockTag& fork) {
  const Expected expected = Expect(fork);
  const auto on_disk = disk_.forks.find(fork);
  if (expected.kind == Expected::kUnknown && on_disk == disk_.forks.end()) return {};
  // The blocks that no record cuts off are there at any time.
  const bool keeps_blocks = expected.kind == Expected::kThere && expected.base > 0;
  if (!IsSettled(expected.last))
    return keeps_blocks && on_disk != disk_.forks.end()
               ? CheckShort(fork, expected, on_disk->second)
           : keeps_blocks ? CheckMissing(fork, expected)
                          : Status();
  files_++;
  if (expected.kind == Expected::kNone) {
    // What is dropped when a checkpoint begins stays until the next, empty.
    const bool is_leftover = settled_.valid() && on_disk != disk_.forks.end() &&
                             on_disk->second.blocks == 0 && on_disk->second.beyond.empty();
    if (on_disk != disk_.forks.end() && expected.touched == 0 && !is_leftover)
      Report(fork, pg::BlockFilePath(*version_, fork), expected.last, Damage::kExtraFile,
             "WAL has dropped the relation, but its file is still there");
  } else if (on_disk != disk_.forks.end()) {
    RETURN_IF_ERROR(CheckShort(fork, expected, on_disk->second));
    return CheckLong(fork, expected, on_disk->second);
  } else {
    return CheckMissing(fork, expected);
  }
  return {};
}

// A fork of an unlogged relation, which WAL does not speak of and a crash makes anew from its init fork.
bool FileCheck::IsUnlogged(const BlockTag& fork) const {
  const BlockTag init{fork.rel, kInitFork, 0};
  return fork.fork != kInitFork && (base_.forks.contains(init) || disk_.forks.contains(init));
}

Status FileCheck::CheckMissing(const BlockTag& fork, const Expected& expected) {
  if (IsUnlogged(fork)) return {};
  // Else each block is reported.
  if (expected.sought > 0 || disk_.strange_files.contains(fork)) return {};
  // VACUUM makes the map before it sets a bit, and does not log that: a standby has no such file.
  if (fork.fork == kVisibilityMapFork) {
    RelationFiles base(&base_backup_, version_);
    uint32_t block = 0;
    ASSIGN_OR_RETURN(const auto found, FindPage(&base, fork, &block, expected.base));
    if (found == RelationFiles::Found::kPastEnd) return {};
    if (found == RelationFiles::Found::kUnreadable && !reads_all_)
      return MakeError(ErrorCode::kIo, base.reason());
  }
  // What a crash has left in the backup's cluster never came to a standby.
  const bool orphan =
      expectations_->may_have_crashed && catalog_ && catalog_->Lacks(fork.rel.db, fork.rel.rel);
  Report(fork, pg::BlockFilePath(*version_, fork), expected.last, Damage::kMissingFile,
         orphan ? "the file is missing on disk, and pg_class does not have it"
                : "the file is missing on disk",
         orphan);
  return {};
}

// Blocks that were looked for are reported one by one, unless a file after the short one has them.
Status FileCheck::CheckShort(const BlockTag& fork, const Expected& expected,
                             const ForkFiles& files) {
  if (IsUnlogged(fork)) return {};
  const uint32_t on_disk = files.blocks;
  const bool is_reported = on_disk < expected.sought && files.beyond.empty();
  if (on_disk >= expected.base || is_reported) return {};
  using Found = RelationFiles::Found;
  RelationFiles base(&base_backup_, version_);
  uint32_t block = on_disk;
  ASSIGN_OR_RETURN(Found found, FindPage(&base, fork, &block, expected.base));
  if (found == Found::kUnreadable && !reads_all_) return MakeError(ErrorCode::kIo, base.reason());
  // Those that cannot be read in the backup are reported with it.
  while (found == Found::kUnreadable && ++block < expected.base) {
    ASSIGN_OR_RETURN(found, FindPage(&base, fork, &block, expected.base));
  }
  if (found == Found::kPage)
    ReportBlock(BlockOf(fork, block), expected.last, Damage::kShortFile,
                fmt::format("the file on disk ends at block {}, but the base backup has {} and WAL "
                            "does not cut them off",
                            on_disk, expected.base));
  return {};
}

// Pages after the end, also in files after one that is not full, which the server never reads.
Status FileCheck::CheckLong(const BlockTag& fork, const Expected& expected,
                            const ForkFiles& on_disk) {
  if (on_disk.oversized) {
    const BlockTag first = BlockOf(fork, *on_disk.oversized * pg::kBlocksPerFile);
    Report(fork, pg::BlockFilePath(*version_, first), expected.last, Damage::kLongFile,
           "the file on disk has more than 1 GB: no server reads the relation");
  }
  if (!expected.knows_end || IsUnlogged(fork)) return {};
  const uint32_t end = std::max(expected.base, expected.touched);
  RelationFiles disk(data_, version_);
  RETURN_IF_ERROR(ReportLong(fork, expected, &disk, end, on_disk.blocks,
                             fmt::format("the file on disk has {} blocks, and this one is in use, "
                                         "but by WAL the file ends at block {}",
                                         on_disk.blocks, end)));
  for (const auto& [number, blocks] : on_disk.beyond) {
    const uint32_t first = number * pg::kBlocksPerFile;
    RETURN_IF_ERROR(ReportLong(fork, expected, &disk, std::max(first, end), first + blocks,
                               fmt::format("this page is in use, but the files before it end at "
                                           "block {}, so that the server does not see it",
                                           on_disk.blocks)));
  }
  return {};
}

// The first page that is in use among these blocks, of which WAL has none.
Status FileCheck::ReportLong(const BlockTag& fork, const Expected& expected, RelationFiles* disk,
                             uint32_t from, uint32_t to, const std::string& why) {
  using Found = RelationFiles::Found;
  ASSIGN_OR_RETURN(const Found found, FindPage(disk, fork, &from, to));
  const BlockTag tag = BlockOf(fork, from);
  if (found == Found::kUnreadable) {
    ReportBlock(tag, expected.last, Damage::kUnreadable, disk->reason());
  } else if (found == Found::kPage) {
    const bool orphan = IsOrphan(fork);
    const char* what = orphan ? ": a crash has ended the transaction that made the file, which "
                                "PostgreSQL does not remove"
                              : "";
    ReportBlock(tag, expected.last, Damage::kLongFile, why + what, orphan);
  }
  return {};
}

// WAL has made the file, but pg_class does not have it: a crash has ended the transaction, which
// neither committed nor aborted. Some commands write such a file before WAL is flushed (log_newpage
// and smgrextend in CREATE INDEX, VACUUM FULL, CLUSTER and SET TABLESPACE). The record that makes it
// need not have a transaction ID.
bool FileCheck::IsOrphan(const BlockTag& fork) {
  const auto state = forks_.find({fork.rel, kMainFork, 0});
  return state != forks_.end() && state->second.kind == ForkState::kCreated && catalog_ &&
         catalog_->Lacks(fork.rel.db, fork.rel.rel);
}

bool FileCheck::IsKnown(const RelFileNode& rel) const {
  const auto has = [&](const auto& files) {
    const auto at = files.lower_bound(BlockTag{rel, 0, 0});
    return at != files.end() && at->first.rel == rel;
  };
  return has(base_.forks) || has(forks_) || has(expectations_->touched);
}

bool FileCheck::IsLost(const RelFileNode& rel) const {
  return expectations_->is_lost && expectations_->is_lost(rel);
}

bool FileCheck::IsKnownDatabase(uint32_t db) const {
  const auto has = [db](const auto& database) { return database.second == db; };
  return std::any_of(base_.databases.begin(), base_.databases.end(), has) ||
         std::any_of(databases_.begin(), databases_.end(),
                     [&](const auto& found) { return has(found.first); });
}

bool FileCheck::IsKnownDirectory(uint32_t spc, uint32_t db) const {
  return base_.databases.contains({spc, db}) || databases_.contains({spc, db});
}

// A database is copied before that is logged (CREATE DATABASE with STRATEGY file_copy, ALTER DATABASE
// ... SET TABLESPACE). So a crash, or the end of the backup to compare with, may come in between.
bool FileCheck::MayBeBeforeItsRecord() const {
  return expectations_->may_have_crashed || settled_.valid();
}

// One block of a relation's file.
void FileCheck::ReportBlock(const BlockTag& tag, const Event& last, Damage damage,
                            std::string problem, bool note) {
  Add(tag, pg::BlockFilePath(*version_, tag), last, damage, std::move(problem), note);
}

// A file or directory as a whole.
void FileCheck::Report(const BlockTag& tag, std::string file, const Event& last, Damage damage,
                       std::string problem, bool note) {
  Add({tag.rel, tag.fork, kNoBlockNumber}, std::move(file), last, damage, std::move(problem), note);
}

void FileCheck::Add(const BlockTag& tag, std::string file, const Event& last, Damage damage,
                    std::string problem, bool note) {
  Mismatch mismatch;
  mismatch.tag = tag;
  mismatch.lsn = last.end;
  mismatch.last_start = last.start;
  mismatch.file = std::move(file);
  mismatch.damage = damage;
  mismatch.problem = std::move(problem);
  if (note)
    findings_.Note(std::move(mismatch));
  else
    findings_.Damaged(std::move(mismatch));
}

}  // namespace neon_redo
