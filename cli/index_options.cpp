#include "cli/index_options.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "cli/common_options.h"
#include "cli/progress_bar.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

// The XDG Base Directory Specification's $XDG_CACHE_HOME.
Result<std::string> DirectoryOf(const std::string& directory) {
  if (!directory.empty()) return directory;
  const char* given = std::getenv("XDG_CACHE_HOME");
  if (given != nullptr && *given == '/') return std::string(given) + "/neon_redo/index";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/neon_redo/index";
  return MakeError(ErrorCode::kInvalidArgument,
                   "there is no directory for the index of the WAL, since HOME is not set: give "
                   "one by --index=DIR");
}

}  // namespace

Option& AddIndex(Options* options, std::string* directory) {
  return options->Path("--index=DIR", directory,
                       "directory of the index, which is made and kept up to date; a directory for "
                       "each cluster is made in it (default: ~/.cache/neon_redo/index)");
}

Option& AddIndexJobs(Options* options, int* jobs) {
  *jobs = DefaultJobs();
  return options->Integer("--jobs=N", jobs, {1, 256},
                          "threads that index WAL (default: one for each processor)");
}

Result<std::unique_ptr<WalIndex>> OpenIndex(const WalSet& wal, const WalRange& range,
                                            const std::string& directory, int jobs) {
  IndexOptions options;
  options.jobs = jobs;
  ASSIGN_OR_RETURN(options.directory, DirectoryOf(directory));
  ProgressBar bar(true);
  options.progress = [&](uint64_t done, uint64_t total) { bar.Show("indexing WAL", done, total); };
  auto index = WalIndex::Open(wal, range, options);
  bar.Clear();
  if (!index) return index;
  SayNotes((*index)->TakeNotes());
  const IndexCounts& counts = (*index)->counts();
  if (counts.segments_indexed > 0)
    SayNotes(
        {fmt::format("{} segments were indexed; the index in \"{}\" has {} files of {} bytes",
                     counts.segments_indexed, (*index)->directory(), counts.files, counts.bytes)});
  return index;
}

}  // namespace neon_redo::cli
