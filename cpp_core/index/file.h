// One file of an index: the entries of some segments of WAL, which it names.
#ifndef NEON_REDO_INDEX_FILE_H_
#define NEON_REDO_INDEX_FILE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/index/entry.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace rocksdb {
class Cache;
class Iterator;
}  // namespace rocksdb

namespace neon_redo {

// A segment as it was when it was indexed.
struct IndexedSegment {
  uint32_t timeline = 0;
  uint64_t number = 0;
  uint64_t hash = 0;    // XXH3, 64 bits, of its content, decompressed
  FileIdentity file{};  // changed is 0: versions of the content may have the same one
};

// WAL that was indexed in one go: segments of the file, up to those of the next stretch. What an entry says of
// a fork's size follows from its stretch alone.
struct IndexedStretch {
  Lsn begin{};  // entries are of records that start here
  Lsn end{};    // or later, and before this: the end of the segments, or of their WAL
  // The last record; none: 0. It may end in a segment that is not one of these.
  Lsn last_start{}, last_end{};
  uint32_t last_crc = 0;
};

struct IndexHeader {
  uint64_t system_identifier = 0;
  uint32_t segment_size = 0;
  std::vector<IndexedSegment> segments{};   // in order of number, without gaps; not empty
  std::vector<IndexedStretch> stretches{};  // in order of LSN, without gaps; not empty
  // WAL cannot be read further than its end. Such a file is of no use to another process.
  bool is_cut = false;

  Lsn begin() const { return stretches.front().begin; }
  Lsn end() const { return stretches.back().end; }
  // The stretch that a record is of.
  const IndexedStretch& StretchOf(Lsn start) const;
};

// Writes a file. Not thread-safe.
class IndexFileWriter {
 public:
  // Overwrites the open file, which `path` names in messages. is_large: its filter and its list of blocks
  // are in pieces, so that a question needs one of them.
  static Result<std::unique_ptr<IndexFileWriter>> Create(int fd, const std::string& path,
                                                         bool is_large);
  ~IndexFileWriter();
  // Keys in ascending order, each any number of times; all entries of a key in ascending order.
  Status Add(const PageKey& key, std::span<const IndexEntry> entries);
  // Nothing may be added afterwards. The file is on disk.
  Status Finish(const IndexHeader& header);

 private:
  struct Table;
  explicit IndexFileWriter(std::unique_ptr<Table> table);
  std::unique_ptr<Table> table_;
};

// A file that is open. Every block of it is checked when it is read. Not thread-safe, but for Share.
class IndexFile {
 public:
  // Links are not followed. kNotFound: there is no such file. kCorrupt: it is damaged, or of another
  // version; the message names it. cache: of blocks, shared with other files. later: its name from now on.
  static Result<std::unique_ptr<IndexFile>> Open(const Directory& directory,
                                                 const std::string& name,
                                                 const std::shared_ptr<rocksdb::Cache>& cache,
                                                 const std::string& later = {});
  ~IndexFile();

  // The same open file for another thread: descriptor, header and cache are shared.
  std::shared_ptr<IndexFile> Share() const;

  const IndexHeader& header() const;
  uint64_t bytes() const;                            // of the file
  const std::string& name() const { return name_; }  // in the directory, unless it was replaced
  // A block of it could not be used.
  bool is_damaged() const { return is_damaged_; }

  // The key's entries of records that start before `to`, the newest first, a part at a time, until
  // take says false.
  using Take = std::function<bool(std::span<const IndexEntry> part)>;
  Status ReadBack(const PageKey& key, Lsn to, const Take& take);

  // Entries of many keys, a part at a time, in ascending order. They are not kept in the cache. The file must
  // outlive it.
  class Cursor {
   public:
    // From the first part of this key or a later one on; `from`: where that part, or the one before it, begins.
    Cursor(IndexFile* file, const PageKey& first, Lsn from);
    ~Cursor();
    Cursor(Cursor&&) noexcept;
    Cursor& operator=(Cursor&&) noexcept;
    // False: there are no more.
    Result<bool> Next();
    const PageKey& key() const { return key_; }
    std::span<const IndexEntry> part() const { return part_; }

   private:
    IndexFile* file_;
    std::unique_ptr<rocksdb::Iterator> at_;
    bool is_first_ = true;
    PageKey key_{};
    std::vector<IndexEntry> part_;
  };

 private:
  struct Table;
  IndexFile(std::string path, std::string name, std::shared_ptr<Table> table);
  Status ReadHeader();
  void ReadByKey();
  tl::unexpected<Error> Damaged(const std::string& what);

  const std::string path_, name_;
  const std::shared_ptr<Table> table_;
  std::unique_ptr<rocksdb::Iterator> at_;  // of one key: it uses the filter
  std::vector<IndexEntry> part_;
  std::atomic<bool> is_damaged_{false};
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_FILE_H_
