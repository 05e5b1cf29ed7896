// Failing requests kept as files, to be run again by `neon-redo replay`.
//
// A capture is a few lines of text, an empty line, and bytes. The text says what was asked and what
// went wrong, one item a line; the bytes are the base image and the PostgreSQL records, in order.
#ifndef NEON_REDO_REDO_MANAGER_CAPTURE_H_
#define NEON_REDO_REDO_MANAGER_CAPTURE_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/manager.h"

namespace neon_redo {

// A request read back, with the bytes that its views point to. Not copyable.
struct CapturedRequest {
  std::string error;
  const pg::Version* version = nullptr;  // of the records; never null once it is read
  std::string bytes;
  std::vector<PageRecord> records;
  PageRequest request;

  CapturedRequest() = default;
  CapturedRequest(const CapturedRequest&) = delete;
};

// version: of the records.
std::string FormatCapture(const PageRequest& request, const Error& error,
                          const pg::Version& version);

// A text that does not name the version is from before other versions than 15 could be captured.
// kCorrupt, with the line's number, for what FormatCapture does not write; kUnsupported for a version
// that was not tested (pg/tested_version.h).
Result<std::unique_ptr<CapturedRequest>> ParseCapture(std::string text);

// The same from a file; kIo, kNotFound.
Result<std::unique_ptr<CapturedRequest>> ReadCapture(const std::string& path);

// A directory for captures with room for so many files and bytes, counting what is there already.
// Thread-safe.
class FailureCapture {
 public:
  FailureCapture(std::string directory, size_t max_files, uint64_t max_bytes,
                 const pg::Version& version);

  // Returns the path of the new file, or empty when nothing was kept: no directory, no room, or the
  // request was not at fault (kShutdown).
  std::string Keep(const PageRequest& request, const Error& error);

 private:
  const std::string directory_;
  const size_t max_files_;
  const uint64_t max_bytes_;
  const pg::Version& version_;
  std::mutex mutex_;
  uint64_t serial_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_CAPTURE_H_
