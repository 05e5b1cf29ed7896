#include "cpp_core/wal/watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/archive/segment.h"

namespace neon_redo {

namespace {

// The kernel gives files the time of its last tick; a second is the unit of some file systems.
constexpr std::chrono::seconds kUnit{2};

}  // namespace

WalWatch::State WalWatch::StateOf(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return {};
  const std::chrono::nanoseconds since =
      std::chrono::seconds(st.st_ctim.tv_sec) + std::chrono::nanoseconds(st.st_ctim.tv_nsec);
  return {st.st_ino, st.st_size,
          Clock::time_point(std::chrono::duration_cast<Clock::duration>(since))};
}

bool WalWatch::MayHaveGrown(uint32_t timeline, Lsn end, uint32_t segment_size,
                            Clock::time_point now) {
  if (timeline == 0) return true;
  std::vector<State> states;
  for (const std::string& directory : directories_) {
    states.push_back(StateOf(directory));
    for (const uint64_t ahead : {0, 1}) {
      const std::string name =
          FormatSegmentName(timeline, end.value / segment_size + ahead, segment_size);
      const std::string path = fmt::format("{}/{}", directory, name);
      states.push_back(StateOf(fmt::format("{}/{}", directory, name.substr(0, 16))));
      states.push_back(StateOf(path));
      states.push_back(StateOf(fmt::format("{}{}", path, kPartialSuffix)));
    }
  }
  const bool is_other = !known_.empty() && states != known_;
  known_ = std::move(states);
  return is_other || now - began_ >= kLongest ||
         std::any_of(known_.begin(), known_.end(),
                     [this](const State& s) { return s.changed > began_ - kUnit; });
}

}  // namespace neon_redo
