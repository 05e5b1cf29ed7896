// One file of an index: the entries of a few segments of WAL, which it names.
#ifndef NEON_REDO_INDEX_FILE_H_
#define NEON_REDO_INDEX_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/index/entry.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace rocksdb {
class Cache;
}

namespace neon_redo {

// A segment as it was when it was indexed.
struct IndexedSegment {
  uint32_t timeline = 0;
  uint64_t number = 0;
  uint64_t stored_size = 0;  // of its file, in bytes
  uint64_t hash = 0;         // XXH3, 64 bits, of its content, decompressed
  // Of its file. If all are the same, so is the content.
  uint64_t device = 0, inode = 0;
  int64_t modified = 0, changed = 0;  // mtime and ctime, in nanoseconds
};

struct IndexHeader {
  uint64_t system_identifier = 0;
  uint32_t segment_size = 0;
  std::vector<IndexedSegment> segments{};  // in order of number, without gaps
  Lsn begin{};                             // entries are of records that start here
  Lsn end{};  // or later, and before this: the end of the segments, or of their WAL
  // The last record; none: 0. It may end in a segment that is not one of these.
  Lsn last_start{};
  uint32_t last_crc = 0;
  // WAL cannot be read further than `end`. Such a file is of no use to another process.
  bool is_cut = false;
};

// Writes a file. Not thread-safe.
class IndexFileWriter {
 public:
  // Overwrites the open file, which `path` names in messages.
  static Result<std::unique_ptr<IndexFileWriter>> Create(int fd, const std::string& path);
  ~IndexFileWriter();
  // Of each key once, in ascending order; entries in ascending order, not empty.
  Status Add(const PageKey& key, const std::vector<IndexEntry>& entries);
  // Nothing may be added afterwards. The file is on disk.
  Status Finish(const IndexHeader& header);

 private:
  struct Table;
  explicit IndexFileWriter(std::unique_ptr<Table> table);
  std::unique_ptr<Table> table_;
};

// A file that is open. Every block of it is checked when it is read. Not thread-safe.
class IndexFile {
 public:
  // Links are not followed. kNotFound: there is no such file. kCorrupt: it is damaged, or of another
  // format; the message names it. cache: of blocks, shared with other files.
  static Result<std::unique_ptr<IndexFile>> Open(const Directory& directory,
                                                 const std::string& name,
                                                 const std::shared_ptr<rocksdb::Cache>& cache);
  ~IndexFile();

  const IndexHeader& header() const { return header_; }
  uint64_t bytes() const { return bytes_; }

  // The key's entries of records that start before `to`, the newest first, a part at a time, until
  // take says false.
  using Take = std::function<bool(const std::vector<IndexEntry>& part)>;
  Status ReadBack(const PageKey& key, Lsn to, const Take& take);

  // The entries of the keys from `first` to `last`, in ascending order of keys. A key may come several
  // times.
  using Sink = std::function<Status(const PageKey&, const std::vector<IndexEntry>&)>;
  Status ForEach(const PageKey& first, const PageKey& last, const Sink& sink);

 private:
  struct Table;
  IndexFile(std::string path, std::unique_ptr<Table> table);
  Status ReadHeader();
  tl::unexpected<Error> Damaged(const std::string& what) const;

  const std::string path_;
  std::unique_ptr<Table> table_;
  uint64_t bytes_ = 0;  // of the file
  IndexHeader header_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_FILE_H_
