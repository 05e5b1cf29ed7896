// The timeline history files of a set's directories, each perhaps compressed.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

// The names that the history file of a timeline has, or may have, in one directory.
static Result<std::vector<std::string>> FindHistories(const std::string& directory,
                                                      uint32_t timeline) {
  const std::string plain = directory + "/" + FormatHistoryName(timeline);
  std::vector<std::string> found;
  std::string unreadable;
  const auto is_there = [](const std::string& file) { return access(file.c_str(), F_OK) == 0; };
  for (const auto& [packing, suffix] : kCompressedSuffixes) {
    const std::string file = plain + suffix;
    if (!is_there(file)) continue;
    if (packing == Packing::kUnknown)
      unreadable = file;
    else
      found.push_back(file);
  }
  found.insert(found.begin(), plain);
  if (found.size() == 1 && !unreadable.empty() && !is_there(plain))
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("timeline history file \"{}\" is compressed; decompress it first", unreadable));
  return found;
}

bool WalSet::HasHistory(uint32_t timeline) const {
  return std::any_of(directories_.begin(), directories_.end(), [&](const std::string& directory) {
    const auto found = FindHistories(directory, timeline);
    return found && std::any_of(found->begin(), found->end(), [](const std::string& file) {
             return access(file.c_str(), F_OK) == 0;
           });
  });
}

Result<std::string> WalSet::ReadHistory(uint32_t timeline) const {
  std::optional<Error> none;
  for (const std::string& directory : directories_) {
    ASSIGN_OR_RETURN(const auto files, FindHistories(directory, timeline));
    for (const std::string& file : files) {
      auto content = ReadHistoryFile(file, Links::kRefuse, PassphraseOf(directory).get());
      if (content || content.error().code != ErrorCode::kNotFound) return content;
      if (!none) none = content.error();
    }
  }
  return tl::unexpected(*none);
}

Result<std::optional<std::vector<TimelineFork>>> WalSet::ReadForks(uint32_t timeline) const {
  std::optional<std::vector<TimelineFork>> out;
  std::string first;
  for (const std::string& directory : directories_) {
    ASSIGN_OR_RETURN(const auto files, FindHistories(directory, timeline));
    for (const std::string& file : files) {
      const auto content = ReadHistoryFile(file, Links::kFollow, PassphraseOf(directory).get());
      if (!content && content.error().code == ErrorCode::kNotFound) continue;
      if (!content) return tl::unexpected(content.error());
      ASSIGN_OR_RETURN(auto forks, ParseTimelineHistory(*content, timeline, file));
      if (out && forks != *out)
        return MakeError(ErrorCode::kCorrupt,
                         fmt::format("timeline history files \"{}\" and \"{}\" differ: remove the "
                                     "wrong one",
                                     first, file));
      out = std::move(forks);
      first = file;
    }
  }
  if (out || !restore_ || timeline == 1) return out;
  ASSIGN_OR_RETURN(const auto content, restore_->ReadHistory(timeline));
  if (!content) return out;
  ASSIGN_OR_RETURN(out, ParseTimelineHistory(*content, timeline, FormatHistoryName(timeline)));
  return out;
}

}  // namespace neon_redo
