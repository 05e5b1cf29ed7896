// Decompression of files whose content has a known largest size.
#ifndef NEON_REDO_ARCHIVE_UNPACK_H_
#define NEON_REDO_ARCHIVE_UNPACK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// kZlib is what gzip holds without its header (RFC 1950). kLzma is the format before xz. kUnknown: by a
// program whose files are not read.
enum class Packing : uint8_t {
  kNone,
  kGzip,
  kZlib,
  kLz4,
  kZstd,
  kBzip2,
  kXz,
  kLzma,
  kBrotli,
  kUnknown
};

// By a file's first bytes; kNone: by none of these. Nothing marks zlib, lzma and brotli.
Packing PackingOf(Bytes head);
// The same; or by a name's suffix, if that is of a packing without a mark.
Packing PackingOf(Bytes head, std::string_view suffix);
// A file that has only these bytes so far may become one of this packing.
bool BeginsMagic(Packing packing, Bytes bytes);
// The suffixes of compressed files, the known ones.
inline constexpr std::pair<Packing, const char*> kCompressedSuffixes[] = {
    {Packing::kGzip, ".gz"},   {Packing::kLz4, ".lz4"},     {Packing::kZstd, ".zst"},
    {Packing::kBzip2, ".bz2"}, {Packing::kXz, ".xz"},       {Packing::kLzma, ".lzma"},
    {Packing::kBrotli, ".br"}, {Packing::kUnknown, ".lzo"}, {Packing::kUnknown, ".zstd"},
    {Packing::kUnknown, ".Z"}, {Packing::kUnknown, ".sz"}};
bool IsCompressedSuffix(std::string_view suffix);
// Of the list; "": kNone; kUnknown for others, too.
Packing PackingOfSuffix(std::string_view suffix);
// The same the other way round; "" for kZlib and kUnknown too.
const char* PackingSuffix(Packing packing);
const char* PackingName(Packing packing);  // "gzip"

struct Unpacked {
  size_t size = 0;      // bytes written to the output
  bool is_cut = false;  // the file ends within a compressed stream
};

// Memory for compressed bytes that one file after another may use: fresh memory costs a fault for each
// page. Empty at first.
struct UnpackInput {
  std::unique_ptr<uint8_t[]> bytes;
  size_t size = 0;
};

struct UnpackOptions {
  UnpackInput* input = nullptr;              // used again, or filled; null: memory of its own
  const std::atomic<bool>* stop = nullptr;   // true: the caller no longer wants the content
  const std::string* cipher_pass = nullptr;  // what was packed was then encrypted (decryption.h)
};

// Decompresses the file, or decrypts it only (Packing::kNone). It may have several streams one after another, from its start. Never
// writes more than `capacity` bytes to `out`. Thread-safe. path: for messages.
// kCorrupt: it is damaged, or has more than `capacity` bytes. kIo: it cannot be read.
// kOutOfMemory. kUnsupported: it needs more than 128 MB of memory. kCancelled: options.stop. kCorrupt
// also: the passphrase is another one, unless all of the bytes happen to fit.
Result<Unpacked> Unpack(Packing packing, int fd, const std::string& path, uint8_t* out,
                        size_t capacity, const UnpackOptions& options = {});
// The same for the first `capacity` bytes: the rest of the file is not looked at.
Result<Unpacked> UnpackStart(Packing packing, int fd, const std::string& path, uint8_t* out,
                             size_t capacity, const UnpackOptions& options = {});

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_UNPACK_H_
