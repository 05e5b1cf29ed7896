// The databases of a cluster as a whole: their directories and relation maps, and what is in them that neither
// the base backup nor WAL knows.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"
#include "cpp_core/verify/file_check.h"

namespace neon_redo {

// Files of relations that neither the base backup nor WAL knows.
void FileCheck::CheckUnknown() {
  RelFileNode reported{};
  for (const auto& [fork, files] : disk_.forks) {
    const auto db = databases_.find({fork.rel.spc, fork.rel.db});
    // WAL does not name the files of a copied database.
    const bool skips = db != databases_.end() && db->second.kind != ChangeKind::kCreateDatabase;
    if (skips || fork.rel == reported || IsKnown(fork.rel) || !IsKnownDatabase(fork.rel.db) ||
        IsLost(fork.rel) || IsDropping(fork.rel.db) || !IsWanted(fork.rel))
      continue;
    // A copy as a whole: CheckUnknownDatabases.
    if (MayBeBeforeItsRecord() && !IsKnownDirectory(fork.rel.spc, fork.rel.db)) continue;
    // The file may be so new that its record comes after the backup's end.
    if (settled_.valid() && files.blocks == 0) continue;
    reported = fork.rel;
    ReportUnknown(
        fork, pg::BlockFilePath(*version_, fork), "relation",
        expectations_->may_have_crashed && catalog_ && catalog_->Lacks(fork.rel.db, fork.rel.rel));
  }
}

// A database has a directory in each tablespace that one of its relations was put in.
void FileCheck::CheckUnknownDatabases() {
  for (const auto& database : disk_.databases) {
    const auto [spc, db] = database;
    if (IsKnownDirectory(spc, db) || IsLost({spc, db, 0}) || IsDropping(db)) continue;
    const auto relation = forks_.lower_bound(BlockTag{{spc, db, 0}, 0, 0});
    const bool has_relation =
        relation != forks_.end() && relation->first.rel.spc == spc && relation->first.rel.db == db;
    if (!IsKnownDatabase(db) || (MayBeBeforeItsRecord() && !has_relation))
      ReportUnknown({{spc, db, 0}}, pg::DatabasePath(*version_, spc, db), "database directory",
                    MayBeBeforeItsRecord());
  }
}

// A server that crashes may leave a file or directory whose record was not flushed.
void FileCheck::ReportUnknown(const BlockTag& tag, std::string file, const char* what, bool note) {
  Report(tag, std::move(file), {}, Damage::kExtraFile,
         fmt::format("neither the base backup nor WAL has this {}{}", what,
                     note ? "; a crash or a copy under way may have left it" : ""),
         note);
}

// A block of the file that begins with this one was looked for, so that reading it was tried.
bool FileCheck::WasSought(const BlockTag& first) const {
  const auto used = expectations_->sought.find({first.rel, first.fork, 0});
  if (used == expectations_->sought.end()) return false;
  return (used->second - 1) / pg::kBlocksPerFile == first.block / pg::kBlocksPerFile;
}

void FileCheck::CheckStrange() {
  for (const auto& [first, what] : disk_.strange_files) {
    if (WasSought(first) || IsDropping(first.rel.db) || !IsWanted(first.rel)) continue;
    const BlockTag fork{first.rel, first.fork, 0};
    const bool is_known = IsKnown(first.rel) && Expect(fork).kind != Expected::kNone;
    Report(first, pg::BlockFilePath(*version_, first), Expect(fork).last,
           is_known ? Damage::kUnreadable : Damage::kExtraFile,
           fmt::format("in the place of a relation's file stands {}", what));
  }
  if (expectations_->only != nullptr) return;
  for (const auto& [database, what] : disk_.strange_databases) {
    const auto state = databases_.find(database);
    const bool is_wanted = state == databases_.end()
                               ? base_.databases.contains(database)
                               : state->second.kind != ChangeKind::kDropDatabase;
    if (is_wanted) continue;  // reported as missing
    Report({{database.first, database.second, 0}},
           pg::DatabasePath(*version_, database.first, database.second), {}, Damage::kExtraFile,
           fmt::format("in the place of a database's directory stands {}", what));
  }
}

void FileCheck::CheckDatabases() {
  const auto tag = [](const Database& d) { return BlockTag{{d.first, d.second, 0}}; };
  std::set<Database> wanted = base_.databases;
  for (const auto& [database, state] : databases_) {
    if (!IsSettled(state.last)) {
      wanted.erase(database);
      continue;
    }
    if (state.kind != ChangeKind::kDropDatabase) {
      wanted.insert(database);
      continue;
    }
    wanted.erase(database);
    files_++;
    if (disk_.databases.contains(database))
      Report(tag(database), pg::DatabasePath(*version_, database.first, database.second),
             state.last, Damage::kExtraFile,
             "WAL has dropped the database, but its directory is still there");
  }
  for (const Database& database : wanted) {
    if (IsDropping(database.second)) continue;
    files_++;
    if (disk_.databases.contains(database)) continue;
    const auto state = databases_.find(database);
    const auto strange = disk_.strange_databases.find(database);
    Report(
        tag(database), pg::DatabasePath(*version_, database.first, database.second),
        state != databases_.end() ? state->second.last : Event(), Damage::kMissingFile,
        strange == disk_.strange_databases.end()
            ? "the database's directory is missing on disk"
            : fmt::format("in the place of the database's directory stands {}", strange->second));
  }
}

// A map that no record changes is the base backup's.
Status FileCheck::CheckMaps() {
  for (const auto& [spc, db] : base_.databases) {
    if (databases_.contains({spc, db}) || maps_.contains({spc, db})) continue;
    const auto content = ReadMap(base_backup_, spc, db);
    if (!content && (!reads_all_ || IsShortage(content.error().code)))
      return tl::unexpected(content.error());
    if (!content || content->empty()) continue;  // of a directory in another tablespace
    if (content->size() >= version_->relation_map_size) {
      maps_[{spc, db}].content.assign(content->begin(),
                                      content->begin() + version_->relation_map_size);
    } else if (!reads_all_) {
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{} has only {} bytes",
                                   base_backup_.Where(pg::RelationMapPath(*version_, spc, db)),
                                   content->size()));
    }
  }
  for (const auto& entry : maps_) {
    const Map& map = entry.second;
    const uint32_t spc = entry.first.first, db = entry.first.second;
    if (IsDropping(db)) continue;
    // A map of the backup is there, whatever it has become.
    const bool is_settled = IsSettled(map.last);
    if (!is_settled && !IsDatabaseOfBase(spc, db)) continue;
    const auto on_disk = ReadMap(*data_, spc, db);
    map_files_ += is_settled;
    const auto report = [&](Damage damage, std::string problem) {
      Report({{spc, db, 0}}, pg::RelationMapPath(*version_, spc, db), map.last, damage,
             std::move(problem));
    };
    if (!on_disk && IsShortage(on_disk.error().code)) return tl::unexpected(on_disk.error());
    if (!on_disk) {
      report(Damage::kUnreadable, on_disk.error().message);
      continue;
    }
    const std::string& disk = *on_disk;
    if (disk.empty()) {
      report(Damage::kMissingFile, "the relation map is missing or empty on disk");
    } else if (disk.size() < map.content.size()) {
      report(Damage::kShortFile, fmt::format("the relation map has only {} bytes", disk.size()));
    } else if (is_settled &&
               std::memcmp(disk.data(), map.content.data(), map.content.size()) != 0) {
      const auto base = ReadMap(base_backup_, spc, db);
      const bool is_old = map.last.end.valid() && base && disk == *base;
      const bool is_zero = std::all_of(disk.begin(), disk.end(), [](char c) { return c == 0; });
      if (is_zero)
        report(Damage::kZeroed, "the relation map on disk is all zeroes");
      else if (is_old)
        report(Damage::kStale, "the relation map on disk is that of the base backup");
      else
        report(Damage::kContent, "the relation map on disk is not that of WAL");
    }
  }
  return {};
}

}  // namespace neon_redo
