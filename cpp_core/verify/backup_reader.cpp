// Each thread takes the next file, reads it piece by piece, and passes each piece to the checksum of the
// file and, if it is a relation's, to the check of pages. So every byte is read once.
#include "cpp_core/verify/backup_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "cpp_core/backup/content_hash.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr size_t kPieceSize = 64 * kBlockSize;

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
      out.contents.merge(lane.out.contents);
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
    auto source = options_.backup->OpenStream(*task.path);
    if (!source) {
      // What this user may not read is not damaged.
      const ErrorCode code = source.error().code;
      if (code == ErrorCode::kIo || IsShortage(code)) return tl::unexpected(source.error());
      Report(task, lane, Damage::kUnreadable, source.error().message);
      return {};
    }
    lane->piece.resize(kPieceSize);
    const ChecksumKind kind = task.expected ? task.expected->kind : ChecksumKind::kNone;
    ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(kind));
    std::optional<ContentHash> content;
    if (options_.keeps_contents) content.emplace();
    uint64_t at = 0;
    for (;;) {
      const auto got = ReadPiece(source->get(), lane);
      if (!got && IsShortage(got.error().code)) return tl::unexpected(got.error());
      if (!got) {
        Report(task, lane, Damage::kUnreadable, got.error().message);
        return {};
      }
      const Bytes piece(lane->piece.data(), *got);
      RETURN_IF_ERROR(checksum.Add(piece));
      if (content) content->Add(piece);
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
    if (content) lane->out.contents[*task.path] = content->Finish();
    if (kind == ChecksumKind::kNone || at != task.expected->size) return {};
    ASSIGN_OR_RETURN(const auto computed, checksum.Finish());
    if (computed == task.expected->checksum)
      lane->out.checksums++;
    else
      Report(task, lane, Damage::kChecksum,
             fmt::format(
                 "the file{} is not as it was backed up: its {} checksum is not the one in {}; "
                 "put it back from another copy of this backup, or take a new one",
                 options_.checksums_only
                     ? fmt::format(" of the backup in \"{}\"", options_.backup->path())
                     : "",
                 ChecksumName(kind), options_.backup->manifest_name()));
    return {};
  }

  // A whole piece, or what is left of the file.
  Result<size_t> ReadPiece(ByteSource* source, Lane* lane) {
    ASSIGN_OR_RETURN(const size_t filled, ReadFully(source, lane->piece));
    lane->out.bytes += filled;
    done_ += filled;
    if (lane->is_callers && options_.progress)
      options_.progress({"reading the backup", done_, std::max<uint64_t>(total_, done_)});
    return filled;
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
      FileTask task{&path, file.size, nullptr, {}};
      if (!options.checksums_only) task.first = pg::ParseRelationPath(*options.version, path);
      if (manifest != nullptr && !IsIgnoredByManifest(path)) task.expected = manifest->Find(path);
      const bool has_checksum =
          task.expected != nullptr && task.expected->kind != ChecksumKind::kNone;
      if (has_checksum || (!options.checksums_only && pg::HoldsData(path))) tasks.push_back(task);
    }
    return FileReader(options, tasks).Run();
  });
}

}  // namespace neon_redo
