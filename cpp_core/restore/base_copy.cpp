// A file that lies as it is on a file system that can share it takes no space and no time (FICLONE). Its pages
// are read all the same, since a damaged one must not pass for a good one.
#include "cpp_core/restore/base_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/origin_file.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr size_t kPieceSize = 128 * kBlockSize;

// basebackup.c leaves these out or empties them, and so does recovery.
constexpr std::string_view kEmptied[] = {
    "pg_dynshmem/", "pg_notify/",   "pg_replslot/", "pg_serial/", "pg_snapshots/",     "pg_stat/",
    "pg_stat_tmp/", "pg_subtrans/", "pg_twophase/", "pg_wal/",    "neon_redo.changes/"};
constexpr std::string_view kOwn[] = {
    "backup_label",         "backup_label.old",         "backup_manifest",
    "current_logfiles",     "global/pg_control",        "pg_logical/replorigin_checkpoint",
    "postgresql.auto.conf", "postgresql.auto.conf.tmp", "postmaster.opts",
    "postmaster.pid",       "recovery.signal",          "standby.signal",
    "tablespace_map",       "tablespace_map.old"};

// Of sessions that have ended: "t3_16384", and files below pgsql_tmp.
bool IsTemporary(std::string_view name) {
  if (name.find("pgsql_tmp") != name.npos) return true;
  const std::string_view last = name.substr(name.rfind('/') + 1);
  return last.size() > 2 && last[0] == 't' && last[1] >= '0' && last[1] <= '9' &&
         last.find('_') != last.npos &&
         (name.starts_with("base/") || name.starts_with("pg_tblspc/"));
}

// What one thread has for itself.
struct CopyLane {
  std::vector<uint8_t> piece, there;
  BaseCopyResult out;
};

class BaseCopier {
 public:
  BaseCopier(const BaseCopyOptions& options, const BaseFiles& list)
      : options_(options), list_(list) {}

  Result<BaseCopyResult> Run();

 private:
  Status Copy(const std::string& name, CopyLane* lane);
  enum class Way : uint8_t { kWrite, kLook, kCompare };
  Status CopyStream(const std::string& name, int to, Way way, CopyLane* lane);
  Status WritePiece(const std::string& name, int to, Way way, uint64_t at, Bytes piece,
                    CopyLane* lane);
  Status CopyPlain(const std::string& name, int from, int to, CopyLane* lane);
  Status CheckPages(const BlockTag& first, uint64_t at, size_t size, CopyLane* lane);

  const BaseCopyOptions& options_;
  const BaseFiles& list_;
  std::atomic<uint64_t> copied_{0};
  uint64_t total_ = 0;
};

// Of the bytes in the lane's piece, which are at this offset of the file.
Status BaseCopier::CheckPages(const BlockTag& first, uint64_t at, size_t size, CopyLane* lane) {
  for (size_t page = 0; page + kBlockSize <= size; page += kBlockSize) {
    BlockTag tag = first;
    tag.block += static_cast<uint32_t>((at + page) / kBlockSize);
    const auto bad = CheckPage(&lane->piece[page], tag.block, options_.checksums);
    if (!bad) continue;
    if (lane->out.bad_pages.size() >= kMostBadPages)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("the backup in {} has more than {} damaged pages",
                                   options_.base->path(), kMostBadPages));
    lane->out.bad_pages[tag] = *bad;
  }
  return {};
}

// Of the file, at this offset, as far as it is to be written.
Status BaseCopier::WritePiece(const std::string& name, int to, Way way, uint64_t at, Bytes piece,
                              CopyLane* lane) {
  const std::string path = options_.output->PathOf(name);
  if (way == Way::kCompare) {
    lane->there.resize(piece.size());
    ASSIGN_OR_RETURN(const size_t got,
                     ReadFileAt(to, at, {lane->there.data(), piece.size()}, path));
    if (got == piece.size() && std::memcmp(piece.data(), lane->there.data(), got) == 0) return {};
  }
  if (way == Way::kLook) return {};
  lane->out.bytes += piece.size();
  return WriteAll(to, piece, at, path);
}

Status BaseCopier::CopyStream(const std::string& name, int to, Way way, CopyLane* lane) {
  const auto first = pg::ParseRelationPath(*options_.version, name);
  ASSIGN_OR_RETURN(const auto source, options_.base->OpenStream(name));
  lane->piece.resize(kPieceSize);
  for (uint64_t at = 0;;) {
    ASSIGN_OR_RETURN(const size_t got, ReadFully(source.get(), {lane->piece.data(), kPieceSize}));
    if (got == 0 && way == Way::kCompare && ftruncate(to, static_cast<off_t>(at)) != 0)
      return FileError("truncate file", options_.output->PathOf(name));
    if (got == 0) return {};
    if (first && !options_.quick) RETURN_IF_ERROR(CheckPages(*first, at, got, lane));
    RETURN_IF_ERROR(WritePiece(name, to, way, at, Bytes(lane->piece.data(), got), lane));
    at += got;
    copied_ += got;
  }
}

// By the kernel, which may share it.
Status BaseCopier::CopyPlain(const std::string& name, int from, int to, CopyLane* lane) {
  const bool is_shared = ioctl(to, FICLONE, from) == 0;
  if (is_shared && !options_.quick) return CopyStream(name, to, Way::kLook, lane);
  if (is_shared) return {};
  if (!options_.quick) return CopyStream(name, to, Way::kWrite, lane);
  for (bool has_begun = false;; has_begun = true) {
    const ssize_t got = copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
    if (got < 0 && errno == EINTR) continue;
    // Between file systems.
    if (got < 0 && !has_begun) return CopyStream(name, to, Way::kWrite, lane);
    if (got < 0) return FileError("write file", options_.output->PathOf(name));
    if (got == 0) return {};
    lane->out.bytes += static_cast<uint64_t>(got);
    copied_ += static_cast<uint64_t>(got);
  }
}

Status BaseCopier::Copy(const std::string& name, CopyLane* lane) {
  ASSIGN_OR_RETURN(const FileDescriptor to, options_.output->OpenFile(name));
  lane->out.files++;
  lane->out.names.insert(name);
  if (options_.delta) return CopyStream(name, to.get(), Way::kCompare, lane);
  ASSIGN_OR_RETURN(const auto from, options_.base->OpenAsItIs(name));
  return from ? CopyPlain(name, from->get(), to.get(), lane)
              : CopyStream(name, to.get(), Way::kWrite, lane);
}

Result<BaseCopyResult> BaseCopier::Run() {
  BaseCopyResult out;
  std::vector<std::pair<uint64_t, const std::string*>> tasks;
  for (const auto& [name, file] : list_.files) {
    if (!IsCopied(name) && !(options_.with_state && HoldsState(name))) continue;
    if (!file.strange.empty()) {
      out.notes.push_back(
          fmt::format("\"{}\" of the backup is {} and was not copied", name, file.strange));
      continue;
    }
    tasks.emplace_back(file.size, &name);
    total_ += file.size;
  }
  // The largest first, so that no thread is left alone with it.
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<CopyLane> lanes(static_cast<size_t>(options_.jobs));
  RETURN_IF_ERROR(ForEachInParallel(lanes.size(), tasks.size(), [&](size_t lane, size_t item) {
    Status copied = Copy(*tasks[item].second, &lanes[lane]);
    if (lane == 0 && options_.progress)
      options_.progress({"copying the backup", copied_.load(), total_});
    return copied;
  }));
  for (CopyLane& lane : lanes) {
    out.files += lane.out.files;
    out.bytes += lane.out.bytes;
    out.bad_pages.merge(lane.out.bad_pages);
    out.names.merge(lane.out.names);
  }
  return out;
}

}  // namespace

bool HoldsState(std::string_view name) {
  return name == pg::kOriginFile || name.starts_with("pg_twophase/");
}

bool IsCopied(std::string_view name) {
  const auto begins = [name](std::string_view directory) { return name.starts_with(directory); };
  if (std::any_of(std::begin(kEmptied), std::end(kEmptied), begins)) return false;
  if (std::find(std::begin(kOwn), std::end(kOwn), name) != std::end(kOwn)) return false;
  const std::string_view last = name.substr(name.rfind('/') + 1);
  return last != kRestoringFile && !last.starts_with("pg_internal.init") && !IsTemporary(name);
}

Result<BaseCopyResult> CopyBase(const BaseCopyOptions& options, const BaseFiles& list) {
  return BaseCopier(options, list).Run();
}

}  // namespace neon_redo
