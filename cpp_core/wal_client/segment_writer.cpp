// Allocating a segment whole at its start does two things: a full disk shows before any WAL of the
// segment is taken, and the file has the one size that pg_receivewal and a restoring server accept.
// fallocate gives zeroes without writing them; where the file system cannot, zeroes are written.
//
// A partial segment is always received again from its start after a restart. The bytes are the same
// as before, so overwriting loses nothing, and no state beside the files needs to be trusted.
#include "cpp_core/wal_client/segment_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal/segment.h"

namespace neon_redo {

namespace {

// One write's size. The page cache takes memory in pieces as large as the write; those of 128 KiB,
// a message's size, are seldom warm, and cost twice the time of all else together (measured).
constexpr uint64_t kWriteSize = 32 << 10;

struct Found {
  SegmentName name;
  std::string file;
  Compression compression = Compression::kNone;
};

// Segments by any of the names they can have here; nothing else.
std::vector<Found> ListSegments(DIR* directory) {
  std::vector<Found> out;
  while (const dirent* entry = readdir(directory)) {
    std::string_view name = entry->d_name;
    Found found{{}, entry->d_name};
    for (Compression c : {Compression::kLz4, Compression::kZstd}) {
      if (!name.ends_with(CompressionSuffix(c))) continue;
      found.compression = c;
      name.remove_suffix(4);
    }
    const auto parsed = ParseSegmentName(name);
    if (!parsed || (parsed->partial && found.compression != Compression::kNone)) continue;
    found.name = *parsed;
    out.push_back(std::move(found));
  }
  return out;
}

uint64_t NumberOf(const SegmentName& name, uint32_t segment_size) {
  return name.log * ((uint64_t{1} << 32) / segment_size) + name.segment;
}

// From the long page header at the start (XLogLongPageHeaderData). 0: it has none yet.
uint64_t SystemIdentifierOf(const std::string& path, Compression compression,
                            uint32_t segment_size) {
  std::string head(kLongPageHeaderSize, '\0');
  if (compression != Compression::kNone) {
    auto start = DecompressHead(path, compression, kLongPageHeaderSize);
    if (!start) return 0;
    head = std::move(*start);
  } else {
    const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0 ||
        pread(fd.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(kLongPageHeaderSize))
      return 0;
  }
  // Segments of a version that only the server knows are received as well.
  WalSegmentHead h;
  if (!h.Load(Bytes(reinterpret_cast<const uint8_t*>(head.data()), head.size()))) return 0;
  const bool is_wal = (h.page.info & kPageLongHeader) && h.segment.segment_size == segment_size;
  return is_wal ? h.segment.system_identifier : 0;
}

}  // namespace

SegmentWriter::SegmentWriter(std::string directory, uint32_t segment_size, Compression compression)
    : directory_(std::move(directory)), segment_size_(segment_size), compressor_(compression) {}

SegmentWriter::~SegmentWriter() {
  if (fd_ >= 0) close(fd_);
  if (directory_fd_ >= 0) close(directory_fd_);
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Open(const std::string& directory,
                                                           uint32_t segment_size,
                                                           Compression compression) {
  std::unique_ptr<SegmentWriter> out(new SegmentWriter(directory, segment_size, compression));
  out->directory_fd_ = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (out->directory_fd_ < 0) {
    const bool missing = errno == ENOENT;
    auto error = FileError("open directory", directory);
    if (missing) error.value().code = ErrorCode::kNotFound;
    return error;
  }
  if (flock(out->directory_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return MakeError(ErrorCode::kIo,
                       fmt::format("directory \"{}\" is in use by another receiver", directory));
    return FileError("lock directory", directory);
  }
  if (access(directory.c_str(), W_OK | X_OK) != 0)
    return FileError("write to directory", directory);
  // Complete segments that an earlier run left uncompressed.
  DIR* listing = opendir(directory.c_str());
  if (!listing) return FileError("read directory", directory);
  const std::vector<Found> segments = ListSegments(listing);
  closedir(listing);
  for (const Found& s : segments) {
    if (s.name.partial || s.compression != Compression::kNone) continue;
    RETURN_IF_ERROR(out->compressor_.Add(directory + "/" + s.file));
  }
  return out;
}

Result<std::optional<ResumePoint>> SegmentWriter::FindResumePoint() const {
  DIR* listing = opendir(directory_.c_str());
  if (!listing) return FileError("read directory", directory_);
  std::vector<Found> segments = ListSegments(listing);
  closedir(listing);
  if (segments.empty()) return std::optional<ResumePoint>();
  uint32_t timeline = 0;
  for (const Found& s : segments) timeline = std::max(timeline, s.name.timeline);
  std::erase_if(segments, [&](const Found& s) { return s.name.timeline != timeline; });

  std::optional<uint64_t> complete;
  uint64_t first_partial = UINT64_MAX;
  ResumePoint out{timeline, Lsn(), 0};
  for (const Found& s : segments) {
    const uint64_t number = NumberOf(s.name, segment_size_);
    const std::string path = directory_ + "/" + s.file;
    struct stat st;
    if (stat(path.c_str(), &st) != 0) continue;  // just compressed and removed
    if (!s.name.partial && s.compression == Compression::kNone &&
        static_cast<uint64_t>(st.st_size) != segment_size_)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("file \"{}\" has {} bytes, a segment has {}; move it away, then "
                                   "start again",
                                   path, st.st_size, segment_size_));
    if (out.system_identifier == 0)
      out.system_identifier = SystemIdentifierOf(path, s.compression, segment_size_);
    if (s.name.partial) {
      first_partial = std::min(first_partial, number);
    } else {
      complete = std::max(complete.value_or(0), number);
    }
  }
  out.start = Lsn((complete ? *complete + 1 : first_partial) * segment_size_);
  return std::optional(out);
}

std::string SegmentWriter::PathOf(uint32_t timeline, uint64_t number, const char* suffix) const {
  return directory_ + "/" + FormatSegmentName(timeline, number, segment_size_) + suffix;
}

Status SegmentWriter::SyncDirectory() const {
  if (fsync(directory_fd_) != 0) return FileError("flush directory", directory_);
  return {};
}

Status SegmentWriter::Begin(uint32_t timeline, Lsn start) {
  if (start.value % segment_size_ != 0)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is not the start of a WAL segment", start.ToString()));
  timeline_ = timeline;
  written_ = flushed_ = start;
  return {};
}

Status SegmentWriter::Allocate(const std::string& path) {
  struct stat st;
  if (fstat(fd_, &st) != 0) return FileError("stat file", path);
  if (st.st_size > segment_size_)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("file \"{}\" has {} bytes, a segment has {}; move it away, then "
                                 "start again",
                                 path, st.st_size, segment_size_));
  if (st.st_size == segment_size_) return {};
  int failed;
  do {
    failed = fallocate(fd_, 0, 0, segment_size_);
  } while (failed && errno == EINTR);
  if (!failed) return {};
  if (errno != EOPNOTSUPP && errno != ENOSYS) return FileError("allocate file", path);
  const std::vector<uint8_t> zeroes(size_t{1} << 20);
  for (auto at = static_cast<uint64_t>(st.st_size); at < segment_size_;) {
    const auto n = std::min<uint64_t>(zeroes.size(), segment_size_ - at);
    RETURN_IF_ERROR(WriteAll(fd_, Bytes(zeroes).first(n), at, path));
    at += n;
  }
  return {};
}

// The segment of written_. A new file gets its name once it has its size.
Status SegmentWriter::OpenSegment() {
  number_ = written_.value / segment_size_;
  const std::string path = PathOf(timeline_, number_, ".partial");
  fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ >= 0) return Allocate(path);
  if (errno != ENOENT) return FileError("open file", path);
  const std::string temporary = path + ".tmp";
  fd_ = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd_ < 0) return FileError("create file", temporary);
  Status done = Allocate(path);
  if (done && rename(temporary.c_str(), path.c_str()) != 0) done = FileError("rename file", path);
  if (done) return SyncDirectory();
  unlink(temporary.c_str());
  return done;
}

Status SegmentWriter::Write(Lsn start, Bytes wal) {
  if (start != written_)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("WAL from {} does not follow what was written up to {}",
                                 start.ToString(), written_.ToString()));
  while (!wal.empty()) {
    if (fd_ < 0) {
      RETURN_IF_ERROR(OpenSegment());
    }
    const uint64_t offset = written_.value % segment_size_;
    const Bytes piece = wal.first(std::min({wal.size(), segment_size_ - offset, kWriteSize}));
    RETURN_IF_ERROR(WriteAll(fd_, piece, offset, PathOf(timeline_, number_, ".partial")));
    written_ = written_ + piece.size();
    wal = wal.subspan(piece.size());
    if (offset + piece.size() == segment_size_) {
      RETURN_IF_ERROR(FinishSegment());
    }
  }
  return {};
}

Status SegmentWriter::Flush() {
  if (fd_ >= 0 && flushed_ < written_) {
    RETURN_IF_ERROR(Sync(PathOf(timeline_, number_, ".partial")));
  }
  flushed_ = written_;
  return {};
}

Status SegmentWriter::Sync(const std::string& path) {
  const auto began = std::chrono::steady_clock::now();
  const Status synced = SyncFile(fd_, path);
  counts_.flushes++;
  counts_.flush_time += std::chrono::steady_clock::now() - began;
  return synced;
}

Status SegmentWriter::FinishSegment() {
  const std::string partial = PathOf(timeline_, number_, ".partial");
  const std::string whole = PathOf(timeline_, number_, "");
  RETURN_IF_ERROR(Sync(partial));
  close(fd_);
  fd_ = -1;
  if (rename(partial.c_str(), whole.c_str()) != 0) return FileError("rename file", partial);
  RETURN_IF_ERROR(SyncDirectory());
  flushed_ = written_;
  counts_.segments++;
  return compressor_.Add(whole);
}

Status SegmentWriter::SwitchTimeline(uint32_t timeline) {
  RETURN_IF_ERROR(Flush());
  const FileDescriptor old(std::exchange(fd_, -1));
  const std::string old_path = PathOf(timeline_, number_, ".partial");
  timeline_ = timeline;
  uint64_t left = written_.value % segment_size_;
  if (left == 0) return {};
  RETURN_IF_ERROR(OpenSegment());
  const std::string path = PathOf(timeline_, number_, ".partial");
  std::vector<uint8_t> buffer(std::min<uint64_t>(left, uint64_t{1} << 20));
  for (uint64_t at = 0; left > 0;) {
    const ssize_t n = pread(old.get(), buffer.data(), std::min<uint64_t>(left, buffer.size()),
                            static_cast<off_t>(at));
    if (n <= 0) return FileError("read file", old_path);
    RETURN_IF_ERROR(WriteAll(fd_, Bytes(buffer).first(static_cast<size_t>(n)), at, path));
    at += static_cast<uint64_t>(n);
    left -= static_cast<uint64_t>(n);
  }
  return SyncFile(fd_, path);
}

Status SegmentWriter::WriteHistory(const std::string& name, const std::string& content) {
  const std::string path = directory_ + "/" + name;
  if (access(path.c_str(), F_OK) == 0) return {};
  return WriteFileDurably(path,
                          Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()));
}

Status SegmentWriter::Close() {
  const Status flushed = Flush();
  const Status compressed = compressor_.Finish();
  return flushed ? compressed : flushed;
}

}  // namespace neon_redo
