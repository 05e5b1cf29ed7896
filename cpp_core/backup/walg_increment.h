// A file of a chain of WAL-G's delta backups, put together as it is read.
#ifndef NEON_REDO_BACKUP_WALG_INCREMENT_H_
#define NEON_REDO_BACKUP_WALG_INCREMENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"

namespace neon_redo {

// An increment (IncrementalPageReader in internal/databases/postgres/incremental_page_reader.go writes
// it): "wi1" and 0x55, the file's size in 8 bytes, the number of blocks in 4, their numbers in 4 each, and
// the blocks, all in little-endian order.
struct WalgIncrement {
  uint32_t length = 0;           // blocks of the file when it was read
  std::vector<uint32_t> blocks;  // ascending; 4 bytes of memory each, 512 kB at most
  uint64_t header_size() const;  // bytes before the first block
};

// Reads the header, and compares the increment's size with it. `where` is for messages. kCorrupt: it is
// none.
Result<WalgIncrement> ReadWalgIncrement(const BaseFile& file, const std::string& where);

// The size of the file by the increment's header alone, where the rest is damaged.
Result<uint64_t> ReadWalgLength(const BaseFile& file, const std::string& where);

// One backup's part in a file.
struct WalgSource {
  std::shared_ptr<const BaseFile> file;
  std::string where;
  WalgIncrement increment{};
  bool is_whole = false;  // it has no header
};

// The file that sources, the newest first, make (ApplyFileIncrement in
// internal/databases/postgres/pagefile.go, from the oldest to the newest): each increment first cuts the file
// to its length, or makes it longer by zeroes. The last is whole, and no other.
std::shared_ptr<const BaseFile> MakeWalgFile(std::vector<WalgSource> sources);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_WALG_INCREMENT_H_
