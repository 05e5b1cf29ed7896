// The map of a block incremental file of pgBackRest 2.46 and later (command/backup/blockMap.c): for each
// block of the file, in which super block of which backup it is.
#ifndef NEON_REDO_BACKUP_PGBACKREST_BLOCK_MAP_H_
#define NEON_REDO_BACKUP_PGBACKREST_BLOCK_MAP_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct PgBackRestBlock {
  uint32_t reference = 0;              // of the manifest's list of labels
  uint32_t number = 0;                 // of the block in its super block
  uint64_t bundle = 0;                 // 0: the file has one of its own there
  uint64_t offset = 0;                 // of the super block, in the bundle or file
  uint64_t stored_size = 0;            // of the super block, as it is stored
  uint64_t super_block_size = 0;       // unpacked
  std::array<uint8_t, 16> checksum{};  // the first bytes of its XXH3-128
};

struct PgBackRestMapShape {
  uint64_t block_size;
  uint32_t checksum_size;  // 6 to 16
  uint64_t file_size;
  uint32_t references;  // how many labels there are
};

// One entry for each block of the file, in order; 64 bytes of memory each, and so at most eleven times
// the map, in which a checksum has six bytes. `where` is for messages.
// kCorrupt: it is damaged, does not have the blocks of the file, or has a super block of more than 64 MB.
Result<std::vector<PgBackRestBlock>> ParsePgBackRestBlockMap(Bytes map,
                                                             const PgBackRestMapShape& shape,
                                                             const std::string& where);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PGBACKREST_BLOCK_MAP_H_
