// backup.manifest of a pgBackRest backup (info/manifest/serialize.c.inc of its source).
#ifndef NEON_REDO_BACKUP_PGBACKREST_MANIFEST_H_
#define NEON_REDO_BACKUP_PGBACKREST_MANIFEST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/backup/unpack.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct PgBackRestFile {
  std::string stored_name;  // "pg_data/base/5/1259"
  uint64_t size = 0;
  std::string sha1;        // of the content, 20 bytes; empty: the file is
  uint32_t reference = 0;  // of PgBackRestManifest::labels: where it is stored
  uint64_t stored_size = 0;
  uint64_t bundle = 0;  // number of the bundle; 0: a file of its own
  uint64_t offset = 0;  // in the bundle
  // Block incremental: map_size is not 0. The map is the end of what is stored.
  uint64_t block_size = 0, map_size = 0;
  uint32_t block_checksum_size = 0;
};

struct PgBackRestManifest {
  std::string label;
  std::string cipher_pass;           // of its files; empty: they are not encrypted
  Packing packing = Packing::kNone;  // of its files, and those that it refers to
  bool bundles_are_raw = false;      // what is packed and encrypted in them has no headers
  bool blocks_are_beta = false;      // by a version before 2.46, whose maps are others
  std::vector<std::string> labels;   // that files and maps refer to, its own among them
  std::map<std::string, PgBackRestFile> files;  // by name in the cluster
  std::set<std::string> directories;
  std::map<uint32_t, std::string> tablespaces;  // where they were, by OID
  std::optional<uint64_t> system_identifier;
  std::optional<ManifestWalRange> wal;
};

// "20261126-034116F", "20261126-034116F_20261127-034116I"
bool IsPgBackRestLabel(std::string_view text);

// `where` is for messages. kCorrupt: it is damaged, or names a file outside the backup. kUnsupported:
// another format or packing.
Result<PgBackRestManifest> ParsePgBackRestManifest(std::string_view text, const std::string& where);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PGBACKREST_MANIFEST_H_
