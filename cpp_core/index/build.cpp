// A file is written under another name and renamed when it is whole. Its maker holds a lock on it, which
// ends with the process in whatever way that ends: a file that is not locked is nobody's.
#include "cpp_core/index/build.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cpp_core/archive/segment_file.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/hash_key.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/gathering.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/ingest.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

constexpr std::string_view kUnfinished = ".tmp";

// A new file that this process has locked.
Result<FileDescriptor> CreateLocked(const Directory& directory, const std::string& name) {
  for (;;) {
    ASSIGN_OR_RETURN(FileDescriptor fd, directory.CreateFile(name));
    if (flock(fd.get(), LOCK_EX) != 0) return FileError("lock file", directory.PathOf(name));
    struct stat st;
    if (fstat(fd.get(), &st) != 0) return FileError("examine file", directory.PathOf(name));
    if (st.st_nlink != 0) return fd;  // else it was taken for a leftover before it was locked
  }
}

struct Indexed {
  IndexedStretch stretch;
  std::optional<Error> damage{};
};

// Reads the records that start in the segments.
Result<Indexed> Collect(WalReader* reader, Lsn begin, Lsn end, Gathering* gathering,
                        std::atomic<uint64_t>* done) {
  // Commit timestamps: whether they are kept is known to those who ask.
  Ingest ingest({.track_commit_timestamp = true});
  RecordView view(reader->version());
  ChangeList changes;
  WalRecord record;
  Indexed indexed{.stretch = {.begin = begin, .end = begin}};
  IndexedStretch& out = indexed.stretch;
  uint64_t shown = 0, count = 0;
  while (reader->Next(&record) && record.start < end) {
    RETURN_IF_ERROR(ParseRecord(record, &view));
    if (RecordFault fault = ingest.Take(view, &changes)) {
      indexed.damage = Error{ErrorCode::kCorrupt, fmt::format("invalid record at LSN {}: {}",
                                                              record.start.ToString(), fault.what)};
      out.end = record.start;
      return indexed;
    }
    if (!changes.empty()) RETURN_IF_ERROR(gathering->Take(changes, view, record));
    out = {begin, std::min(record.end, end), record.start, record.end, view.header().crc};
    if (++count % 4096 != 0) continue;
    const uint64_t now = out.end - begin;
    *done += now - shown;
    shown = now;
  }
  if (const auto& error = reader->error()) {
    // WAL may end with the rest of a record that starts before the segments.
    const bool is_rest = error->code == ErrorCode::kNotFound && count == 0;
    if (!is_rest && error->code != ErrorCode::kCorrupt) return tl::unexpected(*error);
    if (is_rest)
      out.end = std::clamp(reader->end_of_wal(), begin, end);
    else
      indexed.damage = *error;
  }
  *done += (end - begin) - shown;
  // There is WAL after the segments.
  if (record.start >= end && out.end < end) out.end = end;
  return indexed;
}

}  // namespace

std::string IndexFileName(std::span<const Segment> segments, uint32_t segment_size) {
  const auto name = [&](const Segment& s) {
    return FormatSegmentName(s.timeline, s.number, segment_size);
  };
  const std::string first = name(segments.front());
  return segments.size() == 1 ? first + ".sst" : first + "-" + name(segments.back()) + ".sst";
}

Result<IndexedSegment> LookAtSegment(const Segment& segment) {
  IndexedSegment out{.timeline = segment.timeline, .number = segment.number};
  ASSIGN_OR_RETURN(const auto identity, LookAtFile(segment.path));
  if (identity) {
    out.file = *identity;
    return out;
  }
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenSegmentFile(segment.path));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", segment.path);
  out.file = IdentityOf(st);
  return out;
}

bool IsUntouched(const IndexedSegment& a, const IndexedSegment& b) {
  return a.file.changed != 0 && a.file == b.file;
}

Result<IndexedSegment> DescribeSegment(const Segment& segment, uint32_t segment_size) {
  ASSIGN_OR_RETURN(IndexedSegment out, LookAtSegment(segment));
  if (NanosecondsNow() - out.file.changed < kYoung) out.file.changed = 0;
  ASSIGN_OR_RETURN(const auto reader, SegmentReader::Open(segment, segment_size));
  constexpr size_t kChunk = 1 << 18;
  const auto buffer = std::make_unique<uint8_t[]>(kChunk);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (uint64_t at = 0; at < segment_size;) {
    const ssize_t n = reader.Read(buffer.get(), kChunk, at);
    if (n < 0) return FileError("read file", segment.ShownAs());
    if (n == 0) break;
    XXH3_64bits_update(state.get(), buffer.get(), static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  out.hash = XXH3_64bits_digest(state.get());
  return out;
}

// Its name in the making: two processes may have the same number, each in a container of its own.
static std::string UnfinishedName(const std::string& name) {
  static std::atomic<uint64_t> serial{0};
  return fmt::format("{}.{:016x}{}", name, HashPair(++serial, static_cast<uint64_t>(getpid())),
                     kUnfinished);
}

static Result<IndexHeader> BeginHeader(const WalSet& wal, std::span<const Segment> segments) {
  const uint32_t size = wal.segment_size();
  IndexHeader header{.system_identifier = wal.system_identifier(), .segment_size = size};
  for (const Segment& segment : segments) {
    auto described = DescribeSegment(segment, size);
    if (!described && described.error().code == ErrorCode::kCorrupt) {
      // Its WAL is read up to the damage, and the file is of no use to others.
      described = LookAtSegment(segment);
      if (described) described->file.changed = 0;
    }
    if (!described) return tl::unexpected(described.error());
    header.segments.push_back(*described);
  }
  return header;
}

Result<std::unique_ptr<IndexFile>> MakeIndexFile(
    const Directory& directory, const std::string& name, bool is_large,
    const std::shared_ptr<rocksdb::Cache>& cache,
    const std::function<Status(IndexFileWriter* writer)>& write) {
  const std::string unfinished = UnfinishedName(name);
  ASSIGN_OR_RETURN(const FileDescriptor lock, CreateLocked(directory, unfinished));
  std::unique_ptr<IndexFile> out;
  const auto make = [&]() -> Status {
    ASSIGN_OR_RETURN(const auto writer,
                     IndexFileWriter::Create(lock.get(), directory.PathOf(unfinished), is_large));
    RETURN_IF_ERROR(write(writer.get()));
    ASSIGN_OR_RETURN(out, IndexFile::Open(directory, unfinished, cache, name));
    return name.empty() ? directory.Remove(unfinished) : directory.Rename(unfinished, name);
  };
  const Status status = make();
  if (status) return out;
  static_cast<void>(directory.Remove(unfinished));
  return tl::unexpected(status.error());
}

Status WriteLocked(const Directory& directory, const std::string& name, Bytes content) {
  const std::string unfinished = UnfinishedName(name);
  ASSIGN_OR_RETURN(const FileDescriptor lock, CreateLocked(directory, unfinished));
  Status status = WriteAll(lock.get(), content, 0, directory.PathOf(unfinished));
  if (status) status = directory.Rename(unfinished, name);
  if (!status) static_cast<void>(directory.Remove(unfinished));
  return status;
}

Result<BuiltFile> BuildIndexFile(const WalSet& wal, uint32_t timeline,
                                 std::span<const Segment> segments, const Directory& directory,
                                 const std::shared_ptr<rocksdb::Cache>& cache, size_t memory,
                                 std::atomic<uint64_t>* done) {
  ASSIGN_OR_RETURN(IndexHeader header, BeginHeader(wal, segments));
  const Lsn begin = wal.SegmentStart(segments.front().number);
  const Lsn end = wal.SegmentStart(segments.back().number + 1);
  // The last record may end after the segments.
  const Lsn enough = end + 2 * uint64_t{wal.version().largest_record};
  ASSIGN_OR_RETURN(const auto reader,
                   OpenWal(wal, {.from = begin, .to = enough, .timeline = timeline}));
  RETURN_IF_ERROR(pg::CheckComplete(reader->version(), "the WAL"));
  Gathering gathering(directory, header, end, memory);
  ASSIGN_OR_RETURN(Indexed indexed, Collect(reader.get(), begin, end, &gathering, done));
  header.stretches.push_back(indexed.stretch);
  header.is_cut = indexed.damage.has_value();
  BuiltFile out{nullptr, std::move(indexed.damage), reader->notes()};
  ASSIGN_OR_RETURN(out.file, MakeIndexFile(directory, IndexFileName(segments, wal.segment_size()),
                                           false, cache, [&](IndexFileWriter* writer) -> Status {
                                             RETURN_IF_ERROR(gathering.Write(writer));
                                             return writer->Finish(header);
                                           }));
  return out;
}

Status RemoveLeftovers(const Directory& directory) {
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  for (const std::string& name : names) {
    if (!name.ends_with(kUnfinished)) continue;
    const auto fd = directory.OpenFile(name, O_RDONLY);
    if (fd && flock(fd->get(), LOCK_EX | LOCK_NB) == 0) RETURN_IF_ERROR(directory.Remove(name));
  }
  return {};
}

}  // namespace neon_redo
