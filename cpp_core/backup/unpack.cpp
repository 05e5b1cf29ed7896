// Each library is a Decoder, which takes some input and makes some output. UnpackSource feeds it, and
// knows of frames, ends and messages.
#include "cpp_core/backup/unpack.h"

#include <bzlib.h>
#include <fmt/format.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kInputSize = 64 * 1024;
constexpr size_t kMostAtOnce = INT_MAX / 2;  // the libraries count in 32 bits

struct Step {
  size_t taken = 0, made = 0;
  bool ended = false;           // the frame or member
  const char* error = nullptr;  // what is wrong with the input
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual Step Decode(Bytes in, WritableBytes out) = 0;
  // Before another frame. False: out of memory.
  virtual bool Restart() { return true; }
};

class InflateDecoder : public Decoder {
 public:
  ~InflateDecoder() override {
    if (begun_) inflateEnd(&stream_);
  }
  bool Begin(Codec codec) {
    begun_ = inflateInit2(&stream_, codec == Codec::kGzip ? 16 + MAX_WBITS : MAX_WBITS) == Z_OK;
    return begun_;
  }
  Step Decode(Bytes in, WritableBytes out) override {
    stream_.next_in = const_cast<uint8_t*>(in.data());
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out, result == Z_STREAM_END,
              nullptr};
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      step.error = stream_.msg != nullptr ? stream_.msg : "damaged data";
    return step;
  }
  bool Restart() override { return inflateReset(&stream_) == Z_OK; }

 private:
  z_stream stream_{};
  bool begun_ = false;
};

class Bzip2Decoder : public Decoder {
 public:
  ~Bzip2Decoder() override { End(); }
  bool Restart() override {
    End();
    stream_ = {};
    begun_ = BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK;
    return begun_;
  }
  Step Decode(Bytes in, WritableBytes out) override {
    stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(in.size());
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(out.size());
    const int result = BZ2_bzDecompress(&stream_);
    Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out, result == BZ_STREAM_END,
              nullptr};
    if (result < 0) step.error = result == BZ_DATA_ERROR_MAGIC ? "no bzip2 header" : "damaged data";
    return step;
  }

 private:
  void End() {
    if (begun_) BZ2_bzDecompressEnd(&stream_);
    begun_ = false;
  }
  bz_stream stream_{};
  bool begun_ = false;
};

class Lz4Decoder : public Decoder {
 public:
  ~Lz4Decoder() override { LZ4F_freeDecompressionContext(context_); }
  bool Begin() { return !LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)); }
  Step Decode(Bytes in, WritableBytes out) override {
    Step step{in.size(), out.size(), false, nullptr};
    const size_t hint =
        LZ4F_decompress(context_, out.data(), &step.made, in.data(), &step.taken, nullptr);
    if (LZ4F_isError(hint)) return {0, 0, false, LZ4F_getErrorName(hint)};
    step.ended = hint == 0;
    return step;
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

class ZstdDecoder : public Decoder {
 public:
  bool Begin() {
    context_.reset(ZSTD_createDCtx());
    return context_ != nullptr;
  }
  Step Decode(Bytes in, WritableBytes out) override {
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    const size_t hint = ZSTD_decompressStream(context_.get(), &target, &source);
    if (ZSTD_isError(hint)) return {0, 0, false, ZSTD_getErrorName(hint)};
    return {source.pos, target.pos, hint == 0, nullptr};
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
};

template <typename T, typename... Arguments>
std::unique_ptr<Decoder> Begun(Arguments... arguments) {
  auto decoder = std::make_unique<T>();
  if (!decoder->Begin(arguments...)) return nullptr;
  return decoder;
}

// Null: out of memory.
std::unique_ptr<Decoder> MakeDecoder(Codec codec) {
  switch (codec) {
    case Codec::kLz4:
      return Begun<Lz4Decoder>();
    case Codec::kZstd:
      return Begun<ZstdDecoder>();
    case Codec::kBzip2: {
      auto decoder = std::make_unique<Bzip2Decoder>();
      if (!decoder->Restart()) return nullptr;
      return decoder;
    }
    default:
      return Begun<InflateDecoder>(codec);
  }
}

class UnpackSource : public ByteSource {
 public:
  UnpackSource(std::unique_ptr<ByteSource> packed, std::unique_ptr<Decoder> decoder,
               std::string name)
      : packed_(std::move(packed)), decoder_(std::move(decoder)), name_(std::move(name)) {}

  Result<size_t> Read(WritableBytes out) override {
    out = out.first(std::min(out.size(), kMostAtOnce));
    for (;;) {
      if (input_.empty() && !source_ended_) RETURN_IF_ERROR(Fill());
      if (!in_frame_ && input_.empty()) return 0;
      if (!in_frame_) {
        if (!decoder_->Restart()) return MakeError(ErrorCode::kOutOfMemory, "out of memory");
        in_frame_ = true;
      }
      const Step step = decoder_->Decode(input_, out);
      if (step.error != nullptr) return Corrupt(step.error);
      input_ = input_.subspan(step.taken);
      position_ += step.taken;
      if (step.ended) in_frame_ = false;
      if (step.made > 0) return step.made;
      if (!step.ended && step.taken == 0 && source_ended_ && input_.empty())
        return Corrupt("it is cut off");
      if (!step.ended && step.taken == 0 && !input_.empty()) return Corrupt("damaged data");
    }
  }

 private:
  Status Fill() {
    ASSIGN_OR_RETURN(const size_t got, packed_->Read(buffer_));
    input_ = Bytes(buffer_.data(), got);
    source_ended_ = got == 0;
    return {};
  }
  tl::unexpected<Error> Corrupt(const char* why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("could not unpack {} at packed byte {}: {}",
                                                      name_, position_, why));
  }

  const std::unique_ptr<ByteSource> packed_;
  const std::unique_ptr<Decoder> decoder_;
  const std::string name_;
  std::array<uint8_t, kInputSize> buffer_;
  Bytes input_;  // what is left of it
  uint64_t position_ = 0;
  bool source_ended_ = false;
  bool in_frame_ = true;  // nothing at all is a frame that is cut off
};

constexpr std::pair<Codec, const char*> kSuffixes[] = {
    {Codec::kGzip, ".gz"}, {Codec::kLz4, ".lz4"}, {Codec::kZstd, ".zst"}, {Codec::kBzip2, ".bz2"}};

}  // namespace

const char* CodecSuffix(Codec codec) {
  for (const auto& [of, suffix] : kSuffixes)
    if (of == codec) return suffix;
  return "";
}

std::optional<Codec> CodecOfName(std::string_view name) {
  for (const auto& [codec, suffix] : kSuffixes)
    if (name.ends_with(suffix)) return codec;
  return std::nullopt;
}

Result<std::unique_ptr<ByteSource>> Unpack(std::unique_ptr<ByteSource> packed, Codec codec,
                                           std::string name) {
  if (codec == Codec::kNone) return packed;
  auto decoder = MakeDecoder(codec);
  if (decoder == nullptr) return MakeError(ErrorCode::kOutOfMemory, "out of memory");
  return std::make_unique<UnpackSource>(std::move(packed), std::move(decoder), std::move(name));
}

}  // namespace neon_redo
