// Segments are indexed in groups of 256 MB of WAL, each aligned to a multiple of that, so that a question
// touches few files. Those after the last whole group have a file each: the last one is made anew
// while its WAL grows, and all are replaced once the group is whole.
#include "cpp_core/index/wal_index.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <span>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/record_source.h"
#include "cpp_core/wal/copies.h"

namespace neon_redo {

namespace {

constexpr uint64_t kGroupBytes = uint64_t{256} << 20;

using Group = std::span<const Segment>;

Status MakeDirectories(const std::string& path) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      struct stat st;
      if (stat(part.c_str(), &st) != 0) return FileError("create directory", part);
    }
    if (at != std::string::npos) at++;
  }
  return {};
}

// The segments of the line, each the one of its copies that is read, without those after its WAL.
Result<std::vector<Segment>> SegmentsToIndex(const WalSet& wal, const WalRange& range,
                                             std::vector<std::string>* notes) {
  ASSIGN_OR_RETURN(const WalLine line, wal.FindLine(range.timeline, range.from));
  RETURN_IF_ERROR(wal.RefuseCompressed(line.segments, range.timeline, range.from, range.to));
  std::vector<Segment> out;
  for (size_t i = 0; i < line.segments.size(); i++) {
    const Segment& segment = line.segments[i];
    if (range.from && segment.number < range.from->value / wal.segment_size()) continue;
    if (range.to && wal.SegmentStart(segment.number) >= *range.to) break;
    if (segment.copies.empty()) {
      out.push_back(segment);
    } else {
      ASSIGN_OR_RETURN(auto chosen, ChooseCopy(line.segments, i, wal.identity(), notes));
      out.push_back(std::move(chosen));
    }
  }
  while (!out.empty() && out.back().head != SegmentHead::kWal) out.pop_back();
  return out;
}

std::vector<Group> GroupsOf(const std::vector<Segment>& segments, uint32_t segment_size) {
  const uint64_t per_group = std::max<uint64_t>(1, kGroupBytes / segment_size);
  std::vector<Group> out;
  for (size_t i = 0; i < segments.size();) {
    size_t end = i + 1;
    while (end < segments.size() && segments[end].number == segments[end - 1].number + 1 &&
           segments[end].number / per_group == segments[i].number / per_group)
      end++;
    const bool is_whole = end < segments.size() && (segments[end - 1].number + 1) % per_group == 0;
    if (is_whole) {
      out.push_back(Group(segments).subspan(i, end - i));
    } else {
      for (size_t k = i; k < end; k++) out.push_back(Group(segments).subspan(k, 1));
    }
    i = end;
  }
  return out;
}

// Whether the file is of these segments as they are now. is_last: no WAL is behind them.
Result<bool> Fits(const IndexHeader& header, Group group, const WalIdentity& identity, bool is_last,
                  RecordSource* records) {
  const Lsn end(uint64_t{group.back().number + 1} * identity.segment_size);
  if (header.system_identifier != identity.system_identifier ||
      header.segment_size != identity.segment_size || header.segments.size() != group.size() ||
      header.begin != Lsn(group.front().number * identity.segment_size) || header.end > end ||
      (header.end < end && !is_last))
    return false;
  for (size_t i = 0; i < group.size(); i++) {
    const IndexedSegment& indexed = header.segments[i];
    if (indexed.timeline != group[i].timeline || indexed.number != group[i].number) return false;
    ASSIGN_OR_RETURN(const auto now, LookAtSegment(group[i]));
    if (IsUntouched(indexed, now)) continue;
    ASSIGN_OR_RETURN(const auto read, DescribeSegment(group[i], identity.segment_size));
    if (read.hash != indexed.hash) return false;
  }
  if (!header.last_start.valid()) return true;
  // It may end in a segment that is not of the file.
  const auto last = records->Read(header.last_start);
  if (!last && last.error().code != ErrorCode::kNotFound) return tl::unexpected(last.error());
  return last && LoadNative<RecordHeader>(last->bytes.data()).crc == header.last_crc;
}

}  // namespace

Result<std::unique_ptr<WalIndex>> WalIndex::Open(const WalSet& wal, const WalRange& range,
                                                 const IndexOptions& options) {
  if (wal.restores())
    return MakeError(ErrorCode::kUnsupported,
                     "WAL that a restore command brings cannot be indexed, since the command "
                     "cannot list its archive");
  std::unique_ptr<WalIndex> out(new WalIndex());
  out->identity_ = wal.identity();
  ASSIGN_OR_RETURN(auto segments, SegmentsToIndex(wal, range, &out->notes_));
  out->segments_ = std::make_shared<const std::vector<Segment>>(std::move(segments));
  out->directory_ = fmt::format("{}/{}", options.directory, wal.system_identifier());
  RETURN_IF_ERROR(MakeDirectories(out->directory_));
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(out->directory_));
  RETURN_IF_ERROR(RemoveLeftovers(directory));

  const auto cache = rocksdb::NewLRUCache(options.cache);
  const std::vector<Group> groups = GroupsOf(*out->segments_, wal.segment_size());
  out->files_.resize(groups.size());
  RecordSource records(out->segments_, wal.identity());
  const auto open = [&](size_t i) -> Result<bool> {
    auto file =
        IndexFile::Open(directory.PathOf(IndexFileName(groups[i], wal.segment_size())), cache);
    if (!file && file.error().code == ErrorCode::kNotFound) return false;
    if (!file && file.error().code == ErrorCode::kCorrupt) {
      out->notes_.push_back(file.error().message + "; it is made anew");
      return false;
    }
    if (!file) return tl::unexpected(file.error());
    ASSIGN_OR_RETURN(const bool fits, Fits((*file)->header(), groups[i], wal.identity(),
                                           i + 1 == groups.size(), &records));
    if (fits) out->files_[i] = std::move(*file);
    return fits;
  };
  std::vector<size_t> missing;
  uint64_t total = 0;
  for (size_t i = 0; i < groups.size(); i++) {
    ASSIGN_OR_RETURN(const bool is_there, open(i));
    if (is_there) continue;
    missing.push_back(i);
    total += groups[i].size() * wal.segment_size();
    out->counts_.segments_indexed += groups[i].size();
  }
  std::atomic<uint64_t> done{0};
  RETURN_IF_ERROR(ForEachInParallel(
      static_cast<size_t>(options.jobs), missing.size(), [&](size_t lane, size_t item) -> Status {
        RETURN_IF_ERROR(
            BuildIndexFile(wal, range.timeline, groups[missing[item]], directory, &done));
        if (lane == 0 && options.progress) options.progress(done, total);
        return {};
      }));
  for (const size_t i : missing) {
    ASSIGN_OR_RETURN(const bool is_there, open(i));
    if (!is_there)
      return MakeError(ErrorCode::kIo,
                       fmt::format("segments changed while they were indexed, or somebody else "
                                   "changes \"{}\": run the command again",
                                   directory.PathOf(IndexFileName(groups[i], wal.segment_size()))));
    if (groups[i].size() == 1) continue;
    // What the group replaces.
    for (const Segment& segment : groups[i])
      static_cast<void>(directory.Remove(IndexFileName(Group(&segment, 1), wal.segment_size())));
  }
  out->counts_.files = groups.size();
  out->counts_.built = missing.size();
  for (const auto& file : out->files_) {
    struct stat st;
    if (stat(file->path().c_str(), &st) == 0)
      out->counts_.bytes += static_cast<uint64_t>(st.st_size);
  }
  return out;
}

Result<std::vector<IndexEntry>> WalIndex::Get(const PageKey& key, Lsn to) {
  std::vector<IndexEntry> out;  // the newest first
  bool is_whole = false;
  for (auto file = files_.rbegin(); file != files_.rend() && !is_whole; ++file) {
    RETURN_IF_ERROR((*file)->ReadBack(key, to, [&](const std::vector<IndexEntry>& part) {
      for (auto entry = part.rbegin(); entry != part.rend() && !is_whole; ++entry) {
        out.push_back(*entry);
        is_whole = entry->makes_whole;
      }
      return !is_whole;
    }));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Result<std::vector<IndexEntry>> WalIndex::GetAll(const PageKey& key, Lsn from, Lsn to) {
  std::vector<IndexEntry> out;
  for (auto file = files_.rbegin(); file != files_.rend() && (*file)->header().end > from; ++file) {
    RETURN_IF_ERROR((*file)->ReadBack(key, to, [&](const std::vector<IndexEntry>& part) {
      out.insert(out.end(), part.rbegin(), part.rend());
      return out.back().start >= from;
    }));
  }
  while (!out.empty() && out.back().start < from) out.pop_back();
  std::reverse(out.begin(), out.end());
  return out;
}

Result<SizeBounds> WalIndex::GetSize(const PageKey& key, Lsn from, Lsn to) {
  SizeBounds out;
  for (auto file = files_.rbegin(); file != files_.rend() && (*file)->header().end > from; ++file) {
    if (out.is_known()) break;
    RETURN_IF_ERROR((*file)->ReadBack(key, to, [&](const std::vector<IndexEntry>& part) {
      out = part.back().size.Then(out);
      return false;
    }));
  }
  return out;
}

}  // namespace neon_redo
