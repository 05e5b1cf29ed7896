// A packed source of bytes, as a source of what it holds.
#ifndef NEON_REDO_BACKUP_UNPACK_H_
#define NEON_REDO_BACKUP_UNPACK_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/archive/unpack.h"
#include "cpp_core/backup/byte_source.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The packing of a name that ends with a suffix of one; nothing: it has none of the suffixes.
std::optional<Packing> PackingOfName(std::string_view name);

// The source of what `packed` holds: one or more gzip members or frames after each other, to the end
// of `packed`. Checksums in it are checked. `name` is for messages. Its errors: kCorrupt, with the
// offset in the packed bytes; what `packed` returns; kOutOfMemory. Uses some hundred kB, zstd and xz up
// to 128 MB if the frame says so, and no memory by the size of what comes out. kUnsupported: the frame
// asks for more.
std::unique_ptr<ByteSource> Unpack(std::unique_ptr<ByteSource> packed, Packing packing,
                                   std::string name);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_UNPACK_H_
