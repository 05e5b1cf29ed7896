// What the readers of packed files unpack.
#ifndef NEON_REDO_TESTS_UNIT_PACKED_H_
#define NEON_REDO_TESTS_UNIT_PACKED_H_

#include <brotli/encode.h>
#include <bzlib.h>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "cpp_core/archive/unpack.h"

namespace neon_redo {

// With a checksum, in whatever way, if the format has any: lzma and brotli have none.
inline std::string Packed(const std::string& plain, Packing packing) {
  if (packing == Packing::kNone) return plain;
  std::string out(plain.size() * 2 + 100'000, '\0');
  size_t size = out.size();
  auto* to = reinterpret_cast<uint8_t*>(out.data());
  const auto* from = reinterpret_cast<const uint8_t*>(plain.data());
  if (packing == Packing::kGzip || packing == Packing::kZlib) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, packing == Packing::kGzip ? MAX_WBITS + 16 : MAX_WBITS, 9,
                 Z_DEFAULT_STRATEGY);
    stream.next_in = const_cast<Bytef*>(from);
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = to;
    stream.avail_out = static_cast<uInt>(size);
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size = stream.total_out;
    deflateEnd(&stream);
  } else if (packing == Packing::kLz4) {
    LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    size = LZ4F_compressFrame(to, size, from, plain.size(), &preferences);
  } else if (packing == Packing::kZstd) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size = ZSTD_compress2(context, to, size, from, plain.size());
    ZSTD_freeCCtx(context);
  } else if (packing == Packing::kBzip2) {
    auto length = static_cast<unsigned>(size);
    EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &length, const_cast<char*>(plain.data()),
                                       static_cast<unsigned>(plain.size()), 1, 0, 0),
              BZ_OK);
    size = length;
  } else if (packing == Packing::kBrotli) {
    EXPECT_TRUE(BrotliEncoderCompress(1, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, plain.size(),
                                      from, &size, to));
  } else if (packing == Packing::kLzma) {
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 1);
    lzma_stream stream = LZMA_STREAM_INIT;
    EXPECT_EQ(lzma_alone_encoder(&stream, &options), LZMA_OK);
    stream.next_in = from;
    stream.avail_in = plain.size();
    stream.next_out = to;
    stream.avail_out = size;
    EXPECT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
    size = stream.total_out;
    lzma_end(&stream);
  } else {
    EXPECT_EQ(packing, Packing::kXz);
    size_t at = 0;
    EXPECT_EQ(
        lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nullptr, from, plain.size(), to, &at, size),
        LZMA_OK);
    size = at;
  }
  out.resize(size);
  return out;
}

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_PACKED_H_
