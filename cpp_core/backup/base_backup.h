// A base backup as its tool left it, read like the data directory that a restore would make of it.
//
//   ASSIGN_OR_RETURN(const auto backup, OpenBaseBackup("/backups/base", {}));
//   ASSIGN_OR_RETURN(const BaseFiles& files, backup->List());
//   ASSIGN_OR_RETURN(const auto file, backup->OpenFile("base/5/1259"));
//   ASSIGN_OR_RETURN(const size_t got, file->Read(3 * kBlockSize, page));
//
// Whatever the layout, names are those of a restored directory: "base/5/1259",
// "pg_tblspc/16400/PG_MAJOR_CATALOG/5/16401", "pg_wal/000000010000000000000002".
//
// A backup is somebody else's file. No link is followed except those of tablespaces in a plain
// directory, no name leads out of the backup, and nothing is unpacked beyond the size that the backup
// gives for it. Bytes that cannot be what they claim to be are kCorrupt, with the file and the offset.
#ifndef NEON_REDO_BACKUP_BASE_BACKUP_H_
#define NEON_REDO_BACKUP_BASE_BACKUP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/backup/byte_source.h"
#include "cpp_core/backup/manifest.h"
#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/control_file.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct BaseFileInfo {
  uint64_t size = 0;
  std::string strange{};  // what it is, if it is no regular file: "a FIFO"
  bool operator==(const BaseFileInfo&) const = default;
};

struct BaseTablespace {
  enum State : uint8_t {
    kThere,
    kBroken,  // a link that leads nowhere, something that is no directory, an archive that is missing
    kNoVersion,  // a directory without the one of this version (Version::tablespace_directory)
  } state = kThere;
  std::string target{};  // where it was, or the link leads; empty: not told
};

struct BaseFiles {
  // By name; of tablespaces only what is of this version. About 150 bytes of memory a file.
  std::map<std::string, BaseFileInfo> files;
  std::set<std::string> directories;
  std::map<uint32_t, BaseTablespace> tablespaces;  // by OID
};

// The files on disk that have a backup's bytes, by path, and the names of what each has. No names: perhaps
// something of any.
using StoredFiles = std::map<std::string, std::vector<std::string>>;

// A file of a backup, open.
class BaseFile {
 public:
  virtual ~BaseFile() = default;
  // Bytes at an offset, fewer than out.size() only where the file ends. Thread-safe.
  virtual Result<size_t> Read(uint64_t offset, WritableBytes out) const = 0;
  virtual Result<uint64_t> Size() const = 0;
};

class BaseBackup {
 public:
  virtual ~BaseBackup() = default;

  // All functions are thread-safe. `name` is relative to the data directory and is checked.

  // Where it lies, for messages: a directory as a rule.
  const std::string& path() const { return path_; }
  // What it is: "a plain directory", "a backup in tar format".
  virtual std::string kind() const = 0;

  // All files, of pg_wal too if the backup has it.
  virtual Result<BaseFiles> List() const = 0;
  // At least those of relations, SLRUs and prepared transactions (pg::HoldsData). In a plain directory
  // no other is looked at: this user need not be able to read what else lies in a data directory.
  virtual Result<BaseFiles> ListData() const { return List(); }

  // A file to be read in any order. kNotFound: the backup does not have it. One that is packed is
  // unpacked to the spool first, and its checksum compared if the backup has one.
  virtual Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const = 0;
  // A file to be read once from front to back, which takes no space in the spool. That its size is not
  // the listed one shows at its end; its checksum is for the caller to compare.
  virtual Result<std::unique_ptr<ByteSource>> OpenStream(std::string_view name) const;

  // The file on disk that has these bytes and no others, for copies by the kernel. Nothing: there is no such
  // file, as of what is packed.
  virtual Result<std::optional<FileDescriptor>> OpenAsItIs(std::string_view name) const;

  // What the backup says of its files, by its own kind of manifest; nothing: it has none.
  virtual Result<std::optional<BackupManifest>> Manifest() const;
  virtual std::string_view manifest_name() const { return kManifestFile; }
  // Of a chain of incremental backups, which has no manifest: each of them by itself, the newest first.
  // Their manifests are of the files as they lie there. Empty: it stands alone.
  virtual std::vector<const BaseBackup*> Links() const { return {}; }

  // Where the bytes of these files of it lie. kUnsupported: it cannot be said. kInvalidArgument: what was read
  // when the backup was opened has changed since, or may have (BaseBackupOptions::awaits_age).
  virtual Result<StoredFiles> Stored(const BaseFiles& list) const;

  // What is on the list that its tool keeps (manifest_name()), and not in the backup: names of files and
  // directories. A backup with a Manifest has none here.
  virtual std::vector<std::string> Lost() const { return {}; }

  // What is wrong with the backup and does not keep it from being read, as lines for a person.
  virtual std::vector<std::string> Remarks() const { return {}; }

  // A directory without a backup_label may be a data directory's copy that no tool made.
  virtual bool may_be_copy() const { return false; }

  // The descriptors that a BaseFile may hold for itself; 0: none, it reads by those that the backup holds.
  virtual size_t descriptors() const { return 1; }

  // Bytes that were unpacked to the spool.
  virtual uint64_t spooled() const { return 0; }

  // The whole of a small file; kCorrupt: it has more than `limit` bytes.
  Result<std::string> ReadWhole(std::string_view name, size_t limit) const;
  // Nothing instead of kNotFound.
  Result<std::optional<std::string>> ReadIfThere(std::string_view name, size_t limit) const;
  // "FILE of PATH" for messages.
  std::string Where(std::string_view name) const;

  // global/pg_control. kNotFound: the backup has none.
  Result<pg::ControlFile> ControlFile() const;
  // Its backup_label, which no backup has larger than this. kNotFound: it has none. kCorrupt: it does not
  // say where replay begins.
  static constexpr size_t kMaxLabel = 64 << 10;
  Result<BackupLabel> Label() const;

 protected:
  explicit BaseBackup(std::string path) : path_(std::move(path)) {}

 private:
  const std::string path_;
};

struct BaseBackupOptions {
  // Of a repository with several backups (pgBackRest, Barman, WAL-G): which one; empty or "latest": the
  // newest. pgBackRest's stanza; empty: there is only one.
  std::string label{}, stanza{};
  // Of an incremental backup: those that it builds upon, in any order, each with these options.
  std::vector<std::string> prior{};
  // A file with the passphrase of an encrypted repository.
  std::string cipher_pass_file{};
  // Where packed files are unpacked; empty: $TMPDIR, or /tmp without it.
  std::string spool_directory{};
  // For BaseBackup::Stored of a tar that may have been changed within the last second: it is read only once
  // that second is over, so that its times tell of any later change.
  bool awaits_age = false;
};

// Opens the backup at `path`, whose kind is told by what lies there:
//
//   PG_VERSION, global/pg_control,
//   or backup_label                           a plain directory
//   base.tar, base.tar.gz, .lz4, .zst         pg_basebackup's tar format
//   backup.info, data/                        a Barman backup (SERVER/base/ID)
//   base/, wals/                              Barman's backups of a server; options.label: an ID
//   archive/, backup/                         a pgBackRest repository; options.stanza, options.label
//   backup.info, LABEL/                       the backups of a stanza in it (backup/STANZA)
//   backup.manifest                           one of these (backup/STANZA/LABEL)
//   basebackups_005/                          WAL-G's storage of a cluster; options.label: a name
//   base_…_backup_stop_sentinel.json          its backups
//   tar_partitions/                           one of these (basebackups_005/NAME)
//
// A packed tar is unpacked here, since it cannot be read in any other order. One whose backup_label says
// that it is incremental is opened with those that it builds upon (options.prior).
//
// kNotFound: there is nothing at `path`. kInvalidArgument: it is no backup, or not told which one; or a
// backup of the chain is not among those given, or does not belong there.
Result<std::unique_ptr<BaseBackup>> OpenBaseBackup(const std::string& path,
                                                   const BaseBackupOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_BASE_BACKUP_H_
