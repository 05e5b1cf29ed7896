// What a session has to say to its client: bytes, and ranges of segment files among them.
#ifndef NEON_REDO_WAL_SERVER_OUTPUT_H_
#define NEON_REDO_WAL_SERVER_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/wal_server/served_segment.h"

namespace neon_redo {

// A queue of bytes, at most one range of a file, and bytes again. Not thread-safe.
class Output {
 public:
  struct Range {
    std::shared_ptr<const SegmentFile> file;
    uint64_t offset = 0;
    uint64_t length = 0;
  };

  // Whole messages, and the part of a message before its range, are appended here.
  std::string* bytes() { return range_.length > 0 ? &after_ : &before_; }
  // A range behind all that was appended; only where range_free().
  void AppendRange(Range range) { range_ = std::move(range); }
  bool range_free() const { return range_.length == 0 && after_.empty(); }

  bool empty() const { return before_.size() == sent_ && range_.length == 0; }
  // Without the range.
  size_t buffered() const { return before_.size() - sent_ + after_.size(); }

  // What comes next: these bytes, and when they are none, the range.
  std::string_view head() const { return std::string_view(before_).substr(sent_); }
  const Range& range() const { return range_; }

  // The transport has taken n bytes of the head, or of the range.
  void ConsumeHead(size_t n) {
    sent_ += n;
    if (sent_ == before_.size()) Reset(&before_);
  }
  void ConsumeRange(uint64_t n) {
    range_.offset += n;
    range_.length -= n;
    if (range_.length > 0) return;
    range_.file.reset();
    before_.swap(after_);
    sent_ = 0;
  }
  // Reads the rest of the range, so that its file is no longer needed. False: it could not be read.
  bool TakeInRange() {
    std::string rest(range_.length, '\0');
    const ssize_t n = ReadFully(range_.file->fd.get(), reinterpret_cast<uint8_t*>(rest.data()),
                                rest.size(), range_.offset);
    if (n != static_cast<ssize_t>(rest.size())) return false;
    before_.append(rest).append(std::exchange(after_, {}));
    range_ = {};
    return true;
  }

 private:
  void Reset(std::string* buffer) {
    sent_ = 0;
    buffer->clear();
    if (buffer->capacity() > 4096) buffer->shrink_to_fit();
  }

  std::string before_;
  size_t sent_ = 0;  // of before_
  Range range_;
  std::string after_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_OUTPUT_H_
