// What a WAL sender may send: an archive's segments, how far its WAL is valid, its timelines.
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
#include "cpp_core/wal_server/background.h"
#include "cpp_core/wal_server/served_segment.h"
#include "cpp_core/wal_server/unpacker.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Not thread-safe.
//
// On the current timeline, WAL is valid up to the end of the last whole record that can be read
// with its CRC; only the last segments are read for it. A complete last segment counts to its end,
// though a record may go on behind it. Of an earlier segment, FirstBadPage looks at the headers.
//
// Open reads what it needs itself. Later, threads decompress segments and list the archive; calls do
// not wait for them, and Collect takes what they have done.
class WalSource {
 public:
  // kNotFound, kIo, kCorrupt as WalSet. kCorrupt too: the start of the first segment after
  // the last one with WAL is damaged, on the current timeline or a later one. kUnsupported: WAL
  // goes on in segments that are compressed by another program.
  static Result<std::unique_ptr<WalSource>> Open(const WalSources& sources) {
    return Open(sources, UINT64_MAX);
  }
  static Result<std::unique_ptr<WalSource>> Open(const std::string& directory) {
    return Open(WalSources{.directories = {directory}});
  }

  // Readable: Collect has something to do.
  int background_fd() const { return background_->fd(); }
  // Segments that were waiting may be open now, or have failed. Returns whether a list of the archive
  // has brought more WAL, or another timeline.
  bool Collect();
  // What a SegmentUnpacker calls with a file in use.
  void set_give_up(std::function<void(const std::shared_ptr<SegmentFile>&)> give_up) {
    unpacker_->set_give_up(std::move(give_up));
  }

  // Looks for WAL that came behind end(), in a few segments. Returns whether there is more. A compressed
  // segment is decompressed first: then it waits, until Collect and another call. Of one in progress
  // that happens once a second.
  bool Refresh();
  // The last Refresh waits for a segment.
  bool tail_waits() const { return tail_waits_ && !tail_ready(); }
  // The last Refresh waited for a segment that has come, or there are segments that it has not looked at.
  bool wants_refresh() const { return tail_waits_ ? tail_ready() : tail_goes_on_; }
  // Why the last Refresh could not look, or else what damage the last list found; empty: neither.
  const std::string& trouble() const { return trouble_.empty() ? damage_ : trouble_; }
  // The history of a timeline after the current one is there.
  bool HasNewTimeline() const;
  // Lists the archive again, for new timelines: Collect says what came of it. Damage at the start of a
  // segment is found if valid WAL follows within a megabyte. False: not now; it is being listed, or
  // took so long that it is too early to do it again.
  bool BeginRelist();

  const std::string& directory() const { return directory_->path(); }
  // Where segments are, not counting directories of sixteen digits.
  const std::vector<std::string>& directories() const { return directory_->directories(); }
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
  // kUnsupported: it is only there compressed by another program. A compressed one waits: once that is
  // over it is open, or has failed with these errors, UnpackSegment's, or kOutOfMemory.
  Result<std::shared_ptr<SegmentFile>> OpenSegment(uint32_t timeline, uint64_t number);
  // The same of a compressed one that is not needed yet. Null: there is none, or no room for it.
  std::shared_ptr<SegmentFile> OpenAhead(uint32_t timeline, uint64_t number);
  // The offset of the first page that is not where it belongs, among those with a byte in [begin,
  // end); nothing: all are. Looks only at these pages, and at each of them once; for the zeroes
  // after a switch it reads the records of the pages before them, once a file.
  std::optional<uint64_t> FirstBadPage(SegmentFile* file, uint64_t begin, uint64_t end) const;

  // What stopped the reading at end(), in words.
  const std::string& end_reason() const { return end_reason_; }

 private:
  using Clock = std::chrono::steady_clock;

  static Result<std::unique_ptr<WalSource>> Open(const WalSources& sources, uint64_t within);
  Result<std::shared_ptr<SegmentFile>> OpenSegmentOnce(uint32_t timeline, uint64_t number);
  Result<std::shared_ptr<SegmentFile>> OpenFound(Segment segment);
  Status Load(uint64_t within);
  Status RefuseDamage(uint64_t within) const;
  Status FindEnd();
  void NoteEnd();
  void NoteReplacedFiles(Lsn before);
  bool ReadTail(std::vector<Segment> segments, std::optional<Lsn> from);
  bool Adopt(Result<std::unique_ptr<WalSource>> fresh);
  bool PageIsGood(SegmentFile* file, uint64_t offset) const;
  bool IsAfterSwitch(SegmentFile* file, uint64_t offset) const;

  // wal_source_tail.cpp
  std::vector<Segment> LookAtTail();
  bool OpenTail(std::vector<Segment>* segments);
  std::shared_ptr<SegmentFile> OpenOfTail(const Segment& segment);
  bool IsOfTail(const SegmentFile& file) const;
  bool tail_ready() const;

  WalSources sources_;
  std::optional<WalSet> directory_;
  std::vector<TimelineFork> ancestors_;
  uint32_t timeline_ = 0;
  Lsn end_;
  Lsn record_end_;  // of the last whole record; end_ may lie behind it
  // The last of the ends that there were, and when they came to be known, in order.
  struct Moment {
    Lsn end;
    Clock::time_point time;
  };
  std::deque<Moment> moments_;
  std::string end_reason_;
  std::string trouble_;
  std::string damage_;
  std::unordered_map<std::string, std::weak_ptr<SegmentFile>> open_;  // by path

  // The compressed segments that the last Refresh has read, or waits for.
  std::vector<std::shared_ptr<SegmentFile>> tail_;
  bool tail_waits_ = false;
  bool tail_goes_on_ = false;
  std::vector<FileStamp>
      tail_read_;  // of all its files, if each is compressed: they need no other look
  Clock::time_point tail_unpacked_{};
  // Of a compressed file at the end of WAL, which may still be in the making.
  struct Failure {
    FileStamp stamp;
    Error error;
    Clock::time_point since;
  };
  std::optional<Failure> tail_failure_;

  bool relisting_ = false;
  bool relisted_news_ = false;
  Clock::time_point relist_again_{};

  std::unique_ptr<SegmentUnpacker> unpacker_;
  std::unique_ptr<Background> background_;  // goes first
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_WAL_SOURCE_H_
