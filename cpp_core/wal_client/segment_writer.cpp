// Allocating a segment whole at its start does two things: a full disk shows before any WAL of the
// segment is taken, and the file has the one size that pg_receivewal and a restoring server accept.
// fallocate gives zeroes without writing them; where the file system cannot, zeroes are written.
//
// A partial segment is always received again from its start after a restart. The bytes are the same
// as before, so overwriting loses nothing, and no state beside the files needs to be trusted.
#include "cpp_core/wal_client/segment_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <string_view>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/wal_page.h"

namespace neon_redo {

namespace {

// One write's size. The page cache takes memory in pieces as large as the write; those of 128 KiB,
// a message's size, are seldom warm, and cost twice the time of all else together (measured).
constexpr uint64_t kWriteSize = 32 << 10;

struct Found {
  SegmentName name;
  std::string file;
  Packing packing = Packing::kNone;
};

std::optional<Found> Classify(const Directory& directory, const std::string& file) {
  if (const auto name = ParseSegmentName(file)) return Found{*name, file};
  if (const auto archived = ParseArchivedName(file); archived && archived->sha1.empty())
    return Found{archived->segment, file, PackingOfSuffix(archived->suffix)};
  // Another program's name for a segment, unless it is no WAL or its writer is not done with it.
  constexpr size_t kLength = 24;
  if (file.size() <= kLength || file.ends_with(".tmp")) return std::nullopt;
  const auto name = ParseSegmentName(std::string_view(file).substr(0, kLength));
  if (!name || !HoldsWal(directory, file)) return std::nullopt;
  return Found{*name, file, Packing::kUnknown};
}

// Segments by any of the names they can have here; nothing else.
Result<std::vector<Found>> ListSegments(const Directory& directory) {
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  std::vector<Found> out;
  for (const std::string& name : names) {
    if (auto found = Classify(directory, name)) out.push_back(std::move(*found));
  }
  return out;
}

uint64_t NumberOf(const SegmentName& name, uint32_t segment_size) {
  return name.log * ((uint64_t{1} << 32) / segment_size) + name.segment;
}

// Of a plain segment. Somebody may have removed it since.
Status CheckSize(const Directory& directory, const Found& s, uint32_t segment_size) {
  struct stat st;
  if (s.name.partial || s.packing != Packing::kNone ||
      fstatat(directory.fd(), s.file.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
      static_cast<uint64_t>(st.st_size) == segment_size)
    return {};
  return WrongSegmentSize(directory.PathOf(s.file), static_cast<uint64_t>(st.st_size),
                          segment_size);
}

// Whether one of the files of a segment has all of it. Only the last segment is asked for that, so
// that a start does not read the archive.
Result<bool> IsComplete(const Directory& directory, const std::vector<Found>& files,
                        uint32_t segment_size, std::vector<std::string>* notes) {
  for (const Found& s : files) {
    if (s.packing == Packing::kNone) return true;
  }
  for (const Found& s : files) {
    const std::string path = directory.PathOf(s.file);
    if (s.packing == Packing::kUnknown)
      return MakeError(ErrorCode::kUnsupported,
                       fmt::format("file \"{}\" has WAL in a form that cannot be read here; "
                                   "decompress it or move it away, then start again",
                                   path));
    ASSIGN_OR_RETURN(const bool whole, IsWhole(directory, s.file, s.packing, segment_size));
    if (whole) return true;
    notes->push_back(
        fmt::format("file \"{}\" is cut short or damaged: its segment is received again", path));
  }
  return false;
}

// The start of a segment: shorter than asked for, or empty, when the file is cut short.
Result<std::string> ReadHead(const Directory& directory, const Found& s) {
  if (s.packing != Packing::kNone) {
    auto head = DecompressHead(directory, s.file, s.packing, kLongPageHeaderSize);
    if (!head && head.error().code == ErrorCode::kCorrupt) return std::string();
    return head;
  }
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(s.file, O_RDONLY));
  std::string head(kLongPageHeaderSize, '\0');
  const ssize_t n = pread(fd.get(), head.data(), head.size(), 0);
  if (n < 0) return FileError("read file", directory.PathOf(s.file));
  head.resize(static_cast<size_t>(n));
  return head;
}

// From the long page header at the start (XLogLongPageHeaderData). 0: the file is cut short there,
// or has no WAL yet.
Result<uint64_t> SystemIdentifierOf(const Directory& directory, const Found& s,
                                    uint32_t segment_size) {
  // Another segment has it.
  if (s.packing == Packing::kUnknown) return 0;
  const auto head = ReadHead(directory, s);
  // Somebody may clean the archive up meanwhile.
  if (!head && head.error().code == ErrorCode::kNotFound) return 0;
  if (!head) return tl::unexpected(head.error());
  WalSegmentHead h;
  if (!h.Load(Bytes(reinterpret_cast<const uint8_t*>(head->data()), head->size()))) return 0;
  if (head->find_first_not_of('\0') == std::string::npos) return 0;
  // Segments of a version that only the server knows are received as well.
  if ((h.page.info & kPageLongHeader) && h.segment.segment_size == segment_size)
    return h.segment.system_identifier;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" does not begin as a WAL segment of {} bytes; move it "
                               "away, then start again",
                               directory.PathOf(s.file), segment_size));
}

}  // namespace

SegmentWriter::SegmentWriter(Directory directory, uint32_t segment_size, Compression compression)
    : directory_(std::move(directory)),
      segment_size_(segment_size),
      compressor_(directory_, segment_size, compression) {}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Open(const std::string& path,
                                                           uint32_t segment_size,
                                                           Compression compression) {
  ASSIGN_OR_RETURN(Directory directory, Directory::Open(path));
  if (flock(directory.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return MakeError(ErrorCode::kIo,
                       fmt::format("directory \"{}\" is in use by another receiver", path));
    return FileError("lock directory", path);
  }
  if (faccessat(directory.fd(), ".", W_OK | X_OK, 0) != 0)
    return FileError("write to directory", path);
  return std::unique_ptr<SegmentWriter>(
      new SegmentWriter(std::move(directory), segment_size, compression));
}

Result<std::optional<ResumePoint>> SegmentWriter::FindResumePoint() const {
  ASSIGN_OR_RETURN(std::vector<Found> segments, ListSegments(directory_));
  if (segments.empty()) return std::optional<ResumePoint>();
  uint32_t timeline = 0;
  for (const Found& s : segments) timeline = std::max(timeline, s.name.timeline);
  std::erase_if(segments, [&](const Found& s) { return s.name.timeline != timeline; });

  std::map<uint64_t, std::vector<Found>> complete;
  uint64_t first_partial = UINT64_MAX;
  ResumePoint out{timeline, Lsn(), 0, {}};
  for (const Found& s : segments) {
    const uint64_t number = NumberOf(s.name, segment_size_);
    RETURN_IF_ERROR(CheckSize(directory_, s, segment_size_));
    if (out.system_identifier == 0) {
      ASSIGN_OR_RETURN(out.system_identifier, SystemIdentifierOf(directory_, s, segment_size_));
    }
    if (s.name.partial) {
      first_partial = std::min(first_partial, number);
    } else {
      complete[number].push_back(s);
    }
  }
  while (!complete.empty()) {
    const auto& [number, files] = *complete.rbegin();
    ASSIGN_OR_RETURN(const bool whole, IsComplete(directory_, files, segment_size_, &out.notes));
    if (whole) break;
    first_partial = number;
    complete.erase(number);
  }
  const uint64_t next = complete.empty() ? first_partial : complete.rbegin()->first + 1;
  out.start = Lsn(next * segment_size_);
  return std::optional(out);
}

std::string SegmentWriter::PartialName() const {
  return fmt::format("{}{}", FormatSegmentName(timeline_, number_, segment_size_), kPartialSuffix);
}

Status SegmentWriter::Begin(uint32_t timeline, Lsn start) {
  if (start.value % segment_size_ != 0)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is not the start of a WAL segment", start.ToString()));
  timeline_ = timeline;
  written_ = flushed_ = start;
  return CompressLeftovers();
}

// Complete segments that an earlier run left uncompressed, once FindResumePoint has judged them.
Status SegmentWriter::CompressLeftovers() {
  ASSIGN_OR_RETURN(const std::vector<Found> segments, ListSegments(directory_));
  for (const Found& s : segments) {
    if (s.name.partial || s.packing != Packing::kNone) continue;
    RETURN_IF_ERROR(compressor_.Add(s.file));
  }
  return {};
}

Status SegmentWriter::Allocate() {
  const std::string path = PartialPath();
  struct stat st;
  if (fstat(fd_.get(), &st) != 0) return FileError("stat file", path);
  if (st.st_size > segment_size_)
    return WrongSegmentSize(path, static_cast<uint64_t>(st.st_size), segment_size_);
  if (st.st_size == segment_size_) return {};
  int failed;
  do {
    failed = fallocate(fd_.get(), 0, 0, segment_size_);
  } while (failed && errno == EINTR);
  if (!failed) return {};
  if (errno != EOPNOTSUPP && errno != ENOSYS) return FileError("allocate file", path);
  const std::vector<uint8_t> zeroes(size_t{1} << 20);
  for (auto at = static_cast<uint64_t>(st.st_size); at < segment_size_;) {
    const auto n = std::min<uint64_t>(zeroes.size(), segment_size_ - at);
    RETURN_IF_ERROR(WriteAll(fd_.get(), Bytes(zeroes).first(n), at, path));
    at += n;
  }
  return {};
}

// The segment of written_. A new file gets its name once it has its size.
Status SegmentWriter::OpenSegment() {
  number_ = written_.value / segment_size_;
  const std::string name = PartialName();
  auto there = directory_.OpenFile(name, O_RDWR);
  if (there) {
    fd_ = std::move(*there);
    return Allocate();
  }
  if (there.error().code != ErrorCode::kNotFound) return tl::unexpected(there.error());
  const std::string temporary = name + ".tmp";
  ASSIGN_OR_RETURN(fd_, directory_.CreateFile(temporary));
  Status done = Allocate();
  if (done) done = directory_.Rename(temporary, name);
  if (done) return directory_.Sync();
  static_cast<void>(directory_.Remove(temporary));
  return done;
}

Status SegmentWriter::Write(Lsn start, Bytes wal) {
  if (start != written_)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("WAL from {} does not follow what was written up to {}",
                                 start.ToString(), written_.ToString()));
  while (!wal.empty()) {
    if (fd_.get() < 0) {
      RETURN_IF_ERROR(OpenSegment());
    }
    const uint64_t offset = written_.value % segment_size_;
    const Bytes piece = wal.first(std::min({wal.size(), segment_size_ - offset, kWriteSize}));
    RETURN_IF_ERROR(WriteAll(fd_.get(), piece, offset, PartialPath()));
    written_ = written_ + piece.size();
    wal = wal.subspan(piece.size());
    if (offset + piece.size() == segment_size_) {
      RETURN_IF_ERROR(FinishSegment());
    }
  }
  return {};
}

Status SegmentWriter::Flush() {
  RETURN_IF_ERROR(kept_);
  if (fd_.get() >= 0 && flushed_ < written_) {
    RETURN_IF_ERROR(Sync());
  }
  flushed_ = written_;
  return {};
}

Status SegmentWriter::Sync() {
  RETURN_IF_ERROR(kept_);
  const auto began = std::chrono::steady_clock::now();
  const Status synced = SyncFile(fd_.get(), PartialPath());
  counts_.flushes++;
  counts_.flush_time += std::chrono::steady_clock::now() - began;
  return Keep(synced);
}

Status SegmentWriter::Keep(Status flushed) {
  if (kept_) kept_ = flushed;
  return flushed;
}

Status SegmentWriter::FinishSegment() {
  const std::string whole = FormatSegmentName(timeline_, number_, segment_size_);
  RETURN_IF_ERROR(Sync());
  fd_.Reset();
  RETURN_IF_ERROR(Keep(directory_.Rename(PartialName(), whole)));
  RETURN_IF_ERROR(Keep(directory_.Sync()));
  flushed_ = written_;
  counts_.segments++;
  return compressor_.Add(whole);
}

Status SegmentWriter::SwitchTimeline(uint32_t timeline) {
  RETURN_IF_ERROR(Flush());
  const FileDescriptor old = std::move(fd_);
  const std::string old_path = PartialPath();
  timeline_ = timeline;
  uint64_t left = written_.value % segment_size_;
  if (left == 0) return {};
  RETURN_IF_ERROR(OpenSegment());
  const std::string path = PartialPath();
  std::vector<uint8_t> buffer(std::min<uint64_t>(left, uint64_t{1} << 20));
  for (uint64_t at = 0; left > 0;) {
    const ssize_t n = pread(old.get(), buffer.data(), std::min<uint64_t>(left, buffer.size()),
                            static_cast<off_t>(at));
    if (n <= 0) return FileError("read file", old_path);
    RETURN_IF_ERROR(WriteAll(fd_.get(), Bytes(buffer).first(static_cast<size_t>(n)), at, path));
    at += static_cast<uint64_t>(n);
    left -= static_cast<uint64_t>(n);
  }
  return Sync();
}

Status SegmentWriter::WriteHistory(const std::string& name, const std::string& content) {
  if (directory_.Has(name)) return {};
  return directory_.WriteFile(
      name, Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()));
}

Status SegmentWriter::Close() {
  const Status flushed = Flush();
  const Status compressed = compressor_.Finish();
  return flushed ? compressed : flushed;
}

}  // namespace neon_redo
