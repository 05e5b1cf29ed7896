// Records of one line of WAL by where they start, in any order.
#ifndef NEON_REDO_INDEX_RECORD_SOURCE_H_
#define NEON_REDO_INDEX_RECORD_SOURCE_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/archive/segment_file.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Keeps up to 256 segments open, or fewer, so that all sources together have an eighth of the process's files. Up to
// four that are compressed are kept in memory. Not thread-safe.
class RecordSource {
 public:
  // segments: of a line, in order of number, without copies where records are read. sources: how many such
  // objects the process has.
  RecordSource(std::shared_ptr<const std::vector<Segment>> segments, const WalIdentity& identity,
               size_t sources = 1);

  // The record that starts there: its page headers, length and CRC are right. Valid until the next call.
  // kNotFound: there is none. Other errors: the segment cannot be read.
  Result<WalRecord> Read(Lsn start);

 private:
  struct OpenSegment {
    uint64_t number;
    SegmentReader reader;
    bool is_loaded;
  };

  Result<const SegmentReader*> Open(uint64_t number);
  const Segment* Find(uint64_t number) const;
  // Up to n bytes of one page, into *out.
  Result<size_t> ReadPage(Lsn at, size_t n, uint8_t* out);
  Status Append(Lsn* page, uint32_t* rest);
  tl::unexpected<Error> None(Lsn start, const char* what) const;

  std::shared_ptr<const std::vector<Segment>> segments_;
  const WalIdentity identity_;
  const size_t most_open_;
  std::list<OpenSegment> open_;                                            // the last used first
  std::unordered_map<uint64_t, std::list<OpenSegment>::iterator> places_;  // of them, by number
  std::vector<uint8_t> record_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_RECORD_SOURCE_H_
