// From directories of WAL segments to whole records, in order.
//
//   neon_redo::WalReaderOptions options;
//   options.directories = {"/srv/archive", "/srv/postgresql/pg_wal"};
//   auto reader = neon_redo::WalReader::Open(options);
//   if (!reader) return Report(reader.error());
//   for (neon_redo::RecordView view((*reader)->version());;) {
//     const auto record = (*reader)->Next();
//     if (!record) return Report(record.error());
//     if (!*record) break;  // the end of WAL
//     if (neon_redo::ParseRecord(**record, &view)) Visit(view);
//   }
#ifndef NEON_REDO_WAL_READER_H_
#define NEON_REDO_WAL_READER_H_

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

class WalPageSource;  // where the reader gets WAL pages from
struct Segment;       // one segment file
struct WalIdentity;   // what segments of one WAL have in common
class WalSet;         // the segments in the directories
struct WalRange;      // a part of them

// Why reading stopped at an LSN, in the order of growing suspicion.
enum class WalFaultKind {
  kZero,     // zeroes where a record or page header should be
  kStale,    // bytes PostgreSQL may leave after the end of WAL: an older page, a torn record
  kPastEnd,  // the segment file ends here
  kMissing,  // there is no such segment
  kBad,      // bytes PostgreSQL never leaves there
  kIo,       // the operating system refused
};

struct WalFault {
  WalFaultKind kind;
  Lsn lsn;           // where
  std::string what;  // in words, without the place
};

// One record. end is where the next record may begin (XLogReaderState.EndRecPtr): the LSN that redo
// stamps on pages. It is start plus the length, aligned to 8 and with the page headers in between;
// for XLOG_SWITCH the end of the segment.
struct WalRecord {
  Lsn start;
  Lsn end;
  Bytes bytes;
};

struct WalReaderOptions {
  // Of segments, or data directories with a pg_wal inside, pgBackRest repositories (or in one the
  // archive of a stanza, or its VERSION-ID), Barman servers' directories; at least one. All are of one cluster. Segments may be
  // compressed by gzip, lz4, zstd, bzip2 or xz. Of a segment that is in several, the copy with the
  // longest valid WAL is read.
  std::vector<std::string> directories;
  std::optional<Lsn> from;           // the first record that starts here or later
  std::optional<Lsn> to;             // only records that lie wholly before this
  std::optional<uint32_t> timeline;  // else the highest whose WAL has `from`
  // A command with the meaning of PostgreSQL's restore_command: it brings what the directories do not
  // have, of which there may be none then if `from` has a value. Files are fetched ahead into a new
  // directory in $TMPDIR or /tmp, which has a few of them at a time and is removed with the reader, or
  // by a shell process when this process ends. Empty: there is none.
  std::string restore_command{};
  // Of pgBackRest repositories: the stanza, if there are several; the file that has the passphrase, if
  // they are encrypted. It belongs to this user or to root, and nobody else may read it.
  std::string stanza{};
  std::string cipher_pass_file{};
};

// Reads forward. Every record's page headers, length, xl_prev and CRC are checked before Next
// returns it.
//
// Where WAL stops, the reader tells damage from the end of WAL. PostgreSQL leaves after the end of
// WAL only zeroes or older WAL (segments allocated ahead or recycled), and perhaps one torn record.
// So it is damage, and an error, when
//  - anything else is found there,
//  - valid WAL follows: a record that names the place in its xl_prev, a page or a segment with the
//    right address, or
//  - a segment is missing or cut short and later ones are there.
// A damaged record with nothing valid after it looks like a torn one: the WAL ends before it, as it
// would for PostgreSQL, and end_reason() says why.
//
// The directories are listed once, by Open. Segments of a running server can be read; what it adds to
// the last segment is seen, new segments are not. Not thread-safe.
class WalReader {
 public:
  // Lists the directories and checks the first page header of each segment. Segment size and system
  // identifier are those of most headers. The WAL of a timeline is its own and that of the
  // timelines it descends from (TIMELINE.history). Reads no record yet. kInvalidArgument: the
  // directories are not of one cluster, or the restore command is wrong. kNotFound: no such directory
  // or timeline, or no segments. kIo: a file cannot be read, or the restore command was killed or
  // could not be run. kCorrupt: not one header is good, or a history file is bad.
  // kUnsupported: a segment of the range, or a history file, is only there compressed by another
  // program; or the WAL is of a version that was not tested.
  static Result<std::unique_ptr<WalReader>> Open(const WalReaderOptions& options);
  ~WalReader();
  WalReader(const WalReader&) = delete;
  WalReader& operator=(const WalReader&) = delete;

  // The next record, or nothing at the end of WAL or at `to`. Its bytes stay valid until the next
  // call. Errors repeat when called again. kCorrupt: damage; the message names file, offset and
  // LSN. kNotFound: there is no WAL at `from`, or no more than the rest of the last record. kIo: a
  // file could not be read.
  Result<std::optional<WalRecord>> Next() {
    WalRecord record;
    if (Next(&record)) [[likely]]
      return record;
    if (error_) return tl::unexpected(*error_);
    return std::nullopt;
  }
  // The same for loops where nanoseconds count: false at the end and on errors, which error() has.
  bool Next(WalRecord* out);
  const std::optional<Error>& error() const { return error_; }

  uint64_t bytes_read() const { return position_ > begin_ ? position_ - begin_ : 0; }
  // An estimate for progress reports: up to `to`, or the end of the last segment with WAL; 0: a
  // restore command may have more.
  uint64_t bytes_total() const { return bytes_total_; }
  uint32_t segment_size() const { return segment_size_; }  // bytes
  uint64_t system_identifier() const { return system_identifier_; }
  // Of the server that wrote the WAL; valid for ever. A RecordView needs it.
  const pg::Version& version() const { return version_; }

  // Where reading stopped, valid after Next returned nothing or an error: the end of the last good
  // record (where the first was looked for, if there was none), and why in one line.
  Lsn end_of_wal() const { return position_; }
  const std::string& end_reason() const { return end_reason_; }
  // Of the segment file that was read last, by its name; 0 when none is open.
  uint32_t timeline() const;
  // What is unusual about the files, as far as they were read, but no error; one line each. Copies of
  // a segment that hold different WAL, or of which one is damaged; a directory without segments.
  const std::vector<std::string>& notes() const;
  // What the reader found where WAL ended.
  const WalFault& fault() const { return fault_; }
  // Next returned nothing because of `to`, not because WAL ended.
  bool reached_to() const { return reached_to_; }

 private:
  // cpp_core/wal/open.h, tail.h
  friend Result<std::unique_ptr<WalReader>> OpenWal(const WalSet& set, const WalRange& range);
  friend std::unique_ptr<WalReader> OpenWalTail(std::vector<Segment> segments,
                                                const WalIdentity& identity,
                                                std::optional<Lsn> from);

  WalReader(std::optional<Lsn> from, std::optional<Lsn> to, std::vector<Segment> segments,
            const WalIdentity& identity);

  struct FreeDeleter {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  enum class Assembled { kWhole, kFault, kOverwritten };

  bool FindStart();
  bool EnterPage(Lsn* start);
  bool ReadRecord(WalRecord* out);
  Assembled Assemble(uint32_t length, WalRecord* out, Lsn* raw_end);
  bool HeaderIsGood(const uint8_t* bytes, Lsn start);
  bool HeaderFault(const RecordHeader& h, Lsn start);
  bool LengthFault(uint32_t length, Lsn start);
  bool AcceptUnusual(const RecordHeader& h, WalRecord* record);
  bool Accept(WalRecord* record, Lsn raw_end);
  bool Reserve(size_t bytes);
  bool Fail(WalFaultKind kind, Lsn lsn, Lsn proof_page, std::string what);
  bool FailFromPages();
  bool Stop();
  std::optional<Lsn> FindProof();
  std::optional<Lsn> FindProofIn(Lsn page_lsn);
  std::optional<Error> JudgeFault();
  std::string Place(Lsn lsn) const;

  const std::unique_ptr<WalPageSource> pages_;
  const uint32_t segment_size_;
  const uint64_t system_identifier_;
  const pg::Version& version_;
  const Lsn from_;  // no record before it; 0 when there is no limit
  const Lsn to_;    // the largest LSN when there is no limit
  Lsn begin_;
  uint64_t bytes_total_ = 0;

  bool started_ = false;
  const uint8_t* page_ = nullptr;  // the current page; null when position_ is not in it
  Lsn page_lsn_;
  Lsn position_;      // where the next record is looked for
  Lsn previous_;      // start of the record before; 0 when none was read
  Lsn record_start_;  // of the record being read
  Lsn skipped_from_;  // end of the last XLOG_SWITCH's bytes, after which its segment is skipped
  Lsn abandoned_;     // start of a record whose rest was overwritten; 0 normally
  std::unique_ptr<uint8_t, FreeDeleter> buffer_;  // for records that cross pages
  size_t buffer_size_ = 0;

  WalFault fault_{};
  Lsn proof_page_;                 // proof of damage is looked for in this page and after it
  std::optional<Lsn> retried_at_;  // a fault that looks like damage is read again once
  bool judges_ = true;             // tell damage from the end of WAL
  bool ended_ = false;             // or error_
  bool reached_to_ = false;
  std::string end_reason_;
  std::optional<Error> error_;
};

// Parses a record that the reader returned. kCorrupt: its CRC is right but its content is not; the
// message names its LSN. On success the view points into the record's bytes.
Status ParseRecord(const WalRecord& record, RecordView* view);

// Writes the page that the reference's image stands for to page[0 .. kBlockSize): decompresses it
// and fills the hole with zeroes (RestoreBlockImage in access/transam/xlogreader.c). Does not set
// the page's LSN. kInvalidArgument: the reference has no image. kCorrupt: the image does not
// decompress to the length it must have; page is unspecified then. The message names relation, fork
// and block. Thread-safe.
Status RestoreImage(const BlockRef& ref, uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_READER_H_
