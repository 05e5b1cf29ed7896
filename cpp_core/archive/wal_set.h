// The WAL segments in one or several directories as one list.
#ifndef NEON_REDO_ARCHIVE_WAL_SET_H_
#define NEON_REDO_ARCHIVE_WAL_SET_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/archive/listing.h"
#include "cpp_core/archive/segment.h"
#include "cpp_core/archive/wal_line.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct TimelineFork;  // timeline_history.h

// Paths for a message: a, a and b, a, b and c.
std::string NamePaths(const std::vector<std::string>& paths);
// The same with quotes around each.
std::string QuotePaths(std::vector<std::string> paths);

// Where WAL is.
struct WalSources {
  std::vector<std::string> directories{};
  // A command that has what the directories do not have (restore_command.h). Empty: there is none.
  std::string restore_command{};
  // Of the command: where reading will begin, since it cannot list its archive; the timeline that is
  // wanted, and one that has `start`.
  std::optional<Lsn> start{};
  std::optional<uint32_t> timeline{};
  std::optional<uint32_t> start_timeline{};
  // Of directories that are pgBackRest repositories: which stanza, if there are several; the file with
  // the passphrase, if it is encrypted (ReadSecretFile). Other directories do not need them.
  std::string stanza{};
  std::string cipher_pass_file{};
  // The list is of no use any more once this is true: kCancelled. Null: it is of use. Only for the call.
  const std::atomic<bool>* ending = nullptr;
};

// The segments of one cluster, and their size. An immutable value: it is a snapshot, files that come
// later are not seen. Where several files have one segment of one timeline, the set has the one that
// looks best by its name, size and first page, and the others as its copies.
class WalSet {
 public:
  // Lists each path, or the directory of segments in it (WalListing), and reads the first page header
  // of each segment. Files whose names are not segment names are left alone, history files excepted.
  // A directory or a file that is named twice, or by a link, counts once. One without segments is
  // left out, and named in notes(), if another has some. Segment size, system identifier and version
  // are those that most headers of a directory agree on; a header that differs makes its segment
  // kForeign, and Open does not fail. A directory in which a segment is renamed or removed meanwhile
  // is listed again, up to ten times.
  // kInvalidArgument: two directories are of different clusters, versions or segment sizes; the
  // message names both. kNotFound: no such directory, or no segments. kIo: not readable. kCorrupt:
  // not one header is good; the message names the first file. kUnsupported: the version was not tested
  // (pg::CheckTested).
  static Result<WalSet> Open(const std::vector<std::string>& paths);
  // The same with more of them. With a restore command a directory need not have segments, if sources.start says
  // where the command is asked for the first. kInvalidArgument: it does not, or a repository has several
  // stanzas and none is named. Other errors: as RestoreSpool::Open and Fetch, ReadRepositoryPassphrase
  // and ReadArchivePassphrase.
  static Result<WalSet> Open(const WalSources& sources);
  static Result<WalSet> Open(const std::string& path) {
    return Open(std::vector<std::string>{path});
  }

  // As they were given to Open, for messages; also "--restore-command".
  const std::vector<std::string>& given() const { return given_; }
  bool restores() const { return restore_ != nullptr; }
  // Where segments are, in the same order: not empty without a restore command.
  const std::vector<std::string>& paths() const { return paths_; }
  const std::string& path() const { return paths_.front(); }
  // The same, and Barman's other one.
  const std::vector<std::string>& directories() const { return directories_; }
  // A set of these has what the directories of this one have.
  WalSources listed() const {
    return {.directories = directories_, .cipher_pass_file = cipher_pass_file_};
  }
  const WalIdentity& identity() const { return identity_; }
  uint32_t segment_size() const { return identity_.segment_size; }
  uint64_t system_identifier() const { return identity_.system_identifier; }
  const pg::Version& version() const { return *identity_.version; }
  // In ascending order, without duplicates.
  const std::vector<uint32_t>& timelines() const { return timelines_; }
  bool Has(const SegmentName& name) const { return Find(name) != nullptr; }
  // Null: the set has no such segment.
  const Segment* Find(uint32_t timeline, uint64_t number) const;
  // What is unusual in the directories, but no error: one line each.
  const std::vector<std::string>& notes() const { return notes_; }

  // The segments that make up the WAL of one timeline: its own, and those of the timelines it
  // descends from up to the segment where each was left. In order of number; numbers may be
  // missing. Without a timeline, the highest one whose line has the segment of `from` (or simply
  // the highest one). Descent is read from TIMELINE.history, perhaps with a suffix of compression,
  // if it is there; otherwise every lower
  // timeline in the set is taken for an ancestor that was left at the child's first segment.
  // Never empty. kNotFound: no such timeline, or none that covers `from`, or its history file leaves
  // nothing of it. kCorrupt: a bad history file, or two that differ. kUnsupported: the history file, or
  // the segment of `from`, is compressed by a program whose files are not read.
  Result<std::vector<Segment>> Line(std::optional<uint32_t> timeline,
                                    std::optional<Lsn> from) const {
    auto line = FindLine(timeline, from);
    if (!line) return tl::unexpected(line.error());
    return std::move(line->segments);
  }
  // The same with its timelines. With a restore command, only the segment of `from` is one that it
  // brought: Restored has the others.
  Result<WalLine> FindLine(std::optional<uint32_t> timeline, std::optional<Lsn> from) const;
  // What the restore command has of the line. Null: there is no command.
  std::shared_ptr<const RestoredLine> Restored(const WalLine& line) const;

  // The content of a timeline's history file as it is served: one of these directories has it, perhaps
  // compressed. kNotFound: there is none. Other errors: as ReadHistoryFile without links.
  Result<std::string> ReadHistory(uint32_t timeline) const;
  // A directory has a history file of the timeline now.
  bool HasHistory(uint32_t timeline) const;

  // The ancestors of a timeline by its history file, the oldest first. Nothing: there is no such
  // file. kCorrupt: it is bad, or two files differ. kUnsupported: it is compressed by a program whose
  // files are not read. Other errors: it cannot be read.
  Result<std::optional<std::vector<TimelineFork>>> ReadForks(uint32_t timeline) const;

  // kUnsupported: the WAL of this line (as Line returned it for the timeline), from `from` to `to`,
  // has segments whose WAL is only there in compressed files that are not read: those of other
  // programs than WalListing knows. The message names the first.
  Status RefuseCompressed(const std::vector<Segment>& line, std::optional<uint32_t> timeline,
                          std::optional<Lsn> from, std::optional<Lsn> to) const;

  // One segment as it is now, whether or not it was there when the set was listed: a whole file
  // before one that is not, a plain one before a compressed one. Nothing is decompressed, so that it
  // takes no time: a compressed file is taken for the whole WAL of the segment; and of a file as it is,
  // the checksum in its name is not looked at. Nothing: no such file. kIo: not readable. kUnsupported: it is only there compressed by another program; the message names the file.
  Result<std::optional<Segment>> Look(uint32_t timeline, uint64_t number) const;

  Lsn SegmentStart(uint64_t number) const { return Lsn(number * segment_size()); }

 private:
  Status List(const WalSources& sources);
  Status FindInRestore(const WalSources& sources);
  Passphrase PassphraseOf(const std::string& directory) const;
  Result<std::optional<Segment>> Examine(const std::string& directory,
                                         const std::string& name) const;
  std::string Places() const;  // for messages
  Status Restore(Lsn from, WalLine* line) const;
  std::vector<uint32_t> Candidates(std::optional<uint32_t> timeline) const;
  Status FindIdentity(const std::vector<WalListing>& listings);
  tl::unexpected<Error> NoSegments() const;
  tl::unexpected<Error> NoLine(std::optional<uint32_t> timeline, std::optional<Lsn> from) const;
  tl::unexpected<Error> NoGoodHeader(const WalListing& listing) const;
  void Take(const std::vector<WalListing>& listings);
  void MergeCopies();
  void DoubtWherePacked();
  Segment* Find(const SegmentName& name);
  const Segment* Find(const SegmentName& name) const { return Find(name.timeline, NumberOf(name)); }
  Result<std::vector<TimelineBranch>> Descent(uint32_t timeline) const;
  Result<WalLine> LineOf(uint32_t timeline) const;
  uint64_t NumberOf(const SegmentName& name) const { return SegmentNumber(name, segment_size()); }

  std::vector<std::string> given_;
  std::vector<std::string> paths_;
  std::vector<std::string> directories_;
  std::string cipher_pass_file_;
  std::map<std::string, Passphrase> cipher_passes_;  // of directories with encrypted segments
  std::vector<std::string> notes_;
  std::shared_ptr<RestoreSpool> restore_;
  std::vector<uint32_t> restorable_;     // timelines of the command that are known
  WalIdentity identity_{0, 0, nullptr};  // the version is known once Open has returned
  std::vector<uint32_t> timelines_;
  std::vector<Segment> segments_;           // by timeline and number
  std::vector<WalListing::Packed> packed_;  // in order of name
};

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_WAL_SET_H_
