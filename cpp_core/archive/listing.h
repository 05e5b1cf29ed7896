// What one directory of WAL has: the layouts in which programs keep segments.
#ifndef NEON_REDO_ARCHIVE_LISTING_H_
#define NEON_REDO_ARCHIVE_LISTING_H_

#include <sys/types.h>

#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/pgbackrest_archive.h"
#include "cpp_core/archive/segment.h"
#include "neon_redo/error.h"

namespace neon_redo {

// What is to be known of a pgBackRest repository besides its place.
struct WalRepository {
  std::string stanza{};                       // empty: it has only one
  std::string passphrase{};                   // empty: it is not encrypted
  const std::atomic<bool>* ending = nullptr;  // WalSources::ending
};

// One directory, with its directories of sixteen digits (pgBackRest, Barman).
struct WalListing {
  struct File {
    std::string path;
    SegmentName name;
    std::string sha1;
    Packing packing;  // by the name's suffix
    FileStart start;
  };
  // That cannot be read here.
  struct Packed {
    std::string path;
    SegmentName name;
  };
  std::string path;
  std::vector<std::string> directories;   // that were listed, without those of sixteen digits
  std::set<std::pair<dev_t, ino_t>> ids;  // theirs
  std::vector<File> files;                // in order of path
  std::vector<Packed> packed;
  std::vector<std::string> foreign;     // paths of files that are named nearly like a segment
  Passphrase cipher_pass;               // of encrypted segments; null: none is decrypted
  WalIdentity identity{0, 0, nullptr};  // of most headers; no version: not one header is good

  // Lists `path`; where it has no segments, the directory inside that has them: pg_wal of a data
  // directory, wals of a Barman server (with streaming, which has the segment in progress), the only
  // VERSION-ID of a pgBackRest stanza, or of the stanza in a repository, wal_005 of WAL-G. Reads the
  // start of each segment. A directory in which a
  // segment or a directory is renamed or removed meanwhile is listed again, up to ten times.
  // kNotFound: no such directory. kIo: it, or something in it, is not readable. kInvalidArgument: a
  // stanza has several, or the repository several stanzas. Of encrypted segments also: as
  // ReadArchivePassphrase. kCancelled: by WalRepository::ending.
  static Result<WalListing> Read(const std::string& path, const WalRepository& repository = {});

 private:
  Status List(const std::string& where, const WalRepository& repository);
  Status ListNames(const std::string& where);
  Status ListInner(const std::string& where, const WalRepository& repository);
  Status ListStanza(const std::string& where);
  void TakeName(const std::string& where, const std::string& name);
  Result<FileStart> ReadStart(const std::string& file, const std::string& passphrase);
  Status ReadStarts(const WalRepository& repository);
};

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_LISTING_H_
