// Three sources say what a backup must have.
//
// The manifest has each file with its size and checksum. It knows nothing of what was wrong before the
// backup was taken.
//
// The pages themselves have headers and checksums. But an online backup copies a page while the server
// writes it. The copy is then torn, and recovery makes it good: the page's first record after the
// backup's start has an image of it or makes it anew. So a bad page is set aside when it is read. It is
// good again when the first record of it before the backup's end makes it whole, or when its relation is
// dropped, truncated or made by WAL. It is damaged if that record needs what was there before, or if
// there is none. Pages of the visibility map may be torn without an image, because records that clear
// bits do not log the map's page; the server reads such a page as zeroes. The free space map is not
// logged either.
//
// pg_control, the WAL and the catalogues say which files there must be (backup_slru.h,
// backup_catalog.h); they need no manifest.
#include "cpp_core/verify/backup_proof.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/verify/backup_slru.h"

namespace neon_redo {

namespace {

constexpr const char* kPutBack = "put it back from another copy of this backup, or take a new one";

std::string LinkPath(uint32_t tablespace) { return fmt::format("pg_tblspc/{}", tablespace); }

// Nothing: the file is of no tablespace with a link.
std::optional<uint32_t> TablespaceOf(std::string_view path) {
  if (!path.starts_with(pg::kTablespaceLinks)) return std::nullopt;
  path.remove_prefix(pg::kTablespaceLinks.size());
  return pg::ParseOid(path.substr(0, path.find('/')));
}

}  // namespace

Status BackupProof::Read(const ControlData& control, const BaseFiles& list,
                         const std::map<BlockTag, ForkFiles>& forks, bool has_manifest) {
  control_ = control;
  list_ = &list;
  counts_.was_read = true;
  counts_.has_checksums = control.checksums;
  counts_.files = list.files.size();
  FindGaps(forks);
  const auto links = base_.Links();
  counts_.has_manifest = !links.empty();
  for (const BaseBackup* link : links) RETURN_IF_ERROR(ReadLink(*link));
  if (links.empty() && has_manifest) {
    ASSIGN_OR_RETURN(manifest_, ReadManifest(base_));
    counts_.has_manifest = manifest_.has_value();
  }
  ReportAbsentDirectories();
  RETURN_IF_ERROR(CheckTablespaces());
  if (manifest_) CheckManifestFiles(base_, list, *manifest_);
  ReportLost();
  BackupReadOptions read{&base_, control.version, control.checksums, options_.jobs,
                         options_.progress};
  read.keeps_contents = !options_.ledger.empty();
  ASSIGN_OR_RETURN(auto result, ReadBackupFiles(read, list, manifest_ ? &*manifest_ : nullptr));
  TakeCounts(result);
  counts_.pages = result.pages;
  bad_ = std::move(result.bad_pages);
  contents_ = std::move(result.contents);
  missing_.merge(result.unreadable);
  if (result.bad_pages_not_kept > 0)
    Report({}, "base", Damage::kChecksum,
           fmt::format("{} more pages are damaged than are looked at one by one",
                       result.bad_pages_not_kept));
  manifest_.reset();
  return {};
}

void BackupProof::TakeCounts(const BackupReadResult& result) {
  findings_.Add(result.findings);
  counts_.files_read += result.files;
  counts_.bytes_read += result.bytes;
  counts_.files_by_checksum += result.checksums;
}

// One backup of a chain, by its own manifest: all its files as they lie there.
Status BackupProof::ReadLink(const BaseBackup& link) {
  ASSIGN_OR_RETURN(const auto manifest, ReadManifest(link));
  if (!manifest) counts_.has_manifest = false;
  if (!manifest) return {};
  ASSIGN_OR_RETURN(const auto list, link.List());
  CheckManifestFiles(link, list, *manifest);
  BackupReadOptions read{&link, control_.version, false, options_.jobs, options_.progress};
  read.checksums_only = true;
  ASSIGN_OR_RETURN(const auto result, ReadBackupFiles(read, list, &*manifest));
  TakeCounts(result);
  return {};
}

// Nothing: there is none, or it is damaged, which is reported.
Result<std::optional<BackupManifest>> BackupProof::ReadManifest(const BaseBackup& backup) {
  const std::string name(backup.manifest_name());
  auto manifest = backup.Manifest();
  if (!manifest && manifest.error().code != ErrorCode::kCorrupt) return manifest;
  if (!manifest) {
    Report({}, name, Damage::kChecksum,
           manifest.error().message + "; the backup is checked without it");
    return std::nullopt;
  }
  if (!*manifest) return manifest;
  const auto& identifier = (*manifest)->system_identifier;
  if (identifier.value_or(control_.system_identifier) != control_.system_identifier)
    Report({}, name, Damage::kContent,
           fmt::format("the manifest is of a cluster with system identifier {}, but pg_control has "
                       "{}: one of them is of another backup",
                       *identifier, control_.system_identifier));
  for (const ManifestWalRange& range : (*manifest)->wal_ranges)
    manifest_end_ = std::max(manifest_end_, range.end);
  return manifest;
}

Status BackupProof::CheckTablespaces() {
  ASSIGN_OR_RETURN(const auto map, base_.ReadIfThere(kTablespaceMapFile, kMaxSmallFile));
  std::set<uint32_t> wanted;
  if (map)
    for (const auto& [oid, path] : ParseTablespaceMap(*map)) wanted.insert(oid);
  std::map<uint32_t, uint64_t> files;  // of each, by the manifest or the list
  if (manifest_)
    for (const ManifestFile& file : manifest_->files)
      if (const auto oid = TablespaceOf(file.path)) files[*oid]++;
  for (const std::string& path : base_.Lost())
    if (const auto oid = TablespaceOf(path)) files[*oid]++;
  for (const auto& [oid, count] : files) wanted.insert(oid);
  const auto report = [&](uint32_t oid, const std::string& what) {
    const auto count = files.find(oid);
    const bool has_files = count != files.end();
    lost_tablespaces_[oid] =
        what +
        (has_files ? fmt::format(" ({} files by {})", count->second, base_.manifest_name()) : "") +
        "; link it to the tablespace's copy in the backup";
    if (has_files) missing_.insert(LinkPath(oid));
  };
  for (const uint32_t oid : wanted)
    if (!list_->tablespaces.contains(oid)) report(oid, "the link of the tablespace is missing");
  for (const auto& [oid, tablespace] : list_->tablespaces) {
    if (tablespace.state == BaseTablespace::kBroken)
      report(oid, fmt::format("the link of the tablespace is broken: there is no directory \"{}\"",
                              tablespace.target));
    if (tablespace.state == BaseTablespace::kNoVersion)
      report(oid, fmt::format("the tablespace has no directory {}: it is not the backup's",
                              control_.version->tablespace_directory));
  }
  return {};
}

// Once it is known which of them were dropped while the backup was taken. Of those it needs nothing.
void BackupProof::ReportTablespaces() {
  for (auto& [oid, problem] : lost_tablespaces_) {
    if (dropped_tablespaces_.contains(oid) && !missing_.contains(LinkPath(oid))) continue;
    missing_.insert(LinkPath(oid));
    Report({}, LinkPath(oid), Damage::kMissingFile, std::move(problem));
  }
}

// Which files there are and how long. What they contain is read later.
void BackupProof::CheckManifestFiles(const BaseBackup& backup, const BaseFiles& list,
                                     const BackupManifest& manifest) {
  const bool is_link = &backup != &base_;
  const std::string of_link = is_link ? fmt::format(" of the backup in \"{}\"", backup.path()) : "";
  const auto report = [&](const std::string& path, Damage damage, std::string problem,
                          bool note = false) {
    const auto tag = pg::ParseRelationPath(*control_.version, path);
    if (!note && !is_link) missing_.insert(path);
    Report(tag.value_or(BlockTag{}), path, damage, std::move(problem), note);
  };
  for (const ManifestFile& file : manifest.files) {
    if (IsIgnoredByManifest(file.path)) continue;
    const auto found = list.files.find(file.path);
    if (found == list.files.end()) {
      if (IsInLostTablespace(file.path)) continue;
      report(file.path, Damage::kMissingFile,
             fmt::format("the file{} is missing: {} has it with {} bytes; {}", of_link,
                         backup.manifest_name(), file.size, kPutBack));
    } else if (!found->second.strange.empty()) {
      report(file.path, Damage::kUnreadable,
             fmt::format("in the place of a file{} stands {}", of_link, found->second.strange));
    } else if (found->second.size != file.size) {
      report(file.path, found->second.size < file.size ? Damage::kShortFile : Damage::kLongFile,
             fmt::format("the file{} has {} bytes, but {} by {}; {}", of_link, found->second.size,
                         file.size, backup.manifest_name(), kPutBack));
    }
  }
  for (const auto& [path, file] : list.files)
    if (!IsIgnoredByManifest(path) && manifest.Find(path) == nullptr)
      report(path, Damage::kExtraFile,
             fmt::format("the file{} is not in {}", of_link, backup.manifest_name()), true);
}

bool BackupProof::IsInLostTablespace(const std::string& path) const {
  const auto oid = TablespaceOf(path);
  return oid && missing_.contains(LinkPath(*oid));
}

void BackupProof::ReportLost() {
  for (const std::string& path : base_.Lost())
    if (!IsInLostTablespace(path) && missing_.insert(path).second)
      Report(pg::ParseRelationPath(*control_.version, path).value_or(BlockTag{}), path,
             Damage::kMissingFile,
             fmt::format("the file is missing: {} lists it, and the backup does not have it; {}",
                         base_.manifest_name(), kPutBack));
}

void BackupProof::ReportAbsentDirectories() {
  for (const auto& [name, what] : AbsentDirectories(*list_)) {
    missing_.insert(name);
    Report({}, name, what.empty() ? Damage::kMissingFile : Damage::kUnreadable,
           what.empty() ? fmt::format("the directory is missing; {}", kPutBack)
                        : fmt::format("in the place of a directory stands {}", what));
  }
}

void BackupProof::FindGaps(const std::map<BlockTag, ForkFiles>& forks) {
  for (const auto& [fork, files] : forks)
    for (const auto& [number, blocks] : files.beyond)
      if (blocks > 0) {
        gaps_[fork] = {files.blocks, number * pg::kBlocksPerFile};
        break;
      }
}

// All bad pages from one block to another, both included.
void BackupProof::MakeGood(const BlockTag& from, const BlockTag& to) {
  const auto first = bad_.lower_bound(from), last = bad_.upper_bound(to);
  counts_.pages_made_good += static_cast<uint64_t>(std::distance(first, last));
  bad_.erase(first, last);
}

void BackupProof::Take(const WalRecord& record, const RecordView& view, const ChangeList& others,
                       bool ended) {
  for (const Change& change : others) {
    if (change.kind == ChangeKind::kCreateTablespace || change.kind == ChangeKind::kDropTablespace)
      tablespaces_.insert(change.number);
    if (known_) known_->Take(change);
  }
  if (ended || (manifest_end_.valid() && record.start >= manifest_end_)) return;
  for (const Change& change : others)
    if (change.kind == ChangeKind::kDropTablespace) dropped_tablespaces_.insert(change.number);
  if (bad_.empty() && gaps_.empty()) return;
  for (int id = 0; id <= view.max_block_id(); id++)
    if (const BlockRef* ref = view.block(id)) TakeBlock(*ref);
  for (const Change& change : others) TakeChange(change);
}

void BackupProof::TakeBlock(const BlockRef& ref) {
  if (const auto gap = gaps_.find({ref.tag.rel, ref.tag.fork, 0});
      gap != gaps_.end() && ref.tag.block >= gap->second.first &&
      ref.tag.block < gap->second.second)
    gaps_.erase(gap);
  const auto bad = bad_.find(ref.tag);
  if (bad == bad_.end()) return;
  if (ref.initialises() || ref.tag.fork == kVisibilityMapFork) {
    MakeGood(ref.tag, ref.tag);
  } else {
    read_bad_.insert(*bad);
    bad_.erase(bad);
  }
}

void BackupProof::TakeChange(const Change& change) {
  const RelFileNode rel = RelationOf(change);
  switch (change.kind) {
    case ChangeKind::kClearVisibility:
    case ChangeKind::kTruncateVisibility:
      return MakeGood(BlockOf(change), BlockOf(change));
    case ChangeKind::kCreateFork:
      if (change.flags & kNewRelationFile)
        MakeGood({rel, change.key.field5, 0}, {rel, change.key.field5, UINT32_MAX});
      return;
    case ChangeKind::kTruncateFork:
      if (const auto gap = gaps_.find({rel, change.key.field5, 0});
          gap != gaps_.end() && change.number < gap->second.second)
        gaps_.erase(gap);
      return MakeGood({rel, change.key.field5, change.number},
                      {rel, change.key.field5, UINT32_MAX});
    case ChangeKind::kDropRelation:
      return MakeGood({rel, 0, 0}, {rel, kMaxForkNumber, UINT32_MAX});
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      return MakeGood({{rel.spc, rel.db, 0}, 0, 0},
                      {{rel.spc, rel.db, UINT32_MAX}, kMaxForkNumber, UINT32_MAX});
    default:
      return;
  }
}

Status BackupProof::FindCatalogs(const FileCheck& files) {
  ReportTablespaces();
  catalog_.emplace(base_, *control_.version, control_.checksums, *list_, files);
  std::set<RelFileNode> known;
  if (known_) known = known_->relations;
  if (known_) catalog_->Begin(std::move(*known_));
  RETURN_IF_ERROR(catalog_->FindRelations(&missing_));
  // Pages of a catalogue that was none by then were not looked at, unless it is all newer.
  if (known_)
    for (const auto& [rel, kind] : catalog_->relations())
      if (!known.contains(rel) && files.CreatedAt({rel}) < known_end_)
        doubt_ =
            fmt::format("catalogue {} was rewritten before {}, and takes its place after that",
                        pg::RelationPath(*control_.version, rel, kMainFork), known_end_.ToString());
  known_.reset();
  relations_ = &catalog_->relations();
  return {};
}

Status BackupProof::Finish(const Wal& wal, VerifyResult* result) {
  CommitLog log([&](const SlruBlock& block, uint8_t* page) { return ReadLog(wal, block, page); },
                control_.oldest_xid, wal.next_xid);
  const BackupCatalog::Context context{&log, tablespaces_, &missing_};
  RETURN_IF_ERROR(catalog_->Check(context, &findings_));
  RETURN_IF_ERROR(log_status_);
  RETURN_IF_ERROR(CheckBackupSlrus(base_, control_, catalog_->oldest_xid(), *list_, *wal.slrus,
                                   &missing_, &findings_));
  wal.two_phase.CheckBase(control_.next_full_xid, missing_, &findings_);
  ReportBadPages(wal.files);
  CheckSegments(wal.files);
  CheckOwnVersion();
  counts_.losses = findings_.different();
  const uint64_t unchanged = result->backup.unchanged_compared;
  result->backup = counts_;
  result->backup.unchanged_compared = unchanged;
  findings_.AddTo(result);
  return {};
}

// Rows of transactions that cannot be looked up demand nothing, so that this is a loss by itself.
Result<bool> BackupProof::ReadLog(const Wal& wal, const SlruBlock& block, uint8_t* page) {
  auto found = wal.slrus->ReadFinal(block, page);
  if (!found && IsShortage(found.error().code)) {
    log_status_ = tl::unexpected(found.error());
    return found;
  }
  const std::string path = SlruFile(block.kind, block.segment);
  if (!found && missing_.insert(path).second)
    Report({}, path, Damage::kUnreadable, found.error().message);
  return found;
}

bool BackupProof::HasLost(const RelFileNode& rel) const {
  const pg::Version& version = *control_.version;
  return missing_.contains(LinkPath(rel.spc)) ||
         missing_.contains(pg::DatabasePath(version, rel.spc, rel.db)) ||
         missing_.contains(pg::RelationPath(version, rel, kMainFork)) ||
         missing_.contains(pg::RelationPath(version, rel, kInitFork)) ||
         (rel.rel == 0 &&
          missing_.contains(pg::DatabasePath(version, rel.spc, rel.db) + "/PG_VERSION"));
}

void BackupProof::ReportBadPages(const FileCheck& files) {
  // Main forks of unlogged relations are made again from their init forks.
  const auto is_no_loss = [&](const auto& page) {
    const BlockTag& tag = page.first;
    return catalog_->dropping().contains(tag.rel.db) ||
           (tag.fork != kInitFork && files.base().forks.contains({tag.rel, kInitFork, 0}));
  };
  std::erase_if(bad_, is_no_loss);
  std::erase_if(read_bad_, is_no_loss);
  for (const auto& [tag, bad] : bad_) ReportBadPage(tag, bad, false);
  for (const auto& [tag, bad] : read_bad_) ReportBadPage(tag, bad, true);
}

void BackupProof::ReportBadPage(const BlockTag& tag, const BadPage& bad, bool was_read) {
  const std::string path = pg::BlockFilePath(*control_.version, tag);
  const bool is_fsm = tag.fork == kFreeSpaceMapFork, is_orphan = catalog_->IsOrphan(tag.rel);
  const std::string what =
      bad.damage == Damage::kShortFile ? "the file ends within this block"
      : bad.damage == Damage::kChecksum
          ? fmt::format("the page has a wrong checksum: {:04X} does not fit its content",
                        bad.checksum)
          : std::string("the page's header is not one that a page can have");
  Mismatch mismatch;
  mismatch.tag = tag;
  mismatch.file = path;
  mismatch.damage = bad.damage;
  mismatch.disk_lsn = bad.lsn;
  mismatch.in_backup = true;
  mismatch.problem =
      is_fsm      ? what + ", which the server reads as an empty one"
      : is_orphan ? what + ", in a file that pg_class does not have and a crash has left"
                  : fmt::format("{}, and WAL {}; {}", what,
                                was_read ? "needs it to rebuild the page"
                                         : "up to the end of the backup does not rebuild the page",
                                "take a new backup, and look for the damage in the cluster itself");
  if (is_fsm || is_orphan)
    findings_.Note(std::move(mismatch));
  else
    findings_.Damaged(std::move(mismatch));
}

// A file of 1 GB that is missing or cut before others of the same fork, which the server then never
// reads. It may have been so while the backup was taken, if WAL then adds blocks there or cuts them off.
// And files that are too long for any server.
void BackupProof::CheckSegments(const FileCheck& files) {
  const auto is_wanted = [&](const BlockTag& fork) {
    return files.IsForkOfBase(fork) && !catalog_->dropping().contains(fork.rel.db);
  };
  for (const auto& [fork, gap] : gaps_) {
    if (!is_wanted(fork)) continue;
    BlockTag tag = fork;
    tag.block = gap.first;
    const std::string path = pg::BlockFilePath(*control_.version, tag);
    if (missing_.contains(path)) continue;
    const auto file = list_->files.find(path);
    const bool is_there = file != list_->files.end();
    Report(fork, path, is_there ? Damage::kShortFile : Damage::kMissingFile,
           fmt::format("{}, but a later one of the relation is there: the server reads none of its "
                       "blocks from {} on; {}",
                       is_there
                           ? fmt::format("the file has {} bytes instead of 1 GB", file->second.size)
                           : "the file is missing",
                       gap.first, kPutBack));
  }
  for (const auto& [fork, found] : files.base().forks) {
    if (!found.oversized || !is_wanted(fork)) continue;
    BlockTag tag = fork;
    tag.block = *found.oversized * pg::kBlocksPerFile;
    const std::string path = pg::BlockFilePath(*control_.version, tag);
    if (missing_.insert(path).second)
      Report(
          fork, path, Damage::kLongFile,
          fmt::format("the file has more than 1 GB: no server reads the relation; {}", kPutBack));
  }
}

// Without the file a directory is no data directory (checkDataDir in utils/init/miscinit.c).
void BackupProof::CheckOwnVersion() {
  constexpr const char* kName = "PG_VERSION";
  if (!list_->files.contains(kName) && missing_.insert(kName).second)
    Report({}, kName, Damage::kMissingFile, "the file is missing: no server starts without it");
}

void BackupProof::Report(const BlockTag& tag, const std::string& path, Damage damage,
                         std::string problem, bool note) {
  Mismatch mismatch;
  mismatch.tag = tag;
  mismatch.tag.block = kNoBlockNumber;
  mismatch.file = path;
  mismatch.damage = damage;
  mismatch.problem = std::move(problem);
  mismatch.in_backup = true;
  if (note)
    findings_.Note(std::move(mismatch));
  else
    findings_.Damaged(std::move(mismatch));
}

}  // namespace neon_redo
