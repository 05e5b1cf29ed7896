// Making one file of an index.
#ifndef NEON_REDO_INDEX_BUILD_H_
#define NEON_REDO_INDEX_BUILD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/index/file.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// "TIMELINESEGMENT.sst", or "FIRST-LAST.sst" of several. segments: not empty, in order of number.
std::string IndexFileName(std::span<const Segment> segments, uint32_t segment_size);

// The segment as it is now, with the hash of its content. A file that was changed just now may change
// again within the same tick of the file system's clock: it is described so that only the hash decides.
Result<IndexedSegment> DescribeSegment(const Segment& segment, uint32_t segment_size);
// The same without the hash, which is 0.
Result<IndexedSegment> LookAtSegment(const Segment& segment);
// Both say that the file is the same one and was not written to. False: it is not known.
bool IsUntouched(const IndexedSegment& a, const IndexedSegment& b);

struct BuiltFile {
  std::unique_ptr<IndexFile> file;
  // Why WAL cannot be read to the end of the segments: then the file has what is before.
  std::optional<Error> damage{};
  std::vector<std::string> notes{};  // about the WAL, one line each
};

// Writes a file under another name, and gives it its name when it is whole. What it returns is the file that it
// made, whatever has that name by then. Without a name it is removed again, and stays open. write also finishes
// it. is_large: as IndexFileWriter. Thread-safe.
// Errors: of `write`; kIo: the file cannot be written.
Result<std::unique_ptr<IndexFile>> MakeIndexFile(
    const Directory& directory, const std::string& name, bool is_large,
    const std::shared_ptr<rocksdb::Cache>& cache,
    const std::function<Status(IndexFileWriter* writer)>& write);

// Writes the content under another name, with a lock, and then gives it its name. A crash of the machine may leave
// another content there. kIo: it cannot.
Status WriteLocked(const Directory& directory, const std::string& name, Bytes content);

// Indexes segments of a line, which are neighbours, and puts the file into the directory, as one stretch.
// timeline: of the line. memory: of entries that are gathered; more of them are written to files without a name,
// and merged. done: bytes of WAL that were read are added to it. Thread-safe. Errors as of WalReader, but
// for damage; kIo: the file cannot be written.
Result<BuiltFile> BuildIndexFile(const WalSet& wal, uint32_t timeline,
                                 std::span<const Segment> segments, const Directory& directory,
                                 const std::shared_ptr<rocksdb::Cache>& cache, size_t memory,
                                 std::atomic<uint64_t>* done);

// Removes what an interrupted process has left there.
Status RemoveLeftovers(const Directory& directory);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_BUILD_H_
