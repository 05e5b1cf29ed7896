// What is packed by gzip, zlib, lz4, zstd or bzip2, as a source of what it holds.
#ifndef NEON_REDO_BACKUP_UNPACK_H_
#define NEON_REDO_BACKUP_UNPACK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/backup/byte_source.h"
#include "neon_redo/error.h"

namespace neon_redo {

// kZlib is what gzip holds without its header (RFC 1950).
enum class Codec : uint8_t { kNone, kGzip, kZlib, kLz4, kZstd, kBzip2 };

// ".gz", ".lz4", ".zst", ".bz2"; "" for kNone and kZlib.
const char* CodecSuffix(Codec codec);
// The codec of a name that ends so; nothing: it has none of the suffixes.
std::optional<Codec> CodecOfName(std::string_view name);

// The source of what `packed` holds: one or more gzip members or frames after each other, to the end
// of `packed`. Checksums in it are checked. `name` is for messages. Its errors: kCorrupt, with the
// offset in the packed bytes; what `packed` returns; kOutOfMemory. Uses some hundred kB, zstd up to
// 128 MB if the frame says so, and no memory by the size of what comes out.
Result<std::unique_ptr<ByteSource>> Unpack(std::unique_ptr<ByteSource> packed, Codec codec,
                                           std::string name);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_UNPACK_H_
