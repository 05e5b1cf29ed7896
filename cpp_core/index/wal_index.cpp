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

std::vector<Group> GroupsOf(const std::vector<Segment>& segments, uint32_t segment_size,
                            uint64_t bytes) {
  const uint64_t per_group = std::max<uint64_t>(1, bytes / segment_size);
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
      header.begin != Lsn(group.front().number * identity.segment_size) || header.is_cut ||
      header.end > end || (header.end < end && !is_last))
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

// Drops what was taken of a file before it was made anew. part: of that file, the newest first.
void Forget(const std::vector<IndexEntry>& part, size_t before, std::vector<IndexEntry>* out) {
  while (out->size() > before && out->back().start <= part.back().start) out->pop_back();
}

}  // namespace

WalIndex::WalIndex(const WalSet& wal, const WalRange& range, const IndexOptions& options)
    : wal_(wal),
      range_(range),
      options_(options),
      directory_(fmt::format("{}/{}", options.directory, wal.system_identifier())),
      cache_(rocksdb::NewLRUCache(options.cache)) {}

Result<std::unique_ptr<WalIndex>> WalIndex::Open(const WalSet& wal, const WalRange& range,
                                                 const IndexOptions& options) {
  if (wal.restores())
    return MakeError(ErrorCode::kUnsupported,
                     "WAL that a restore command brings cannot be indexed, since the command "
                     "cannot list its archive");
  std::unique_ptr<WalIndex> out(new WalIndex(wal, range, options));
  ASSIGN_OR_RETURN(auto segments, SegmentsToIndex(wal, range, &out->notes_));
  out->segments_ = std::make_shared<const std::vector<Segment>>(std::move(segments));
  out->groups_ = GroupsOf(*out->segments_, wal.segment_size(), options.group);
  RETURN_IF_ERROR(MakeDirectories(out->directory_));
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(out->directory_));
  RETURN_IF_ERROR(RemoveLeftovers(directory));
  RETURN_IF_ERROR(out->OpenFiles(directory));
  for (const auto& file : out->files_) {
    struct stat st;
    if (stat(file->path().c_str(), &st) == 0)
      out->counts_.bytes += static_cast<uint64_t>(st.st_size);
  }
  out->counts_.files = out->files_.size();
  return out;
}

std::string WalIndex::PathOf(size_t group) const {
  return directory_ + "/" + IndexFileName(groups_[group], wal_.segment_size());
}

Status WalIndex::OpenFiles(const Directory& directory) {
  files_.resize(groups_.size());
  RecordSource records(segments_, wal_.identity());
  std::vector<size_t> missing;
  for (size_t i = 0; i < groups_.size(); i++) {
    auto file = IndexFile::Open(PathOf(i), cache_);
    if (file) {
      ASSIGN_OR_RETURN(const bool fits, Fits((*file)->header(), groups_[i], wal_.identity(),
                                             i + 1 == groups_.size(), &records));
      if (fits) files_[i] = std::move(*file);
    } else if (file.error().code == ErrorCode::kCorrupt) {
      notes_.push_back(file.error().message + "; it is made anew");
    } else if (file.error().code != ErrorCode::kNotFound) {
      return tl::unexpected(file.error());
    }
    if (!files_[i]) missing.push_back(i);
  }
  ASSIGN_OR_RETURN(auto damages, Build(directory, missing));
  for (size_t i = 0; i < missing.size() && !damage_; i++) {
    const size_t at = missing[i];
    ASSIGN_OR_RETURN(files_[at], IndexFile::Open(PathOf(at), cache_));
    // Nothing behind the damage answers questions.
    if (damages[i]) files_.resize(at + 1);
    damage_ = std::move(damages[i]);
    if (groups_[at].size() == 1) continue;
    // The files that it replaces.
    for (const Segment& segment : groups_[at])
      static_cast<void>(directory.Remove(IndexFileName(Group(&segment, 1), wal_.segment_size())));
  }
  return {};
}

// Makes the files of some groups. Returns the damage of WAL that each met.
Result<std::vector<std::optional<Error>>> WalIndex::Build(const Directory& directory,
                                                          const std::vector<size_t>& missing) {
  uint64_t segments = 0;
  for (const size_t i : missing) segments += groups_[i].size();
  std::atomic<uint64_t> done{0};
  std::vector<std::optional<Error>> damages(missing.size());
  RETURN_IF_ERROR(ForEachInParallel(
      static_cast<size_t>(options_.jobs), missing.size(), [&](size_t lane, size_t item) -> Status {
        ASSIGN_OR_RETURN(damages[item], BuildIndexFile(wal_, range_.timeline,
                                                       groups_[missing[item]], directory, &done));
        if (lane == 0 && options_.progress) options_.progress(done, segments * wal_.segment_size());
        return {};
      }));
  counts_.built += missing.size();
  counts_.segments_indexed += segments;
  return damages;
}

Status WalIndex::Rebuild(size_t group) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(directory_));
  ASSIGN_OR_RETURN(const auto damages, Build(directory, {group}));
  if (damages[0]) return tl::unexpected(*damages[0]);
  ASSIGN_OR_RETURN(files_[group], IndexFile::Open(PathOf(group), cache_));
  return {};
}

// A part that is read may be taken twice: once more from the file that is made anew.
Status WalIndex::ReadBack(size_t file, const PageKey& key, Lsn to, const IndexFile::Take& take) {
  Status status = files_[file]->ReadBack(key, to, take);
  if (status || status.error().code != ErrorCode::kCorrupt || files_[file]->header().is_cut)
    return status;
  notes_.push_back(status.error().message + "; it was made anew");
  RETURN_IF_ERROR(Rebuild(file));
  return files_[file]->ReadBack(key, to, take);
}

Result<std::vector<IndexEntry>> WalIndex::Get(const PageKey& key, Lsn to) {
  std::vector<IndexEntry> out;  // the newest first
  bool is_whole = false;
  for (size_t file = files_.size(); file-- > 0 && !is_whole;) {
    const size_t before = out.size();
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      Forget(part, before, &out);
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
  for (size_t file = files_.size(); file-- > 0 && files_[file]->header().end > from;) {
    const size_t before = out.size();
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      Forget(part, before, &out);
      out.insert(out.end(), part.rbegin(), part.rend());
      return out.back().start >= from;
    }));
  }
  while (!out.empty() && out.back().start < from) out.pop_back();
  std::reverse(out.begin(), out.end());
  return out;
}

Status WalIndex::ForEach(const PageKey& first, const PageKey& last, Lsn from, Lsn to,
                         const std::function<void(const IndexEntry&)>& take) {
  for (size_t file = 0; file < files_.size(); file++) {
    if (files_[file]->header().end <= from) continue;
    if (files_[file]->header().begin >= to) break;
    std::vector<IndexEntry> found;
    const auto read = [&] {
      found.clear();
      return files_[file]->ForEach(
          first, last, [&](const PageKey&, const std::vector<IndexEntry>& part) -> Status {
            for (const IndexEntry& entry : part)
              if (entry.start >= from && entry.start < to) found.push_back(entry);
            return {};
          });
    };
    Status status = read();
    if (!status && status.error().code == ErrorCode::kCorrupt && !files_[file]->header().is_cut) {
      notes_.push_back(status.error().message + "; it was made anew");
      RETURN_IF_ERROR(Rebuild(file));
      status = read();
    }
    if (!status) return status;
    std::for_each(found.begin(), found.end(), take);
  }
  return {};
}

Result<SizeBounds> WalIndex::GetSize(const PageKey& key, Lsn from, Lsn to) {
  SizeBounds out;
  for (size_t file = files_.size(); file-- > 0 && files_[file]->header().end > from;) {
    if (out.is_known()) break;
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      out = part.back().size.Then(out);
      return false;
    }));
  }
  return out;
}

}  // namespace neon_redo
