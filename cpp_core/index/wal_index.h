// An index of one line of WAL: which records concern a page, a relation or the cluster.
#ifndef NEON_REDO_INDEX_WAL_INDEX_H_
#define NEON_REDO_INDEX_WAL_INDEX_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/confirmed.h"
#include "cpp_core/index/cover.h"
#include "cpp_core/index/file.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct IndexOptions {
  std::string directory;       // is made if it is not there, with those above it
  int jobs = 1;                // threads that build files
  uint64_t group = 256 << 20;  // WAL that is indexed into one file, in bytes: a power of two
  uint64_t fan_out = 16;       // files that are merged into one: a power of two
  size_t memory =
      192 << 20;  // for entries that a thread gathers, in bytes; it has up to twice that
  uint64_t cache = 64 << 20;  // memory for blocks of files, in bytes
  std::function<void(uint64_t done, uint64_t total)> progress{};  // in bytes of WAL; for Open
};

// What WalIndex::Open has found and done.
struct IndexCounts {
  uint64_t files = 0;             // that answer questions
  uint64_t built = 0;             // made of WAL now
  uint64_t merged = 0;            // made of other files now
  uint64_t segments_indexed = 0;  // by these
  uint64_t bytes = 0;             // of all files
};

// The files for the WAL of one line. A file that turns out to be damaged is made anew, and a note says so. Not
// thread-safe; any number of indexes, in several processes, may use one directory at once.
class WalIndex {
 public:
  // Uses the files that are there for these segments as they are now, and makes the others. The WAL
  // itself is only read. range.from: where the line begins; without it, at its first segment.
  // kUnsupported: the set has a restore command, which cannot list its archive. Other errors: as of
  // WalReader, but for damage; kIo: the directory cannot be used.
  static Result<std::unique_ptr<WalIndex>> Open(const WalSet& wal, const WalRange& range,
                                                const IndexOptions& options);

  // The same for another thread, which shares the open files and the cache. Nothing is looked at again.
  std::unique_ptr<WalIndex> Share() const;

  // Of the files: of the cluster, below options.directory.
  const std::string& directory() const { return directory_; }
  const IndexCounts& counts() const { return counts_; }
  // Of the segments that are read, each the chosen one of its copies.
  std::shared_ptr<const std::vector<Segment>> segments() const { return segments_; }
  const WalSet& wal() const { return wal_; }
  uint32_t timeline() const { return timeline_; }
  const WalIdentity& identity() const { return wal_.identity(); }
  // Records before this are in it: the end of the last one.
  Lsn end() const { return views().empty() ? Lsn() : views().back().end; }
  // Why WAL after end() cannot be read; nothing: it ends there, or is not wanted.
  const std::optional<Error>& damage() const { return damage_; }
  // About the WAL and the files, one line each, since the last call.
  std::vector<std::string> TakeNotes() { return std::exchange(notes_, {}); }

  // The key's entries of records that start before `to`, in ascending order, beginning with the last
  // that makes the page whole, or with the first there is.
  Result<std::vector<IndexEntry>> Get(const PageKey& key, Lsn to);
  // All of them that start at `from` or later, and before `to`.
  Result<std::vector<IndexEntry>> GetAll(const PageKey& key, Lsn from, Lsn to);
  // The entries of the keys from `first` to `last` of records that start at `from` or later, and before
  // `to`. The order is that of LSNs for each key; a record may come once for each key. After an error some
  // may have come.
  Status ForEach(const PageKey& first, const PageKey& last, Lsn from, Lsn to,
                 const std::function<void(const IndexEntry&)>& take);
  // What records before `to`, from `from` on, make of a fork's size: where a database was made in between, what
  // records after that make of it.
  Result<SizeBounds> GetSize(const PageKey& key, Lsn from, Lsn to);

 private:
  struct ListedFile;

  WalIndex(const WalSet& wal, const WalRange& range, const IndexOptions& options);
  const std::vector<IndexView>& views() const { return cover_->views(); }
  // wal_index_files.cpp
  Status ListSegments();
  void EndAtHole(uint64_t end);
  Result<std::vector<ListedFile>> ListFiles() const;
  Status CoverAll();
  Result<bool> TryCover();
  Result<bool> UseFiles();
  std::vector<SegmentRange> Pieces() const;
  Status Build(const std::vector<SegmentRange>& pieces);
  Status Take(const SegmentRange& piece, BuiltFile built);
  std::vector<SegmentRange> Nodes(uint64_t size) const;
  std::span<const IndexView> ToMerge(const SegmentRange& node) const;
  Result<bool> MergeUpward();
  Status RemoveReplaced();
  bool RemoveDamaged();
  std::span<const Segment> SegmentsOf(const SegmentRange& range) const {
    return std::span(*segments_).subspan(range.first, range.size());
  }

  Status WithRepair(const std::function<Status()>& ask);
  static Status ReadBack(const IndexView& view, const PageKey& key, Lsn to,
                         const IndexFile::Take& take);

  const WalSet wal_;
  const WalRange range_;
  IndexOptions options_;
  const std::string directory_;
  std::shared_ptr<const Directory> opened_;
  std::optional<ConfirmedSegments> confirmed_;
  std::shared_ptr<rocksdb::Cache> cache_;
  uint32_t timeline_ = 0;
  std::shared_ptr<std::vector<Segment>> segments_;  // of the line
  SegmentRange wanted_;
  std::optional<Error> hole_;    // after the wanted segments, where more were asked for
  uint64_t per_group_ = 1;       // segments
  std::vector<uint64_t> sizes_;  // of files, in segments, ascending
  std::unique_ptr<Cover> cover_;
  std::optional<Error> damage_;
  std::vector<std::string> notes_;
  IndexCounts counts_;
  uint64_t to_index_ = 0;  // bytes of WAL
  std::atomic<uint64_t> done_{0};
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_WAL_INDEX_H_
