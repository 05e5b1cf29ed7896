// A file of a backup that is a part of an open file, or a text in memory.
#ifndef NEON_REDO_BACKUP_RANGE_FILE_H_
#define NEON_REDO_BACKUP_RANGE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "cpp_core/backup/base_backup.h"

namespace neon_redo {

// The bytes [begin, begin + length) of a file, or what there is of them. path is for messages.
std::shared_ptr<const BaseFile> MakeRangeFile(SharedFile file, uint64_t begin, uint64_t length,
                                              std::string path);

std::shared_ptr<const BaseFile> MakeTextFile(std::string text);

// The bytes of a file from front to back.
std::unique_ptr<ByteSource> ReadWholeFile(std::shared_ptr<const BaseFile> file);
std::unique_ptr<ByteSource> ReadRange(SharedFile file, uint64_t begin, uint64_t length,
                                      std::string path);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_RANGE_FILE_H_
