// Making one file of an index.
#ifndef NEON_REDO_INDEX_BUILD_H_
#define NEON_REDO_INDEX_BUILD_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/index/file.h"
#include "neon_redo/error.h"

namespace neon_redo {

// "TIMELINESEGMENT.sst", or "FIRST-LAST.sst" of several. segments: not empty, in order of number.
std::string IndexFileName(std::span<const Segment> segments, uint32_t segment_size);

// The segment as it is now, with the hash of its content. A file that was changed just now may change
// again within the same tick of the file system's clock: it is described so that only the hash tells.
Result<IndexedSegment> DescribeSegment(const Segment& segment, uint32_t segment_size);
// The same without the hash, which is 0.
Result<IndexedSegment> LookAtSegment(const Segment& segment);
// Both say that the file is the same one and was not written to. False: it is not known.
bool IsUntouched(const IndexedSegment& a, const IndexedSegment& b);

// Indexes segments of a line, which are neighbours, and puts the file into the directory. timeline: of
// the line. done: bytes of WAL that were read are added to it. Returns why WAL cannot be read to the end of
// the segments, if it is damaged: then the file has what is before. Thread-safe. Errors as of WalReader;
// kIo: the file cannot be written.
Result<std::optional<Error>> BuildIndexFile(const WalSet& wal, std::optional<uint32_t> timeline,
                                            std::span<const Segment> segments,
                                            const Directory& directory,
                                            std::atomic<uint64_t>* done);

// Removes what an interrupted process has left there.
Status RemoveLeftovers(const Directory& directory);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_BUILD_H_
