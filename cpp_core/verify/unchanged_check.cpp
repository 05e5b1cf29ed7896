// Both files are read side by side in large pieces. Most pages are the same bytes. The others are
// compared under the masks, as rebuilt pages are, unless WAL changes them.
#include "cpp_core/verify/unchanged_check.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr uint32_t kPiecePages = 64;

// Blocks of one file of a fork.
struct Range {
  BlockTag first;
  uint32_t blocks;
  const std::vector<uint32_t>* changed;  // of the fork, in order; null: none
};

class UnchangedPages {
 public:
  UnchangedPages(const UnchangedOptions& options, std::vector<Range> ranges,
                 const std::function<bool(const BlockTag&)>& is_bad)
      : options_(options), ranges_(std::move(ranges)), is_bad_(is_bad) {
    for (const Range& range : ranges_) total_ += range.blocks;
  }

  Status Run(VerifyResult* result) {
    std::vector<Lane> lanes(static_cast<size_t>(options_.jobs));
    RETURN_IF_ERROR(ForEachInParallel(lanes.size(), ranges_.size(), [&](size_t lane, size_t item) {
      return CompareRange(ranges_[item], &lanes[lane], lane == 0);
    }));
    for (const Lane& lane : lanes) {
      result->backup.unchanged_compared += lane.pages;
      if (lane.check) lane.check->findings().AddTo(result);
    }
    return {};
  }

 private:
  struct Lane {
    std::unique_ptr<PageCheck> check;  // made when the lane is first used
    std::vector<uint8_t> base, disk;
    uint64_t pages = 0;
  };

  Status CompareRange(const Range& range, Lane* lane, bool is_callers) {
    if (!lane->check) {
      lane->check = std::make_unique<PageCheck>(options_.pages);
      lane->check->SetServer(options_.hints, options_.restarted);
      lane->base.resize(kPiecePages * kBlockSize);
      lane->disk.resize(kPiecePages * kBlockSize);
    }
    const std::string name = pg::BlockFilePath(*options_.pages.version, range.first);
    const auto base = pg::OpenClusterFile(options_.pages.base_backup, name);
    const auto disk = pg::OpenClusterFile(options_.pages.data_directory, name);
    for (const auto* file : {&base, &disk})
      if (!*file && IsShortage(file->error().code)) return tl::unexpected(file->error());
    // What is missing is reported by others. What this user may not read is not.
    if (!disk && disk.error().code == ErrorCode::kIo) return tl::unexpected(disk.error());
    const uint32_t last_piece = base && disk ? range.blocks : 0;
    for (uint32_t at = 0; at < last_piece; at += kPiecePages) {
      const uint32_t wanted = std::min(kPiecePages, range.blocks - at);
      ASSIGN_OR_RETURN(const uint32_t in_base, ReadPages(base->get(), at, wanted, &lane->base));
      ASSIGN_OR_RETURN(const uint32_t on_disk, ReadPages(disk->get(), at, wanted, &lane->disk));
      const uint32_t count = std::min(in_base, on_disk);
      for (uint32_t i = 0; i < count; i++)
        ComparePage(range, at + i, &lane->base[i * kBlockSize], &lane->disk[i * kBlockSize], lane);
      if (count < wanted) break;
      if (is_callers && options_.progress)
        options_.progress({"comparing what WAL does not change", done_ + at, total_});
    }
    done_ += range.blocks;
    return {};
  }

  // How many whole pages there are. A page that cannot be read is the last.
  static Result<uint32_t> ReadPages(int fd, uint32_t first, uint32_t count,
                                    std::vector<uint8_t>* out) {
    const size_t size = size_t{count} * kBlockSize;
    size_t filled = 0;
    while (filled < size) {
      const ssize_t got = pread(fd, out->data() + filled, size - filled,
                                static_cast<off_t>(uint64_t{first} * kBlockSize + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && IsShortage(ErrnoCode(errno))) return ErrnoError(errno, "could not read file");
      if (got <= 0) break;
      filled += static_cast<size_t>(got);
    }
    return static_cast<uint32_t>(filled / kBlockSize);
  }

  void ComparePage(const Range& range, uint32_t at, uint8_t* base, const uint8_t* disk,
                   Lane* lane) {
    BlockTag tag = range.first;
    tag.block += at;
    const bool is_changed =
        range.changed != nullptr &&
        std::binary_search(range.changed->begin(), range.changed->end(), tag.block);
    if (is_changed || is_bad_(tag)) return;
    lane->pages++;
    if (std::memcmp(base, disk, kBlockSize) != 0) lane->check->CompareUnchanged(tag, base, disk);
  }

  const UnchangedOptions& options_;
  const std::vector<Range> ranges_;
  const std::function<bool(const BlockTag&)>& is_bad_;
  uint64_t total_ = 0;
  std::atomic<uint64_t> done_{0};
};

}  // namespace

Status CompareUnchangedPages(const UnchangedOptions& options, const FileCheck& files,
                             ChangedBlocks* changed,
                             const std::function<bool(const BlockTag&)>& is_bad,
                             VerifyResult* result) {
  for (auto& [fork, blocks] : *changed) std::sort(blocks.begin(), blocks.end());
  std::vector<Range> ranges;
  const auto& forks = files.base().forks;
  for (const auto& [fork, found] : forks) {
    const bool is_unlogged = fork.fork != kInitFork && forks.contains({fork.rel, kInitFork, 0});
    if (fork.fork == kFreeSpaceMapFork || is_unlogged) continue;
    const uint32_t end = std::min(found.blocks, files.BaseEnd(fork));
    const auto touched = changed->find(fork);
    for (uint32_t at = 0; at < end; at += std::min(pg::kBlocksPerFile, end - at)) {
      BlockTag first = fork;
      first.block = at;
      ranges.push_back({first, std::min(pg::kBlocksPerFile, end - at),
                        touched == changed->end() ? nullptr : &touched->second});
    }
  }
  return UnchangedPages(options, std::move(ranges), is_bad).Run(result);
}

}  // namespace neon_redo
