// Compressed segments of an archive, decompressed into files without names.
#ifndef NEON_REDO_WAL_SERVER_UNPACKER_H_
#define NEON_REDO_WAL_SERVER_UNPACKER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "cpp_core/archive/segment_file.h"
#include "cpp_core/wal_server/background.h"
#include "cpp_core/wal_server/served_segment.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The files lie in $TMPDIR or /tmp, and each takes the room of a segment. There are at most kMostFiles
// of them, and no more than kMostBytes hold, but always kFewestFiles. To make room for another, the file
// that was asked for first is given up: one that nobody uses, or else one that is in use. So nobody who
// holds a file keeps others waiting.
//
// Not thread-safe; the background's owner calls it.
class SegmentUnpacker {
 public:
  static constexpr size_t kMostFiles = 16;
  static constexpr size_t kFewestFiles = 4;
  static constexpr uint64_t kMostBytes = uint64_t{256} << 20;
  static constexpr size_t kThreads = 2;

  // background outlives it, and has no completions left when it goes.
  SegmentUnpacker(const WalIdentity& identity, Background* background);
  SegmentUnpacker(const SegmentUnpacker&) = delete;
  SegmentUnpacker& operator=(const SegmentUnpacker&) = delete;

  // Of a file whose segment is known; it waits until a completion of the background opens it, or says
  // why it cannot. One that nobody holds by then is not decompressed.
  void Request(const std::shared_ptr<SegmentFile>& file);
  // It is asked for again: others are given up before it.
  void Touch(const std::shared_ptr<SegmentFile>& file);
  // There is room for more than is asked for now: some can be decompressed ahead of their use.
  // Those that nobody uses are closed when their room is needed.
  bool has_room() const {
    const auto used = std::count_if(files_.begin(), files_.end(),
                                    [](const auto& file) { return file.use_count() > 1; });
    return static_cast<size_t>(used) + running_ + queue_.size() < most_ / 2;
  }
  // Called with a file in use before that is closed.
  void set_give_up(std::function<void(const std::shared_ptr<SegmentFile>&)> give_up) {
    give_up_ = std::move(give_up);
  }
  size_t most() const { return most_; }
  size_t files() const { return files_.size(); }

 private:
  void Begin();
  void MakeRoom();
  void Finish(const std::shared_ptr<SegmentFile>& file, Result<UnpackedSegment> unpacked);

  const WalIdentity identity_;
  const size_t most_;
  Background* const background_;
  std::function<void(const std::shared_ptr<SegmentFile>&)> give_up_;
  std::deque<std::weak_ptr<SegmentFile>> queue_;
  std::vector<std::shared_ptr<SegmentFile>> files_;  // open; the one asked for last at the end
  size_t running_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_UNPACKER_H_
