// A segment that is sent to clients.
#ifndef NEON_REDO_WAL_SERVER_SERVED_SEGMENT_H_
#define NEON_REDO_WAL_SERVER_SERVED_SEGMENT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/error.h"

namespace neon_redo {

// One segment, shared by all who send from it.
struct SegmentFile {
  Segment segment;
  // Its content: the archive's file, or an unnamed one where that is compressed. Not open while it is
  // being decompressed, after that has failed, and once its room was given to another segment.
  FileDescriptor fd;
  bool is_unpacked = false;      // the archive's file is compressed
  bool waits = false;            // to be decompressed
  std::optional<Error> failure;  // of that
  // What WalSource knows of its pages.
  bool all_good = false;                // they need not be looked at
  std::vector<bool> good_pages;         // looked at, and where they belong; by page number
  std::optional<uint64_t> zeroes_from;  // the segment was switched: pages from here on are zeroes
  // Open the segment again: another file has its name, and has WAL that this one lacks, or its room
  // was given to another one.
  bool replaced = false;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SERVED_SEGMENT_H_
