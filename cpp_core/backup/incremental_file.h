// A file of a chain of incremental backups (PostgreSQL 17 and later), put together as it is read.
#ifndef NEON_REDO_BACKUP_INCREMENTAL_FILE_H_
#define NEON_REDO_BACKUP_INCREMENTAL_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"

namespace neon_redo {

// INCREMENTAL.* (backup/basebackup_incremental.h; sendFile in backup/basebackup.c writes it): magic,
// number of blocks, truncation length, block numbers, zeroes up to a multiple of 8192 if there are
// blocks, and the blocks.
struct IncrementalHeader {
  // Blocks below it that no backup of the chain has are zeroes; a file is at least so long.
  uint32_t truncation = 0;
  std::vector<uint32_t> blocks;  // ascending; 4 bytes of memory each, 512 kB at most
  uint64_t size() const;         // bytes before the first block
  uint32_t length() const;       // blocks of the file that it becomes
};

// Reads the header, and compares the file's size with it. `where` is for messages. kCorrupt: it is none.
Result<IncrementalHeader> ReadIncrementalHeader(const BaseFile& file, const std::string& where);

// One backup's part in a file.
struct IncrementalSource {
  std::shared_ptr<const BaseFile> file;
  std::string where;
  IncrementalHeader header{};
  bool is_full = false;  // the file is whole and has no header
};

// The file that sources, the newest first, make (reconstruct_from_incremental_file in
// pg_combinebackup/reconstruct.c). The first is incremental, and only the last is full.
std::shared_ptr<const BaseFile> MakeIncrementalFile(std::vector<IncrementalSource> sources);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_INCREMENTAL_FILE_H_
