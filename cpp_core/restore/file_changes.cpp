#include "cpp_core/restore/file_changes.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/relation_map.h"

namespace neon_redo {

namespace {

std::string LinkOf(uint32_t tablespace) {
  return fmt::format("{}{}", pg::kTablespaceLinks, tablespace);
}

}  // namespace

void FileChanges::Take(const Change& change) {
  const PageKey& key = change.key;
  const RelFileNode rel = RelationOf(change);
  const auto drop_all = [&] {
    for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++) forks_[{rel, fork, 0}] = {false, 0};
  };
  switch (change.kind) {
    case ChangeKind::kCreateFork: {
      // Without the flag, a truncation makes sure that there is a file.
      const bool is_new = change.flags & kNewRelationFile;
      if (is_new && key.field5 == kMainFork) drop_all();
      Fork& fork = forks_[{rel, key.field5, 0}];
      fork.must_exist = true;
      if (is_new) fork.cut = 0;
      return;
    }
    case ChangeKind::kTruncateFork: {
      Fork& fork = forks_[{rel, key.field5, 0}];
      fork.cut = std::min(fork.cut, change.number);
      return;
    }
    case ChangeKind::kDropRelation:
      return drop_all();
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kDropDatabase:
      return TakeDatabase(change);
    case ChangeKind::kRelationMap:
      maps_[{key.field2, key.field3}].assign(change.payload.begin(), change.payload.end());
      return;
    case ChangeKind::kCreateTablespace:
      spaces_[change.number] = true;
      return;
    case ChangeKind::kDropTablespace:
      spaces_[change.number] = false;
      return;
    default:
      return;
  }
}

void FileChanges::TakeDatabase(const Change& change) {
  const Database database{change.key.field2, change.key.field3};
  databases_[database] = change.kind == ChangeKind::kCreateDatabase;
  maps_.erase(database);
  const BlockTag first{{database.first, database.second, 0}};
  const BlockTag last{{database.first, database.second, UINT32_MAX}, kMaxForkNumber, 0};
  forks_.erase(forks_.lower_bound(first), forks_.upper_bound(last));
}

Status FileChanges::ApplyTablespaces(const OutputDirectory& output) const {
  for (const auto& [oid, is_there] : spaces_) {
    const std::string link = LinkOf(oid);
    if (!is_there) {
      // What the link leads to goes first: the link alone would hide it.
      RETURN_IF_ERROR(output.Remove(fmt::format("{}/{}", link, version_.tablespace_directory)));
      RETURN_IF_ERROR(output.Remove(link));
      continue;
    }
    const auto target = tablespaces_.find(oid);
    const bool in_place = target == tablespaces_.end() || target->second.empty();
    struct stat st;
    const bool has_link = lstat(output.PathOf(link).c_str(), &st) == 0;
    if (!has_link)
      RETURN_IF_ERROR(in_place ? output.MakeDirectory(link)
                               : output.MakeLink(link, target->second));
    RETURN_IF_ERROR(
        output.MakeDirectory(fmt::format("{}/{}", link, version_.tablespace_directory)));
  }
  return {};
}

// CreateDirAndVersionFile and dbase_redo in commands/dbcommands.c.
Status FileChanges::ApplyDatabases(const OutputDirectory& output) const {
  for (const auto& [database, is_there] : databases_) {
    const std::string path = pg::DatabasePath(version_, database.first, database.second);
    RETURN_IF_ERROR(output.Remove(path));
    if (!is_there) continue;
    RETURN_IF_ERROR(output.MakeDirectory(path));
    RETURN_IF_ERROR(output.WriteFile(path + "/PG_VERSION", pg::VersionFileText(version_)));
  }
  return {};
}

bool FileChanges::HasGone(const BlockTag& tag) const {
  const auto cut = cuts_.find({tag.rel, tag.fork, 0});
  return gone_databases_.contains({tag.rel.spc, tag.rel.db}) ||
         (cut != cuts_.end() && tag.block >= cut->second);
}

Status FileChanges::Apply(const OutputDirectory& output) {
  for (const auto& [database, is_there] : databases_) gone_databases_.insert(database);
  for (const auto& [tag, fork] : forks_) {
    const auto [cut, is_new] = cuts_.try_emplace(tag, fork.cut);
    cut->second = std::min(cut->second, fork.cut);
  }
  RETURN_IF_ERROR(ApplyTablespaces(output));
  RETURN_IF_ERROR(ApplyDatabases(output));
  for (const auto& [tag, fork] : forks_) {
    if (fork.cut != UINT32_MAX) RETURN_IF_ERROR(output.CutFork(version_, tag, fork.cut));
    if (fork.must_exist) RETURN_IF_ERROR(output.Open(pg::BlockFilePath(version_, tag)));
  }
  for (const auto& [database, map] : maps_)
    RETURN_IF_ERROR(
        output.WriteFile(pg::RelationMapPath(version_, database.first, database.second), map));
  spaces_.clear();
  databases_.clear();
  forks_.clear();
  maps_.clear();
  return {};
}

}  // namespace neon_redo
