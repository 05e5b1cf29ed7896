#include "neon_redo/wal_reader.h"

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <memory>

extern "C" {
// From libpgcommon (common/pg_lzcompress.h). The number of bytes written, or -1.
extern int32_t pglz_decompress(const char* source, int32_t slen, char* dest, int32_t rawsize,
                               bool check_complete);
}

namespace neon_redo {

namespace {

// pglz_decompress may read up to three bytes past its input before it finds the input too short.
// The image may be the last thing in its buffer, so the function gets a copy with room after it.
int64_t DecompressPglz(Bytes in, uint8_t* out, size_t size) {
  char padded[kBlockSize + 8];
  if (in.empty() || in.size() > kBlockSize) return -1;
  std::memcpy(padded, in.data(), in.size());
  std::memset(padded + in.size(), 0, 8);
  return pglz_decompress(padded, static_cast<int32_t>(in.size()), reinterpret_cast<char*>(out),
                         static_cast<int32_t>(size), true);
}

int64_t DecompressZstd(Bytes in, uint8_t* out, size_t size) {
  thread_local std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                          ZSTD_freeDCtx);
  if (!context) return -1;
  const size_t n = ZSTD_decompressDCtx(context.get(), out, size, in.data(), in.size());
  return ZSTD_isError(n) ? -1 : static_cast<int64_t>(n);
}

// Where GCC knows n to be no more than a page it copies with rep movsq, which takes some 40 cycles
// to start.
void CopyByCall(uint8_t* to, const uint8_t* from, size_t n) {
  asm("" : "+r"(n));
  std::memcpy(to, from, n);
}

}  // namespace

Status RestoreImage(const BlockRef& ref, uint8_t* page) {
  auto name = [&] {
    return fmt::format("relation {}/{}/{} fork {} block {}", ref.tag.rel.spc, ref.tag.rel.db,
                       ref.tag.rel.rel, ForkName(ref.tag.fork), ref.tag.block);
  };
  if (!ref.has_image)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the record has no image of {}", name()));
  // RecordView checked offset and length, but a BlockRef can be made by anyone.
  if (ref.hole_offset + ref.hole_length > static_cast<int>(kBlockSize))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("image of {}: its hole reaches past the page", name()));

  const size_t size = kBlockSize - ref.hole_length;
  uint8_t unpacked[kBlockSize];
  const uint8_t* stored = ref.image.data();
  const char* method = nullptr;
  auto got = static_cast<int64_t>(ref.image.size());
  if (ref.image_info & kImagePglz) {
    method = "pglz";
    got = DecompressPglz(ref.image, unpacked, size);
  } else if (ref.image_info & kImageLz4) {
    method = "lz4";
    got = LZ4_decompress_safe(reinterpret_cast<const char*>(ref.image.data()),
                              reinterpret_cast<char*>(unpacked), static_cast<int>(ref.image.size()),
                              static_cast<int>(size));
  } else if (ref.image_info & kImageZstd) {
    method = "zstd";
    got = DecompressZstd(ref.image, unpacked, size);
  }
  if (method) stored = unpacked;
  if (got != static_cast<int64_t>(size))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("image of {}: its {} {} bytes are not {} bytes of page", name(),
                                 ref.image.size(), method ? method : "stored", size));

  CopyByCall(page, stored, ref.hole_offset);
  std::memset(page + ref.hole_offset, 0, ref.hole_length);
  CopyByCall(page + ref.hole_offset + ref.hole_length, stored + ref.hole_offset,
             size - ref.hole_offset);
  return {};
}

}  // namespace neon_redo
