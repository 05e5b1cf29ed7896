// Where the files of a pgBackRest stanza lie, and how they are read from there.
#ifndef NEON_REDO_BACKUP_PGBACKREST_REPOSITORY_H_
#define NEON_REDO_BACKUP_PGBACKREST_REPOSITORY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/pgbackrest_manifest.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct PgBackRestLayout {
  std::string directory;  // REPOSITORY/backup/STANZA
  std::string label;      // empty: the newest
};

// The repository, the stanza or the backup at `path`. Nothing: it is none of these. kInvalidArgument: it is
// not told which stanza, or the label is none.
Result<std::optional<PgBackRestLayout>> FindPgBackRestBackup(const std::string& path,
                                                             const BaseBackupOptions& options);

// A part of a stored file.
struct PgBackRestRange {
  std::string label;
  std::string name;  // below the label: "bundle/1", "pg_data/base/5/1259.gz"
  uint64_t begin = 0, length = 0;
};

// How something is packed that is stored without headers: super blocks, and files in raw bundles.
Packing RawPacking(Packing packing);

// Thread-safe.
class PgBackRestRepository {
 public:
  // cipher_pass_file: empty, where the repository is not encrypted. Errors: those of ReadSecretFile.
  static Result<PgBackRestRepository> Open(std::string directory,
                                           const std::string& cipher_pass_file);

  // The newest label of backup.info. kNotFound: it has none.
  Result<std::string> NewestLabel() const;

  struct ReadManifest {
    PgBackRestManifest manifest;
    std::string remark;  // what is wrong with one of its two copies; empty: nothing
  };
  // Its manifest, or the copy if that is damaged or not there. Errors also: it could not be looked at.
  Result<ReadManifest> Manifest(const std::string& label) const;

  // The name below a label of what lies in a bundle or, where that is 0, in a file of its own.
  static std::string NameOf(uint64_t bundle, const std::string& stored_name, const char* suffix);
  // The stored bytes from front to back, decrypted if there is a passphrase. raw: without a header
  // (RawPacking). `where` is for messages. Errors: those of Open and Decrypt.
  Result<std::unique_ptr<ByteSource>> OpenStored(const PgBackRestRange& range,
                                                 const std::string& cipher_pass, bool raw,
                                                 const std::string& where) const;
  // The stored bytes. kNotFound: there is no such file. kCorrupt: it ends before the range does.
  Result<SharedFile> Open(const PgBackRestRange& range) const;
  // "\"REPOSITORY/backup/STANZA/LABEL/NAME\""
  std::string Where(const PgBackRestRange& range) const;
  std::string PathOf(const PgBackRestRange& range) const;

 private:
  explicit PgBackRestRepository(std::string directory) : directory_(std::move(directory)) {}

  // A file and its copy, decrypted: NAME and NAME.copy.
  Result<std::string> ReadInfo(const std::string& name, const std::string& passphrase) const;
  struct BackupInfo {
    std::vector<std::string> labels;  // ascending
    std::string cipher_pass;          // of manifests
  };
  Result<BackupInfo> ReadBackupInfo() const;

  std::string directory_;
  std::string passphrase_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PGBACKREST_REPOSITORY_H_
