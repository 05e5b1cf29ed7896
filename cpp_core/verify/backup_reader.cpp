// Each thread takes the next file, reads it piece by piece, and passes each piece to the checksum of the
// file and, if it is a relation's, to the check of pages. So every byte is read once.
#include "cpp_core/verify/backup_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

constexpr size_t kPieceSize = 64 * kBlockSize;

// Without these files, or with what they hold wrong, the cluster has lost data. Of others, such as
// postgresql.conf, only the manifest knows.
bool IsOfData(std::string_view path) {
  constexpr std::string_view kBelow[] = {"base/", "global/", pg::kTablespaceLinks, "pg_twophase/"};
  for (const std::string_view below : kBelow)
    if (path.starts_with(below)) return true;
  for (int kind = 0; kind < kSlruKinds; kind++) {
    const std::string_view directory = SlruDirectory(static_cast<SlruKind>(kind));
    if (path.starts_with(directory) && path.substr(directory.size()).starts_with('/')) return true;
  }
  return false;
}

bool HasOnlyZeroes(const uint8_t* bytes, size_t size) {
  return std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == 0; });
}

struct FileTask {
  const std::string* path;
  uint64_t size;
  const ManifestFile* expected;   // null: the manifest does not have it
  std::optional<BlockTag> first;  // of a relation's file
};

class FileReader {
 public:
  FileReader(const BackupReadOptions& options, const std::vector<FileTask>& tasks)
      : options_(options), tasks_(tasks) {
    for (const FileTask& task : tasks) total_ += task.size;
  }

  Result<BackupReadResult> Run() {
    std::vector<Lane> lanes(static_cast<size_t>(options_.jobs));
    lanes[0].is_callers = true;
    RETURN_IF_ERROR(ForEachInParallel(lanes.size(), tasks_.size(), [&](size_t lane, size_t item) {
      return ReadOne(tasks_[item], &lanes[lane]);
    }));
    BackupReadResult out;
    for (Lane& lane : lanes) {
      out.files += lane.out.files;
      out.bytes += lane.out.bytes;
      out.pages += lane.out.pages;
      out.checksums += lane.out.checksums;
      out.bad_pages_not_kept += lane.out.bad_pages_not_kept;
      out.findings.Add(lane.out.findings);
      out.bad_pages.merge(lane.out.bad_pages);
      out.unreadable.merge(lane.out.unreadable);
    }
    return out;
  }

 private:
  // What one thread has for itself.
  struct Lane {
    bool is_callers = false;
    std::vector<uint8_t> piece;
    BackupReadResult out;
  };

  Status ReadOne(const FileTask& task, Lane* lane) {
    const auto file = pg::OpenClusterFile(options_.directory, *task.path);
    if (!file) {
      const std::string whole = options_.directory + "/" + *task.path;
      const bool may_not = access(whole.c_str(), R_OK) != 0 && errno == EACCES;
      if (may_not || IsShortage(file.error().code)) return tl::unexpected(file.error());
      Report(task, lane, Damage::kUnreadable, file.error().message);
      return {};
    }
    lane->piece.resize(kPieceSize);
    const ChecksumKind kind = task.expected ? task.expected->kind : ChecksumKind::kNone;
    ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(kind));
    uint64_t at = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const ssize_t got, ReadPiece(task, file->get(), at, lane));
      if (got < 0) return {};
      const Bytes piece(lane->piece.data(), static_cast<size_t>(got));
      RETURN_IF_ERROR(checksum.Add(piece));
      if (task.first) CheckPages(task, at / kBlockSize, piece, lane);
      at += piece.size();
      if (piece.size() < kPieceSize) break;
    }
    lane->out.files++;
    if (at != task.size) {
      Report(task, lane, Damage::kUnreadable,
             fmt::format("the file had {} bytes when the backup was listed, and {} when it was "
                         "read: something writes into the backup, or damages it",
                         task.size, at));
      return {};
    }
    if (kind == ChecksumKind::kNone || at != task.expected->size) return {};
    ASSIGN_OR_RETURN(const auto computed, checksum.Finish());
    if (computed == task.expected->checksum)
      lane->out.checksums++;
    else
      Report(task, lane, Damage::kChecksum,
             fmt::format("the file is not as it was backed up: its {} checksum is not the one in "
                         "backup_manifest; put it back from another copy of this backup, or take a "
                         "new one",
                         ChecksumName(kind)));
    return {};
  }

  // A whole piece, or what is left of the file. Below 0: it cannot be read, which is reported.
  Result<ssize_t> ReadPiece(const FileTask& task, int fd, uint64_t at, Lane* lane) {
    size_t filled = 0;
    while (filled < kPieceSize) {
      const ssize_t got = pread(fd, lane->piece.data() + filled, kPieceSize - filled,
                                static_cast<off_t>(at + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        const Error error = FileError("read file", options_.directory + "/" + *task.path).value();
        if (IsShortage(error.code)) return tl::unexpected(error);
        Report(task, lane, Damage::kUnreadable, error.message);
        return -1;
      }
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    lane->out.bytes += filled;
    done_ += filled;
    if (lane->is_callers && options_.progress)
      options_.progress({"reading the backup", done_, std::max<uint64_t>(total_, done_)});
    return static_cast<ssize_t>(filled);
  }

  void CheckPages(const FileTask& task, uint64_t first, Bytes piece, Lane* lane) {
    BlockTag tag = *task.first;
    tag.block += static_cast<uint32_t>(first);
    for (size_t at = 0; at < piece.size(); at += kBlockSize, tag.block++) {
      const size_t size = std::min(kBlockSize, piece.size() - at);
      if (size < kBlockSize) {
        // As for the server, the file ends before it. A file is extended by zeroes.
        if (!HasOnlyZeroes(piece.data() + at, size)) Keep(tag, {Damage::kShortFile, 0, {}}, lane);
        return;
      }
      lane->out.pages++;
      if (const auto bad = CheckPage(piece.data() + at, tag.block, options_.checksums))
        Keep(tag, *bad, lane);
    }
  }

  void Keep(const BlockTag& tag, const BadPage& bad, Lane* lane) {
    if (kept_++ < kMostBadPages)
      lane->out.bad_pages[tag] = bad;
    else
      lane->out.bad_pages_not_kept++;
  }

  static void Report(const FileTask& task, Lane* lane, Damage damage, std::string problem) {
    if (damage == Damage::kUnreadable) lane->out.unreadable.insert(*task.path);
    Mismatch mismatch;
    if (task.first) mismatch.tag = *task.first;
    mismatch.tag.block = kNoBlockNumber;
    mismatch.file = *task.path;
    mismatch.damage = damage;
    mismatch.problem = std::move(problem);
    mismatch.in_backup = true;
    lane->out.findings.Damaged(std::move(mismatch));
  }

  const BackupReadOptions& options_;
  const std::vector<FileTask>& tasks_;
  uint64_t total_ = 0;
  std::atomic<size_t> kept_{0};
  std::atomic<uint64_t> done_{0};
};

}  // namespace

std::optional<BadPage> CheckPage(const uint8_t* page, uint32_t block, bool checksums) {
  const PageView view(page);
  if (view.is_new() && HasOnlyZeroes(page, kBlockSize)) return std::nullopt;
  constexpr uint16_t kValidFlags = kPdHasFreeLines | kPdPageFull | kPdAllVisible;
  const BadPage bad{Damage::kHeader, view.checksum(), view.lsn()};
  if (view.is_new() || !view.has_valid_space() || (view.flags() & ~kValidFlags) != 0 ||
      view.special() % 8 != 0 || pg::SizeAndVersion(page) != kPageSizeAndVersion)
    return bad;
  if (checksums && view.checksum() != PageChecksum(page, block))
    return BadPage{Damage::kChecksum, bad.checksum, bad.lsn};
  return std::nullopt;
}

Result<BackupReadResult> ReadBackupFiles(const BackupReadOptions& options, const BaseFiles& list,
                                         const BackupManifest* manifest) {
  return Guarded([&]() -> Result<BackupReadResult> {
    std::vector<FileTask> tasks;
    for (const auto& [path, file] : list.files) {
      if (!file.strange.empty()) continue;
      FileTask task{&path, file.size, nullptr, ParseRelationPath(*options.version, path)};
      if (manifest != nullptr && !IsIgnoredByManifest(path)) task.expected = manifest->Find(path);
      const bool has_checksum =
          task.expected != nullptr && task.expected->kind != ChecksumKind::kNone;
      if (has_checksum || IsOfData(path)) tasks.push_back(task);
    }
    return FileReader(options, tasks).Run();
  });
}

}  // namespace neon_redo
