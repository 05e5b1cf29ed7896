// The entries of a tar archive, by libarchive.
#ifndef NEON_REDO_BACKUP_TAR_READER_H_
#define NEON_REDO_BACKUP_TAR_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "cpp_core/backup/byte_source.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct TarEntry {
  enum Kind : uint8_t { kFile, kDirectory, kLink, kOther } kind = kOther;
  std::string name;   // safe and relative, without "./" before and "/" behind it; empty: "./" alone
  std::string what;   // of kLink and kOther: "a symbolic link", "a FIFO"
  uint64_t size = 0;  // of a file
  uint64_t begin = 0;  // where its bytes begin in the archive
};

// WAL-G's names begin with a slash, which stands for the data directory.
enum class TarNames : uint8_t { kRelative, kRooted };

// Not thread-safe.
class TarReader {
 public:
  // path: of the archive, for messages. names: kRooted allows both.
  static Result<std::unique_ptr<TarReader>> Open(std::unique_ptr<ByteSource> archive,
                                                 std::string path,
                                                 TarNames names = TarNames::kRelative);
  virtual ~TarReader() = default;

  // The next entry; false: the archive has ended in order. kCorrupt: a header is damaged, a name leads
  // out of the archive, an entry is cut off, the end is missing, or something stands behind it.
  virtual Result<bool> Next(TarEntry* entry) = 0;
  // The content of the entry that Next gave, exactly `size` bytes. What is not read is passed over.
  virtual ByteSource* content() = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_TAR_READER_H_
