#include "cpp_core/archive/codec.h"

#include <brotli/decode.h>
#include <bzlib.h>
#include <fmt/format.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace neon_redo {

namespace {

// The largest settings of xz (-9) need 65 MB; zstd's own limit, 128 MB, is its default.
constexpr uint64_t kXzMemory = uint64_t{128} << 20;

// zlib and libbz2 count in unsigned int.
unsigned Limited(size_t bytes) {
  return static_cast<unsigned>(std::min<size_t>(bytes, std::numeric_limits<int>::max()));
}

class Inflate : public Codec {
 public:
  explicit Inflate(int window_bits) { is_open_ = inflateInit2(&stream_, window_bits) == Z_OK; }
  ~Inflate() override { inflateEnd(&stream_); }
  bool is_open() const { return is_open_; }

  State Step(Buffers* b) override {
    const unsigned in = Limited(b->in_bytes), out = Limited(b->out_bytes);
    stream_.next_in = const_cast<Bytef*>(b->in);
    stream_.avail_in = in;
    stream_.next_out = b->out;
    stream_.avail_out = out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    b->in += in - stream_.avail_in;
    b->in_bytes -= in - stream_.avail_in;
    b->out += out - stream_.avail_out;
    b->out_bytes -= out - stream_.avail_out;
    if (result == Z_STREAM_END) return State::kEnd;
    if (result == Z_MEM_ERROR) return State::kNoMemory;
    return result == Z_OK || result == Z_BUF_ERROR ? State::kMore : Damaged(stream_.msg);
  }

 private:
  z_stream stream_{};
  bool is_open_;
};

class Bzip2 : public Codec {
 public:
  Bzip2() { is_open_ = BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK; }
  ~Bzip2() override { BZ2_bzDecompressEnd(&stream_); }
  bool is_open() const { return is_open_; }

  State Step(Buffers* b) override {
    const unsigned in = Limited(b->in_bytes), out = Limited(b->out_bytes);
    stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(b->in));
    stream_.avail_in = in;
    stream_.next_out = reinterpret_cast<char*>(b->out);
    stream_.avail_out = out;
    const int result = BZ2_bzDecompress(&stream_);
    b->in += in - stream_.avail_in;
    b->in_bytes -= in - stream_.avail_in;
    b->out += out - stream_.avail_out;
    b->out_bytes -= out - stream_.avail_out;
    if (result == BZ_STREAM_END) return State::kEnd;
    if (result == BZ_MEM_ERROR) return State::kNoMemory;
    return result == BZ_OK ? State::kMore : Damaged(nullptr);
  }

 private:
  bz_stream stream_{};
  bool is_open_;
};

// Of xz, and of its older format.
class Xz : public Codec {
 public:
  explicit Xz(bool is_lzma) {
    is_open_ = (is_lzma ? lzma_alone_decoder(&stream_, kXzMemory)
                        : lzma_stream_decoder(&stream_, kXzMemory, 0)) == LZMA_OK;
  }
  ~Xz() override { lzma_end(&stream_); }
  bool is_open() const { return is_open_; }

  State Step(Buffers* b) override {
    stream_.next_in = b->in;
    stream_.avail_in = b->in_bytes;
    stream_.next_out = b->out;
    stream_.avail_out = b->out_bytes;
    const lzma_ret result = lzma_code(&stream_, LZMA_RUN);
    b->in = stream_.next_in;
    b->in_bytes = stream_.avail_in;
    b->out = stream_.next_out;
    b->out_bytes = stream_.avail_out;
    if (result == LZMA_STREAM_END) return State::kEnd;
    if (result == LZMA_MEM_ERROR) return State::kNoMemory;
    if (result == LZMA_MEMLIMIT_ERROR) return State::kTooLarge;
    return result == LZMA_OK || result == LZMA_BUF_ERROR ? State::kMore : Damaged(nullptr);
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool is_open_;
};

// Its window is 16 MB at most, since large windows are not asked for.
class Brotli : public Codec {
 public:
  ~Brotli() override { BrotliDecoderDestroyInstance(state_); }
  bool is_open() const { return state_ != nullptr; }

  State Step(Buffers* b) override {
    switch (BrotliDecoderDecompressStream(state_, &b->in_bytes, &b->in, &b->out_bytes, &b->out,
                                          nullptr)) {
      case BROTLI_DECODER_RESULT_SUCCESS:
        return State::kEnd;
      case BROTLI_DECODER_RESULT_ERROR:
        break;
      default:
        return State::kMore;
    }
    const BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state_);
    if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
        code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
      return State::kNoMemory;
    return Damaged(BrotliDecoderErrorString(code));
  }

 private:
  BrotliDecoderState* const state_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
};

class Zstd : public Codec {
 public:
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  bool is_open() const { return stream_ != nullptr; }

  State Step(Buffers* b) override {
    ZSTD_inBuffer in{b->in, b->in_bytes, 0};
    ZSTD_outBuffer out{b->out, b->out_bytes, 0};
    const size_t result = ZSTD_decompressStream(stream_, &out, &in);
    b->in += in.pos;
    b->in_bytes -= in.pos;
    b->out += out.pos;
    b->out_bytes -= out.pos;
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_no_error:
        break;
      case ZSTD_error_memory_allocation:
        return State::kNoMemory;
      case ZSTD_error_frameParameter_windowTooLarge:
        return State::kTooLarge;
      default:
        return Damaged(ZSTD_getErrorName(result));
    }
    return result == 0 ? State::kEnd : State::kMore;
  }

 private:
  ZSTD_DStream* const stream_ = ZSTD_createDStream();
};

class Lz4 : public Codec {
 public:
  Lz4() {
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION))) context_ = nullptr;
  }
  ~Lz4() override { LZ4F_freeDecompressionContext(context_); }
  bool is_open() const { return context_ != nullptr; }

  State Step(Buffers* b) override {
    size_t in = b->in_bytes, out = b->out_bytes;
    const size_t result = LZ4F_decompress(context_, b->out, &out, b->in, &in, nullptr);
    if (LZ4F_isError(result)) {
      // Its error codes are in the header of the static library alone.
      const char* const why = LZ4F_getErrorName(result);
      return std::strcmp(why, "ERROR_allocation_failed") == 0 ? State::kNoMemory : Damaged(why);
    }
    b->in += in;
    b->in_bytes -= in;
    b->out += out;
    b->out_bytes -= out;
    return result == 0 ? State::kEnd : State::kMore;
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

template <typename T, typename... Arguments>
std::unique_ptr<Codec> MakeOpen(Arguments... arguments) {
  auto codec = std::make_unique<T>(arguments...);
  if (!codec->is_open()) return nullptr;
  return codec;
}

}  // namespace

std::unique_ptr<Codec> Codec::Make(Packing packing) {
  switch (packing) {
    case Packing::kNone:
    case Packing::kUnknown:
      return nullptr;
    case Packing::kGzip:
      return MakeOpen<Inflate>(MAX_WBITS + 16);
    case Packing::kZlib:
      return MakeOpen<Inflate>(MAX_WBITS);
    case Packing::kLz4:
      return MakeOpen<Lz4>();
    case Packing::kZstd:
      return MakeOpen<Zstd>();
    case Packing::kBzip2:
      return MakeOpen<Bzip2>();
    case Packing::kXz:
      return MakeOpen<Xz>(false);
    case Packing::kLzma:
      return MakeOpen<Xz>(true);
    case Packing::kBrotli:
      return MakeOpen<Brotli>();
  }
  return nullptr;
}

void Codec::SkipPadding(Packing packing, Buffers* buffers) {
  if (packing != Packing::kGzip && packing != Packing::kXz) return;
  for (; buffers->in_bytes > 0 && *buffers->in == 0; buffers->in++) buffers->in_bytes--;
}

std::optional<Error> CodecRefusal(Codec::State state, const std::string& what) {
  if (state == Codec::State::kNoMemory)
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("could not decompress {}: out of memory", what)};
  if (state == Codec::State::kTooLarge)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("could not decompress {}: it needs more than 128 MB of memory; "
                             "decompress it first",
                             what)};
  return std::nullopt;
}

}  // namespace neon_redo
