// WAL pages, one after another, from the segments of one line of descent. Each page's header is
// checked before the page is handed out.
#ifndef NEON_REDO_WAL_PAGE_SOURCE_H_
#define NEON_REDO_WAL_PAGE_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/archive/segment_file.h"
#include "cpp_core/archive/wal_line.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Where reading has to begin for a start that is in a page without WAL: XLOG_SWITCH leaves zeroes,
// and only the record itself tells them from the end of WAL. The last page with WAL before `from`
// in its segment; nothing when the page of `from` has WAL itself, or none before it has.
std::optional<Lsn> FindWalBefore(const Segment& segment, const WalIdentity& identity, Lsn from);

// Not thread-safe.
class WalPageSource {
 public:
  // The segments of one line in order of number (WalSet::Line), not empty.
  WalPageSource(std::vector<Segment> segments, const WalIdentity& identity);
  WalPageSource(const WalPageSource&) = delete;
  WalPageSource& operator=(const WalPageSource&) = delete;

  // The kWalPageSize bytes of the page that starts at lsn (a multiple of kWalPageSize). Null when
  // there is no such page, or it is not the right one: fault() then says why. Bytes that a short
  // file lacks read as zeroes; valid_bytes() says how many of the page the file has. The page stays
  // valid until the next call.
  const uint8_t* Page(Lsn lsn) {
    const uint64_t offset = lsn.value - window_start_;
    if (offset < window_bytes_) [[likely]] {
      const uint8_t* page = window_ + offset;
      if (IsPlainWalPage(LoadNative<WalPageHeader>(page), PlaceAt(lsn))) [[likely]]
        return page;
      return CheckHeader(page, lsn) ? page : nullptr;
    }
    return LoadPage(lsn);
  }
  const WalFault& fault() const { return fault_; }

  // Where the segments were listed (WalSet::listed). A file that is no longer there when it is to be
  // read is looked for there once more.
  void set_listed(WalSources listed) { listed_ = std::move(listed); }

  // Has the segments that are not in the directories, or not whole.
  void set_restored(std::shared_ptr<const RestoredLine> restored) {
    restored_ = std::move(restored);
  }

  // The bytes of the page Page() last looked at and refused, if they were read at all.
  const uint8_t* refused_page() const { return refused_; }

  // Where valid WAL of this line starts again after the page at lsn: a page header with the address
  // of its place, in the rest of the segment or at the start of a later one. within: looks at no
  // more than so many bytes of the segment (each page is a system call). Errors: the segment cannot be
  // read, so that it is not known.
  Result<std::optional<Lsn>> FindLaterWal(Lsn lsn, uint64_t within = UINT64_MAX);
  // The first segment that does not belong here among those after the one of lsn; null if none.
  const Segment* FindForeign(Lsn lsn) const;
  // There are files of later segments, whatever they hold. A restore command is asked for the next
  // one.
  bool HasLaterSegment(Lsn lsn);

  // What is wrong with the size of the segment that has lsn, when it is shorter than a segment
  // should be; empty otherwise.
  std::string Truncation(Lsn lsn) const;

  // Why the WAL of the segment that has lsn may be longer than the file that is read: the first
  // reason, null if there is none.
  const Error* DoubtAt(Lsn lsn) const {
    const Segment* segment = Find(lsn.value / segment_size());
    return segment && !segment->doubts.empty() ? &segment->doubts.front() : nullptr;
  }

  // Forgets what was read, so that it is read again.
  void Forget();

  // The segment is there, and not known to be whole.
  bool IsPartial(Lsn lsn) const {
    const Segment* segment = Find(lsn.value / segment_size());
    return segment != nullptr && segment->is_partial;
  }
  // The file that has, or would have, this LSN.
  std::string FileOf(Lsn lsn) const;
  // Of the segment that is open, by its file's name; 0: none is.
  uint32_t open_timeline() const { return open_ ? open_->timeline : 0; }
  const std::vector<Segment>& segments() const { return segments_; }
  // Which files were read where a segment has several, if that is worth a word (copies.h).
  const std::vector<std::string>& notes() const { return notes_; }
  void AddNotes(const std::vector<std::string>& notes) {
    notes_.insert(notes_.end(), notes.begin(), notes.end());
  }
  const WalIdentity& identity() const { return identity_; }
  uint32_t segment_size() const { return identity_.segment_size; }

 private:
  WalPagePlace PlaceAt(Lsn lsn) const {
    return {lsn, identity_.segment_size, identity_.version->wal_magic, timeline_};
  }
  bool CheckHeader(const uint8_t* page, Lsn lsn);
  const uint8_t* LoadPage(Lsn lsn);
  bool OpenSegment(uint64_t number);
  Status OpenContent(Segment* segment, bool is_next);
  Status Load(Segment* segment, bool is_next);
  Status OpenFile(const Segment& segment);
  bool FindAgain(Segment* segment);
  Result<std::optional<Lsn>> FindLaterPage(const Segment& segment, Lsn lsn, uint64_t within) const;
  bool LoadWindow(Lsn lsn, uint64_t offset);
  Segment* Find(uint64_t number);
  const Segment* Find(uint64_t number) const;
  bool ChooseCopyOf(uint64_t number);
  Status Restore(uint64_t number);
  bool Fail(WalFaultKind kind, Lsn lsn, std::string what);

  std::vector<Segment> segments_;
  WalSources listed_;
  std::shared_ptr<const RestoredLine> restored_;  // null: there is no restore command
  // What that has brought, by number: the segments around the one that is open.
  std::map<uint64_t, Segment> fetched_;
  std::optional<uint64_t> not_there_;  // the segment that it was asked for last, in vain
  std::vector<std::string> notes_;
  const WalIdentity identity_;
  uint32_t timeline_ = 0;  // of the last good page: it never goes back
  const Segment* open_ = nullptr;
  FileDescriptor fd_;
  uint64_t open_bytes_ = 0;  // size of the open file
  SegmentContent content_;   // of the open segment, if it is loaded as a whole
  SegmentLoader loader_;
  std::unique_ptr<uint8_t[]> buffer_;
  const uint8_t* window_ = nullptr;  // in buffer_ or content_
  uint64_t window_start_ = 0;        // LSN of its first byte
  uint64_t window_bytes_ = 0;        // whole pages; the last may be filled up with zeroes
  const uint8_t* refused_ = nullptr;
  WalFault fault_{};
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_PAGE_SOURCE_H_
