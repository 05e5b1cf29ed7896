// A page begins with a record (ZERO_PAGE), and its file gets it at the next checkpoint at the latest.
// A backup begins with a checkpoint. So a page is in the backup's files, or its record is in the WAL
// since the backup's start.
#include "cpp_core/verify/backup_slru.h"

#include <fmt/format.h>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/slru_page.h"

namespace neon_redo {

namespace {

constexpr const char* kTakeNewBackup = "take a new backup";

class SlruHoles {
 public:
  SlruHoles(const BaseFiles& list, const SlruCheck& wal, std::set<std::string>* missing,
            Findings* findings)
      : list_(list), wal_(wal), missing_(*missing), findings_(*findings) {}

  // What can be said of any file: a segment has whole pages, and no more than kSlruPagesPerSegment.
  void CheckSizes() {
    for (int number = 0; number < kSlruKinds; number++) {
      const auto kind = static_cast<SlruKind>(number);
      const std::string below = std::string(SlruDirectory(kind)) + "/";
      for (auto at = list_.files.lower_bound(below);
           at != list_.files.end() && at->first.starts_with(below); ++at)
        if (const auto segment = ParseSlruSegment(at->first.substr(below.size())))
          CheckSize(kind, *segment, at->first, at->second);
    }
  }

  // Entries from first up to, but not including, next, in a circle.
  void Check(SlruKind kind, uint32_t first, uint32_t next, const char* entries) {
    if (first == next) return;
    const uint32_t per_page = SlruEntriesPerPage(kind);
    const uint32_t pages = UINT32_MAX / per_page + 1, last = (next - 1) / per_page;
    uint32_t reported = UINT32_MAX;
    for (uint32_t page = first / per_page;; page = (page + 1) % pages) {
      const SlruBlock block = SlruBlockOfPage(kind, page);
      if (block.segment != reported && !Has(block)) {
        reported = block.segment;
        Report(block, fmt::format("{} {} to {}", entries, first, next - 1));
      }
      if (page == last) return;
    }
  }

 private:
  bool Has(const SlruBlock& block) const {
    const auto file = list_.files.find(SlruFile(block.kind, block.segment));
    return (file != list_.files.end() &&
            file->second.size >= uint64_t{block.block + 1} * kBlockSize) ||
           wal_.HasPage(block) || wal_.HasRemoved(block.kind, block.segment);
  }

  // A page that is there in part is no loss if WAL begins it.
  void CheckSize(SlruKind kind, uint32_t segment, const std::string& path,
                 const BaseFileInfo& file) {
    if (missing_.contains(path) || !file.strange.empty()) return;
    const uint64_t pages = file.size / kBlockSize;
    const SlruBlock last{kind, segment, static_cast<uint32_t>(pages)};
    Mismatch mismatch;
    mismatch.file = path;
    mismatch.in_backup = true;
    mismatch.tag.block = last.block;
    if (file.size > kSlruPagesPerSegment * kBlockSize) {
      mismatch.tag.block = kSlruPagesPerSegment;
      mismatch.damage = Damage::kLongFile;
      mismatch.problem = fmt::format("the file has {} bytes, but no segment has more than {}; {}",
                                     file.size, kSlruPagesPerSegment * kBlockSize, kTakeNewBackup);
    } else if (file.size % kBlockSize != 0 && !wal_.HasPage(last) &&
               !wal_.HasRemoved(kind, segment)) {
      mismatch.damage = Damage::kShortFile;
      mismatch.problem = fmt::format(
          "the file ends within a page, after {} bytes, and WAL does not "
          "make the page; {}",
          file.size, kTakeNewBackup);
    } else {
      return;
    }
    missing_.insert(path);
    findings_.Damaged(std::move(mismatch));
  }

  void Report(const SlruBlock& block, const std::string& range) {
    Mismatch mismatch;
    mismatch.file = SlruFile(block.kind, block.segment);
    if (missing_.contains(mismatch.file)) return;
    const auto file = list_.files.find(mismatch.file);
    const bool is_there = file != list_.files.end() && file->second.strange.empty();
    mismatch.tag.block = is_there ? block.block : kNoBlockNumber;
    mismatch.damage = is_there ? Damage::kShortFile : Damage::kMissingFile;
    mismatch.problem = fmt::format(
        "{}: by pg_control there must be {}, and WAL does not make this part of them; {}",
        is_there ? fmt::format("the file ends after {} bytes", file->second.size)
                 : "the file is missing",
        range, kTakeNewBackup);
    mismatch.in_backup = true;
    findings_.Damaged(std::move(mismatch));
  }

  const BaseFiles& list_;
  const SlruCheck& wal_;
  std::set<std::string>& missing_;
  Findings& findings_;
};

}  // namespace

Status CheckBackupSlrus(const BaseBackup& base, const ControlData& control, uint32_t oldest_xid,
                        const BaseFiles& list, const SlruCheck& wal, std::set<std::string>* missing,
                        Findings* findings) {
  SlruHoles holes(list, wal, missing, findings);
  holes.CheckSizes();
  // Redo of CLOG_TRUNCATE removes segments, and leaves pg_control's oldest transaction as it was.
  uint32_t first = control.oldest_xid;
  if (oldest_xid != 0 && XidPrecedes(first, oldest_xid)) first = oldest_xid;
  if (control.oldest_xid >= kFirstNormalXid)
    holes.Check(SlruKind::kClog, first, control.next_xid, "transactions");
  if (control.track_commit_timestamp && control.oldest_commit_ts >= kFirstNormalXid)
    holes.Check(SlruKind::kCommitTs, control.oldest_commit_ts, control.newest_commit_ts + 1,
                "commit timestamps of transactions");
  const uint32_t oldest = control.oldest_multixact;
  if (oldest == 0 || oldest == control.next_multixact) return {};
  holes.Check(SlruKind::kMultixactOffsets, oldest, control.next_multixact, "multixacts");
  alignas(8) uint8_t page[kBlockSize];
  const auto found =
      ReadSlruPage(base, SlruBlockOfEntry(SlruKind::kMultixactOffsets, oldest), page);
  if (!found && IsShortage(found.error().code)) return tl::unexpected(found.error());
  if (!found || !*found) return {};
  // 0: a crash has kept the multixact from being written.
  const auto first_member =
      LoadNative<uint32_t>(page + oldest % kOffsetsPerPage * size_t{kOffsetEntrySize});
  if (first_member != 0)
    holes.Check(SlruKind::kMultixactMembers, first_member, control.next_multixact_offset,
                "multixact members");
  return {};
}

}  // namespace neon_redo
