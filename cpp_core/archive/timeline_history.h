// Timeline history files: which timelines one descends from, and where each was left.
#ifndef NEON_REDO_ARCHIVE_TIMELINE_HISTORY_H_
#define NEON_REDO_ARCHIVE_TIMELINE_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cpp_core/base/guarded_files.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// An ancestor, and the first byte that is no longer its own.
struct TimelineFork {
  uint32_t timeline;
  Lsn end;
  bool operator==(const TimelineFork&) const = default;
};

// The name of a timeline's history file (TLHistoryFileName).
std::string FormatHistoryName(uint32_t timeline);

// The content of a history file, decompressed if it is compressed, and decrypted if it is encrypted.
// kNotFound: there is none. kInvalidArgument: it is not a regular file, a refused link, or of more than
// 1 MB; a line has some 40 bytes; or it is encrypted, and cipher_pass is null. kCorrupt: its compressed
// data are damaged or cut short, or the passphrase is another one.
Result<std::string> ReadHistoryFile(const std::string& path, Links links = Links::kFollow,
                                    const std::string* cipher_pass = nullptr);

// The ancestors of `timeline`, the oldest first. kCorrupt: a bad line; the message quotes it and
// names `path`.
Result<std::vector<TimelineFork>> ParseTimelineHistory(const std::string& content,
                                                       uint32_t timeline, const std::string& path);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_TIMELINE_HISTORY_H_
