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

class SlruHoles {
 public:
  SlruHoles(const BackupFileList& list, const SlruCheck& wal, const std::set<std::string>& missing,
            Findings* findings)
      : list_(list), wal_(wal), missing_(missing), findings_(*findings) {}

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

  void Report(const SlruBlock& block, const std::string& range) {
    Mismatch mismatch;
    mismatch.file = SlruFile(block.kind, block.segment);
    if (missing_.contains(mismatch.file)) return;
    const auto file = list_.files.find(mismatch.file);
    const bool is_there = file != list_.files.end() && file->second.strange.empty();
    mismatch.tag.block = is_there ? block.block : kNoBlockNumber;
    mismatch.damage = is_there ? Damage::kShortFile : Damage::kMissingFile;
    mismatch.problem = fmt::format(
        "{}: by pg_control there must be {}, and WAL does not make this part of them; take a new "
        "backup",
        is_there ? fmt::format("the file ends after {} bytes", file->second.size)
                 : "the file is missing",
        range);
    mismatch.in_backup = true;
    findings_.Damaged(std::move(mismatch));
  }

  const BackupFileList& list_;
  const SlruCheck& wal_;
  const std::set<std::string>& missing_;
  Findings& findings_;
};

}  // namespace

Status CheckBackupSlrus(const std::string& directory, const ControlData& control,
                        const BackupFileList& list, const SlruCheck& wal,
                        const std::set<std::string>& missing, Findings* findings) {
  SlruHoles holes(list, wal, missing, findings);
  if (control.oldest_xid >= kFirstNormalXid)
    holes.Check(SlruKind::kClog, control.oldest_xid, control.next_xid, "transactions");
  const uint32_t oldest = control.oldest_multixact;
  if (oldest == 0 || oldest == control.next_multixact) return {};
  holes.Check(SlruKind::kMultixactOffsets, oldest, control.next_multixact, "multixacts");
  alignas(8) uint8_t page[kBlockSize];
  const auto found =
      ReadSlruPage(directory, SlruBlockOfEntry(SlruKind::kMultixactOffsets, oldest), page);
  if (!found && IsShortage(found.error().code)) return tl::unexpected(found.error());
  if (!found || !*found) return {};
  // 0: a crash has kept the multixact from being written.
  const auto first =
      LoadNative<uint32_t>(page + oldest % kOffsetsPerPage * size_t{kOffsetEntrySize});
  if (first != 0)
    holes.Check(SlruKind::kMultixactMembers, first, control.next_multixact_offset,
                "multixact members");
  return {};
}

}  // namespace neon_redo
