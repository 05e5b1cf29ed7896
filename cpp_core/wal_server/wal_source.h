// What a WAL sender may send: a directory of segments, how far its WAL is valid, its timelines.
#ifndef NEON_REDO_WAL_SERVER_WAL_SOURCE_H_
#define NEON_REDO_WAL_SERVER_WAL_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/files.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// One open segment, shared by all who send from it.
struct SegmentFile {
  Segment segment;
  FileDescriptor fd;
  // What WalSource knows of its pages.
  bool all_good = false;                // they need not be looked at
  std::vector<bool> good_pages;         // looked at, and where they belong; by page number
  std::optional<uint64_t> zeroes_from;  // the segment was switched: pages from here on are zeroes
  // Another file has its name, and has WAL that this one lacks: open the segment again.
  bool replaced = false;
};

// Not thread-safe.
//
// On the current timeline, WAL is valid up to the end of the last whole record that can be read
// with its CRC; only the last segments are read for it. A complete last segment counts to its end,
// though a record may go on behind it. Of an earlier segment, FirstBadPage looks at the headers.
class WalSource {
 public:
  // kNotFound, kIo, kCorrupt as WalSet. kCorrupt too: the start of the first segment after
  // the last one with WAL is damaged, on the current timeline or a later one. kUnsupported: WAL
  // goes on in compressed segments.
  static Result<std::unique_ptr<WalSource>> Open(const std::string& directory) {
    return Open(directory, UINT64_MAX);
  }

  // Looks for WAL that came behind end(). Returns whether there is more.
  bool Refresh();
  // Why the last Refresh could not look, or else what damage the last Relist found; empty: neither.
  const std::string& trouble() const { return trouble_.empty() ? damage_ : trouble_; }
  // The history of a timeline after the current one is there.
  bool HasNewTimeline() const;
  // Lists the directory again, for new timelines. Returns whether anything is new. Damage at the
  // start of a segment is found if valid WAL follows within a megabyte: clients wait meanwhile.
  bool Relist();

  const std::string& directory() const { return directory_->path(); }
  uint32_t segment_size() const { return directory_->segment_size(); }
  uint64_t system_identifier() const { return directory_->system_identifier(); }
  const pg::Version& version() const { return directory_->version(); }
  // The current timeline, and the end of its valid WAL.
  uint32_t timeline() const { return timeline_; }
  Lsn end() const { return end_; }

  // When end() moved past a position behind which there is WAL (the time of Open, if it was then).
  std::chrono::steady_clock::time_point KnownSince(Lsn lsn) const;

  // Where a timeline of this history was left, and for which (tliSwitchPoint). An invalid LSN: it
  // is the current one. Nothing: not in this history.
  struct Switch {
    Lsn at;
    uint32_t next;
  };
  std::optional<Switch> FindTimeline(uint32_t timeline) const;
  // The timeline that has the byte (tliOfPointInHistory).
  uint32_t TimelineOf(Lsn lsn) const;
  // kNotFound: no such file. kInvalidArgument: a symbolic link, or not a regular file.
  Result<std::string> ReadHistory(uint32_t timeline) const;

  // kNotFound: it is not there (any more). kIo: not readable. kInvalidArgument: a symbolic link.
  // kUnsupported: it is only there compressed.
  Result<std::shared_ptr<SegmentFile>> OpenSegment(uint32_t timeline, uint64_t number);
  // The offset of the first page that is not where it belongs, among those with a byte in [begin,
  // end); nothing: all are. Looks only at these pages, and at each of them once; for the zeroes
  // after a switch it reads the records of the pages before them, once a file.
  std::optional<uint64_t> FirstBadPage(SegmentFile* file, uint64_t begin, uint64_t end) const;

  // What stopped the reading at end(), in words.
  const std::string& end_reason() const { return end_reason_; }

 private:
  static Result<std::unique_ptr<WalSource>> Open(const std::string& directory, uint64_t within);
  Result<std::shared_ptr<SegmentFile>> OpenSegmentOnce(uint32_t timeline, uint64_t number);
  Status Load(uint64_t within);
  Status RefuseDamage(uint64_t within) const;
  Status FindEnd();
  void NoteEnd();
  void NoteReplacedFiles(Lsn before);
  bool ReadTail(std::vector<Segment> segments, std::optional<Lsn> from);
  bool PageIsGood(SegmentFile* file, uint64_t offset) const;
  bool IsAfterSwitch(SegmentFile* file, uint64_t offset) const;

  std::optional<WalSet> directory_;
  std::vector<TimelineFork> ancestors_;
  uint32_t timeline_ = 0;
  Lsn end_;
  Lsn record_end_;  // of the last whole record; end_ may lie behind it
  // The last of the ends that there were, and when they came to be known, in order.
  struct Moment {
    Lsn end;
    std::chrono::steady_clock::time_point time;
  };
  std::deque<Moment> moments_;
  std::string end_reason_;
  std::string trouble_;
  std::string damage_;
  std::unordered_map<std::string, std::weak_ptr<SegmentFile>> open_;  // by path
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_WAL_SOURCE_H_
