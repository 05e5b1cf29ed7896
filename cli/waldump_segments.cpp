#include "cli/waldump_segments.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

// kNotFound: there is no such file.
Status CheckFile(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) == 0) return {};
  const bool missing = errno == ENOENT || errno == ENOTDIR;
  auto error = FileError("examine file", path);
  if (missing) error.value().code = ErrorCode::kNotFound;
  return error;
}

Status CheckPlace(WalSources sources, const std::string& directory, const std::string& name) {
  if (!name.empty()) {
    Status plain = CheckFile(directory + "/" + name);
    if (plain || plain.error().code != ErrorCode::kNotFound) return plain;
    std::error_code error;
    if (!std::filesystem::is_directory(directory, error)) return plain;
  }
  sources.directories = {directory};
  const auto opened = WalSet::Open(sources);
  if (!opened) return tl::unexpected(opened.error());
  // Perhaps the segment is there by another name: compressed, in a directory of its own.
  const auto wanted = ParseSegmentName(name);
  if (name.empty() || (wanted && opened->Has(*wanted))) return {};
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("no segment \"{}\" in \"{}\"", name, directory));
}

}  // namespace

Result<std::string> FindWalDirectory(const WalSources& sources, const std::string& directory,
                                     const std::string& name) {
  std::vector<std::string> candidates = {directory, directory + "/pg_wal"};
  if (directory.empty()) {
    candidates = {".", "./pg_wal"};
    if (const char* pgdata = std::getenv("PGDATA"))
      candidates.push_back(std::string(pgdata) + "/pg_wal");
  }
  std::string why;
  for (const std::string& candidate : candidates) {
    const Status found = CheckPlace(sources, candidate, name);
    if (found) return candidate;
    if (found.error().code != ErrorCode::kNotFound) return tl::unexpected(found.error());
    why += (why.empty() ? "" : "; ") + found.error().message;
  }
  if (name.empty())
    return MakeError(ErrorCode::kNotFound, fmt::format("could not find any WAL file: {}", why));
  return MakeError(ErrorCode::kNotFound, fmt::format("could not find file \"{}\"", name));
}

// The segment is in one of the directories. One where it is in the pg_wal is replaced by that.
static Status FindInOne(const std::string& name, WalSources* sources) {
  Status last;
  for (std::string& directory : sources->directories) {
    auto found = FindWalDirectory(*sources, directory, name);
    if (found) {
      directory = std::move(*found);
      return {};
    }
    last = tl::unexpected(found.error());
    if (found.error().code != ErrorCode::kNotFound) return last;
  }
  return last;
}

Result<WalSet> ReadSegmentNames(const std::vector<std::string>& segments, WalSources* sources,
                                LsnRange* range, std::optional<uint32_t>* timeline) {
  std::vector<SegmentName> names;
  for (const std::string& argument : segments) {
    const std::filesystem::path path(argument);
    std::string name = path.filename();
    const auto archived = ParseArchivedName(name);
    if (!archived)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("\"{}\" is not the name of a WAL segment", argument));
    if (!archived->suffix.empty() || !archived->sha1.empty()) name.resize(24);
    if (sources->directories.empty()) sources->directories.push_back(path.parent_path().string());
    RETURN_IF_ERROR(FindInOne(name, sources));
    names.push_back(archived->segment);
  }
  ASSIGN_OR_RETURN(auto wal, WalSet::Open(*sources));
  const uint64_t size = wal.segment_size();
  const auto start_of = [&wal](const SegmentName& name) {
    return wal.SegmentStart(SegmentNumber(name, wal.segment_size()));
  };
  const Lsn first = start_of(names.front());
  const Lsn last = start_of(names.back());
  if (last < first)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("ENDSEG {} is before STARTSEG {}", segments[1], segments[0]));
  if (range->from && (*range->from < first || *range->from >= first + size))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("start WAL location {} is not inside file \"{}\"",
                                 range->from->ToString(), segments.front()));
  if (range->to && (*range->to < last || *range->to > last + size))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("end WAL location {} is not inside file \"{}\"",
                                 range->to->ToString(), segments.back()));
  if (!range->from) range->from = first;
  if (!range->to) range->to = last + size;
  *timeline = names.back().timeline;
  return wal;
}

}  // namespace neon_redo::cli
