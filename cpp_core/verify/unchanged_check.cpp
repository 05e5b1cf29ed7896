// Both files are read side by side in large pieces. Most pages are the same bytes. The others are
// compared under the masks, as rebuilt pages are, unless WAL changes them.
#include "cpp_core/verify/unchanged_check.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/backup_reader.h"

namespace neon_redo {

namespace {

constexpr uint32_t kPiecePages = 64;

// Blocks of one file of a fork.
struct Range {
  BlockTag first;  // of these blocks
  uint32_t blocks;
  uint32_t on_disk;  // how many of them the data directory had when it was listed
  const std::vector<uint32_t>* changed;  // of the fork, in order; null: none
};

// One of the two files of a range, and the piece of it that was read last.
struct Side {
  std::shared_ptr<const BaseFile> file;
  std::vector<uint8_t> piece;
  uint32_t pages = 0;  // whole ones in the piece
  std::string
      failure;  // why the page after them could not be read; empty: it is not there, or not wanted

  Status Open(const BaseBackup& files, const std::string& name) {
    file = nullptr;
    ASSIGN_OR_RETURN(file, files.OpenFile(name));
    piece.resize(kPiecePages * kBlockSize);
    return {};
  }

  Status Read(uint32_t first, uint32_t count) {
    failure.clear();
    const uint64_t offset = uint64_t{first} * kBlockSize;
    auto got = file->Read(offset, {piece.data(), count * kBlockSize});
    if (got) {
      pages = static_cast<uint32_t>(*got / kBlockSize);
      return {};
    }
    // One of them cannot be read. Those before it are compared.
    for (pages = 0; pages < count; pages++) {
      const size_t at = pages * kBlockSize;
      got = file->Read(offset + at, {piece.data() + at, kBlockSize});
      if (!got || *got < kBlockSize) break;
    }
    if (!got && IsShortage(got.error().code)) return tl::unexpected(got.error());
    if (!got) failure = got.error().message;
    return {};
  }
};

// A page that nothing was ever put on: zeroes, or a header that was made before an error.
bool IsUnused(const uint8_t* page) {
  const PageView view(page);
  if (view.lsn().valid() || (!view.is_new() && !view.has_valid_space())) return false;
  const size_t end = view.is_new() ? kBlockSize : view.special();
  return std::all_of(page + kPageHeaderSize, page + end, [](uint8_t byte) { return byte == 0; });
}

class UnchangedPages {
 public:
  UnchangedPages(const UnchangedOptions& options, std::vector<Range> ranges,
                 const BackupDamage& damage)
      : options_(options), ranges_(std::move(ranges)), damage_(damage) {
    for (const Range& range : ranges_) total_ += range.blocks;
  }

  Status Run(VerifyResult* result) {
    std::vector<Lane> lanes(static_cast<size_t>(options_.jobs));
    RETURN_IF_ERROR(ForEachInParallel(lanes.size(), ranges_.size(), [&](size_t lane, size_t item) {
      return CompareRange(ranges_[item], &lanes[lane], lane == 0);
    }));
    for (Lane& lane : lanes) {
      result->backup.unchanged_compared += lane.pages;
      result->backup.losses += lane.losses.different();
      lane.losses.AddTo(result);
      lane.unreadable.AddTo(result);
      if (lane.check) lane.check->findings().AddTo(result);
      if (lane.check && options_.looks != nullptr)
        options_.looks->push_back(std::move(lane.check->look()));
    }
    return {};
  }

 private:
  struct Lane {
    std::unique_ptr<PageCheck> check;  // made when the lane is first used
    Side base, disk;
    uint64_t pages = 0;
    Findings losses, unreadable;  // in the backup, and in the data directory
  };

  Status CompareRange(const Range& range, Lane* lane, bool is_callers) {
    if (!lane->check) {
      lane->check = std::make_unique<PageCheck>(options_.pages);
      lane->check->SetServer(options_.server);
    }
    ASSIGN_OR_RETURN(const bool is_open, OpenBoth(range, lane));
    const uint32_t begin = range.first.block % pg::kBlocksPerFile;
    for (uint32_t at = 0; is_open && at < range.blocks;) {
      const uint32_t wanted = std::min(kPiecePages, range.blocks - at);
      RETURN_IF_ERROR(lane->base.Read(begin + at, wanted));
      RETURN_IF_ERROR(lane->disk.Read(begin + at, wanted));
      const uint32_t count = std::min(lane->base.pages, lane->disk.pages);
      for (uint32_t i = 0; i < count; i++)
        RETURN_IF_ERROR(ComparePage(range, at + i, &lane->base.piece[i * kBlockSize],
                                    &lane->disk.piece[i * kBlockSize], lane));
      at += count;
      if (count < wanted && !SkipUnreadable(range, &at, lane)) break;
      if (is_callers && options_.progress)
        options_.progress({"comparing what WAL does not change", done_ + at, total_});
    }
    done_ += range.blocks;
    return {};
  }

  // Whether both are open. What was not there when the data directory was listed is reported by others.
  Result<bool> OpenBoth(const Range& range, Lane* lane) {
    const std::string name = pg::BlockFilePath(*options_.pages.version, range.first);
    const Status disk = lane->disk.Open(*options_.pages.data, name);
    // What this user may not open is not.
    if (!disk && (IsShortage(disk.error().code) || disk.error().code == ErrorCode::kIo))
      return tl::unexpected(disk.error());
    const Status base = lane->base.Open(*options_.pages.base, name);
    if (!base && IsShortage(base.error().code)) return tl::unexpected(base.error());
    if (!base) Report(range, 0, true, base.error().message, lane);
    if (!disk && range.on_disk > 0)
      ReportFile(range,
                 disk.error().code == ErrorCode::kNotFound
                     ? "the file was there when the data directory was listed, but not any more"
                     : disk.error().message,
                 lane);
    return disk.has_value() && base.has_value();
  }

  // The page at *at cannot be read, or is not there, in one of the files: whether the next one is to be
  // looked at.
  bool SkipUnreadable(const Range& range, uint32_t* at, Lane* lane) {
    const bool is_base = lane->base.pages <= lane->disk.pages;
    const Side& side = is_base ? lane->base : lane->disk;
    if (!side.failure.empty()) {
      Report(range, (*at)++, is_base, side.failure, lane);
      return true;
    }
    if (is_base || *at < range.on_disk)
      Report(range, *at, is_base, "the file has become shorter while the command ran", lane,
             is_base || options_.pages.running == nullptr ? 1 : range.on_disk - *at);
    return false;
  }

  bool IsChanged(const Range& range, const BlockTag& tag) const {
    return range.changed != nullptr &&
           std::binary_search(range.changed->begin(), range.changed->end(), tag.block);
  }

  // Of the data directory, as a whole: whatever WAL does to its first block.
  void ReportFile(const Range& range, std::string problem, Lane* lane) {
    Mismatch mismatch;
    mismatch.tag = range.first;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = pg::BlockFilePath(*options_.pages.version, range.first);
    mismatch.damage = Damage::kUnreadable;
    mismatch.problem = std::move(problem);
    ReportData(range, std::move(mismatch), lane);
  }

  void ReportData(const Range& range, Mismatch mismatch, Lane* lane) {
    if (options_.pages.running != nullptr)
      return lane->check->SuspectFile(std::move(mismatch), range.first.block, range.blocks);
    lane->unreadable.Damaged(std::move(mismatch));
  }

  // What WAL changes is looked at with the rebuilt pages.
  // blocks: more than 1 of a running server, so that all of them are looked at again.
  void Report(const Range& range, uint32_t at, bool in_backup, std::string problem, Lane* lane,
              uint32_t blocks = 1) {
    Mismatch mismatch;
    mismatch.blocks = blocks;
    mismatch.tag = range.first;
    mismatch.tag.block += at;
    mismatch.file = pg::BlockFilePath(*options_.pages.version, range.first);
    const bool is_others =
        blocks == 1 && (IsChanged(range, mismatch.tag) || damage_.has_page(mismatch.tag));
    if (is_others || (in_backup && damage_.has_file(mismatch.file))) return;
    mismatch.damage = Damage::kUnreadable;
    mismatch.problem = std::move(problem);
    mismatch.in_backup = in_backup;
    if (!in_backup) return ReportData(range, std::move(mismatch), lane);
    lane->losses.Damaged(std::move(mismatch));
  }

  Status ComparePage(const Range& range, uint32_t at, uint8_t* base, const uint8_t* disk,
                     Lane* lane) {
    BlockTag tag = range.first;
    tag.block += at;
    if (IsChanged(range, tag) || damage_.has_page(tag)) return {};
    lane->pages++;
    if (std::memcmp(base, disk, kBlockSize) == 0) return {};
    const bool is_unused =
        IsUnused(base) && IsUnused(disk) && !CheckPage(disk, tag.block, options_.pages.checksums);
    if (is_unused) return {};
    return lane->check->CompareUnchanged(tag, base, disk);
  }

  const UnchangedOptions& options_;
  const std::vector<Range> ranges_;
  const BackupDamage& damage_;
  uint64_t total_ = 0;
  std::atomic<uint64_t> done_{0};
};

// Runs of the wanted blocks among those of the range.
void AddWanted(const std::set<BlockTag>& only, const Range& range, std::vector<Range>* ranges) {
  const uint32_t end = range.first.block + range.blocks;
  const auto is_in = [&](const BlockTag& tag) {
    return tag.rel == range.first.rel && tag.fork == range.first.fork && tag.block < end;
  };
  const uint32_t disk_end = range.first.block + range.on_disk;
  for (auto at = only.lower_bound(range.first); at != only.end() && is_in(*at);) {
    Range run{*at, 0, 0, range.changed};
    for (; at != only.end() && is_in(*at) && at->block == run.first.block + run.blocks; ++at)
      run.blocks++;
    run.on_disk =
        std::clamp(disk_end, run.first.block, run.first.block + run.blocks) - run.first.block;
    ranges->push_back(run);
  }
}

}  // namespace

Status CompareUnchangedPages(const UnchangedOptions& options, const FileCheck& files,
                             ChangedBlocks* changed, const BackupDamage& damage,
                             VerifyResult* result) {
  for (auto& [fork, blocks] : *changed) std::sort(blocks.begin(), blocks.end());
  std::vector<Range> ranges;
  const auto& forks = files.base().forks;
  for (const auto& [fork, found] : forks) {
    const bool is_unlogged = fork.fork != kInitFork && forks.contains({fork.rel, kInitFork, 0});
    if (fork.fork == kFreeSpaceMapFork || is_unlogged) continue;
    const uint32_t end = std::min(found.blocks, files.BaseEnd(fork));
    if (PageCheck::IsDropping(options.pages, fork.rel.db)) {
      if (end > 0) result->skipped[SkipName({SkipReason::kDatabaseDropping}, nullptr)] += end;
      continue;
    }
    const auto touched = changed->find(fork);
    const auto on_disk = files.disk().forks.find(fork);
    const uint32_t disk_end = on_disk == files.disk().forks.end() ? 0 : on_disk->second.blocks;
    for (uint32_t at = 0; at < end; at += std::min(pg::kBlocksPerFile, end - at)) {
      BlockTag first = fork;
      first.block = at;
      const uint32_t blocks = std::min(pg::kBlocksPerFile, end - at);
      const Range range{first, blocks, std::clamp(disk_end, at, at + blocks) - at,
                        touched == changed->end() ? nullptr : &touched->second};
      if (options.only == nullptr)
        ranges.push_back(range);
      else
        AddWanted(*options.only, range, &ranges);
    }
  }
  return UnchangedPages(options, std::move(ranges), damage).Run(result);
}

}  // namespace neon_redo
