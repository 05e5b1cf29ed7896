#include "cpp_core/wal_client/fork.h"

#include <fmt/format.h>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// A primary has all the WAL it will ever have of the past. Servers before version 14 do not tell.
bool IsPrimary(WalReceiver* receiver) {
  const auto recovers = receiver->Show("in_hot_standby");
  return recovers && *recovers == "off";
}

}  // namespace

Result<std::optional<Fork>> FindEarlierFork(WalReceiver* receiver, const SystemIdentity& server,
                                            uint32_t timeline, Lsn position) {
  if (server.timeline <= timeline) {
    const bool has_less = server.timeline < timeline || server.flushed < position;
    if (!has_less || !IsPrimary(receiver)) return std::optional<Fork>();
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the server's WAL ends at {} on timeline {}, before {} on timeline "
                    "{}, which was received: the server has lost WAL, or is an older "
                    "copy",
                    server.flushed.ToString(), server.timeline, position.ToString(), timeline));
  }
  ASSIGN_OR_RETURN(const auto history, receiver->ReadTimelineHistory(server.timeline));
  ASSIGN_OR_RETURN(const auto forks,
                   ParseTimelineHistory(history.content, server.timeline, history.file_name));
  for (size_t i = 0; i < forks.size(); i++) {
    if (forks[i].timeline != timeline) continue;
    if (position <= forks[i].end) return std::optional<Fork>();
    const uint32_t next = i + 1 < forks.size() ? forks[i + 1].timeline : server.timeline;
    return std::optional(Fork{next, forks[i].end});
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("timeline {} of the server does not descend from timeline {}, whose "
                               "WAL was received",
                               server.timeline, timeline));
}

}  // namespace neon_redo
