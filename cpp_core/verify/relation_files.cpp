#include "cpp_core/verify/relation_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/open_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

using Segments = std::map<uint32_t, uint32_t>;  // a fork's files: number to whole blocks

// _mdnblocks (storage/smgr/md.c)
ForkFiles FilesOf(const Segments& segments) {
  ForkFiles out;
  uint32_t next = 0;
  bool ended = false;
  for (const auto& [number, found] : segments) {
    const uint32_t blocks = std::min(found, pg::kBlocksPerFile);
    if (found > blocks && !out.oversized) out.oversized = number;
    ended = ended || number != next++;
    if (!ended)
      out.blocks = number * pg::kBlocksPerFile + blocks;
    else
      out.beyond.emplace_back(number, blocks);
    ended = ended || blocks < pg::kBlocksPerFile;
  }
  return out;
}

// Notes what stands in the place of a relation's file or a database's directory.
void AddStrange(const std::string& path, const std::string& what, const pg::Version& version,
                RelationFileList* out) {
  if (const auto tag = pg::ParseRelationPath(version, path)) out->strange_files[*tag] = what;
  const auto database = pg::ParseDatabasePath(version, path);
  if (database && what != "a directory") out->strange_databases[*database] = what;
}

}  // namespace

RelationFileList FindRelationFiles(const BaseFiles& list, const pg::Version& version) {
  RelationFileList out;
  for (const std::string& path : list.directories) {
    if (const auto database = pg::ParseDatabasePath(version, path)) out.databases.insert(*database);
    AddStrange(path, "a directory", version, &out);
  }
  std::map<BlockTag, Segments> segments;
  for (const auto& [path, file] : list.files) {
    const auto tag = pg::ParseRelationPath(version, path);
    if (!tag || !file.strange.empty()) {
      AddStrange(path, file.strange.empty() ? "a file" : file.strange, version, &out);
      continue;
    }
    // One more than a file may have stands for any number of them.
    segments[{tag->rel, tag->fork, 0}][tag->block / pg::kBlocksPerFile] =
        static_cast<uint32_t>(std::min<uint64_t>(file.size / kBlockSize, pg::kBlocksPerFile + 1));
  }
  for (const auto& [fork, files] : segments) out.forks[fork] = FilesOf(files);
  return out;
}

Status CheckNothingStrange(const RelationFileList& list, const std::string& directory,
                           const pg::Version& version) {
  std::string path, what;
  if (!list.strange_files.empty()) {
    path = pg::BlockFilePath(version, list.strange_files.begin()->first);
    what = list.strange_files.begin()->second + ", not a regular file";
  } else if (!list.strange_databases.empty()) {
    const auto& [database, text] = *list.strange_databases.begin();
    path = pg::DatabasePath(version, database.first, database.second);
    what = text + ", not a directory";
  } else {
    return {};
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}/{}\" is {}", directory, path, what));
}

namespace {

// A verification has three such objects for each of up to 64 partitions, and other files.
size_t MostOpenFiles(const BaseBackup* backup) {
  constexpr size_t kObjects = 3 * 64, kOtherFiles = 128, kMost = 32;
  const size_t limit = OpenFileLimit();
  if (backup == nullptr) return 0;
  if (backup->descriptors() == 0) return kMost;
  if (limit < kOtherFiles) return 0;
  return std::min((limit - kOtherFiles) / (kObjects * backup->descriptors()), kMost);
}

}  // namespace

RelationFiles::RelationFiles(const BaseBackup* backup, const pg::Version* version)
    : backup_(backup), version_(version), most_open_(MostOpenFiles(backup)) {}

// What is wrong with the file itself; else the machine is short of something.
Result<RelationFiles::Found> RelationFiles::Unreadable(Error error) {
  if (IsShortage(error.code)) return tl::unexpected(std::move(error));
  reason_ = std::move(error.message);
  return Found::kUnreadable;
}

Result<bool> RelationFiles::ReadOrFail(const BlockTag& tag, uint8_t* page) {
  ASSIGN_OR_RETURN(const Found found, Read(tag, page));
  if (found == Found::kUnreadable) return MakeError(ErrorCode::kIo, reason_);
  return found == Found::kPage;
}

Result<RelationFiles::File> RelationFiles::Open(const BlockTag& tag) {
  BlockTag segment = tag;
  segment.block = tag.block / pg::kBlocksPerFile;
  if (auto found = open_.find(segment); found != open_.end()) return found->second;
  auto file = backup_->OpenFile(pg::BlockFilePath(*version_, tag));
  if (!file && file.error().code != ErrorCode::kNotFound) return tl::unexpected(file.error());
  if (open_.size() >= most_open_) open_.clear();
  return open_[segment] = file ? std::move(*file) : nullptr;
}

Result<RelationFiles::Found> RelationFiles::Read(const BlockTag& tag, uint8_t* page) {
  auto found = ReadOpen(tag, page);
  if (most_open_ == 0) open_.clear();
  return found;
}

Result<RelationFiles::Found> RelationFiles::ReadOpen(const BlockTag& tag, uint8_t* page) {
  auto file = Open(tag);
  if (!file) return Unreadable(std::move(file.error()));
  // A segment that is missing while the relation is there is the end of the relation.
  if (*file == nullptr) return tag.block < pg::kBlocksPerFile ? Found::kNoFile : Found::kPastEnd;
  const uint64_t offset = uint64_t{tag.block % pg::kBlocksPerFile} * kBlockSize;
  auto got = (*file)->Read(offset, {page, kBlockSize});
  if (!got) return Unreadable(std::move(got.error()));
  return *got == kBlockSize ? Found::kPage : Found::kPastEnd;
}

}  // namespace neon_redo
