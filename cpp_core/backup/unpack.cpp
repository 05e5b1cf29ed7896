#include "cpp_core/backup/unpack.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>

#include "cpp_core/archive/codec.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kInputSize = 64 * 1024;

// Each stream, which is a gzip member or a frame, has a Codec of its own.
class UnpackSource : public ByteSource {
 public:
  UnpackSource(std::unique_ptr<ByteSource> packed, Packing packing, std::string name)
      : packed_(std::move(packed)), packing_(packing), name_(std::move(name)) {}

  Result<size_t> Read(WritableBytes out) override {
    buffers_.out = out.data();
    buffers_.out_bytes = out.size();
    for (;;) {
      if (buffers_.in_bytes == 0 && !is_at_end_) RETURN_IF_ERROR(Fill());
      if (!codec_ && has_streams_) {
        Codec::SkipPadding(packing_, &buffers_);
        if (buffers_.in_bytes == 0 && !is_at_end_) continue;
      }
      // Nothing at all is a stream that is cut off.
      if (!codec_ && has_streams_ && buffers_.in_bytes == 0) return 0;
      if (!codec_ && !(codec_ = Codec::Make(packing_)))
        return tl::unexpected(*CodecRefusal(Codec::State::kNoMemory, name_));
      has_streams_ = true;
      const size_t before = buffers_.in_bytes;
      const Codec::State state = codec_->Step(&buffers_);
      if (auto refusal = CodecRefusal(state, name_)) return tl::unexpected(std::move(*refusal));
      if (state == Codec::State::kDamaged)
        return Corrupt(codec_->why() != nullptr ? codec_->why() : "damaged data");
      const bool ended = state == Codec::State::kEnd;
      if (ended) codec_.reset();
      if (const size_t made = out.size() - buffers_.out_bytes; made > 0 || out.empty()) return made;
      if (ended || buffers_.in_bytes != before) continue;
      if (buffers_.in_bytes > 0) return Corrupt("damaged data");
      if (is_at_end_) return Corrupt("it is cut off");
    }
  }

 private:
  Status Fill() {
    ASSIGN_OR_RETURN(const size_t got, packed_->Read(input_));
    buffers_.in = input_.data();
    buffers_.in_bytes = got;
    read_ += got;
    is_at_end_ = got == 0;
    return {};
  }
  tl::unexpected<Error> Corrupt(const char* why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("could not unpack {} at packed byte {}: {}",
                                                      name_, read_ - buffers_.in_bytes, why));
  }

  const std::unique_ptr<ByteSource> packed_;
  const Packing packing_;
  const std::string name_;
  std::unique_ptr<Codec> codec_;  // of the stream being read; null between two
  std::array<uint8_t, kInputSize> input_;
  Codec::Buffers buffers_;
  uint64_t read_ = 0;  // bytes of packed_
  bool is_at_end_ = false;
  bool has_streams_ = false;
};

}  // namespace

std::optional<Packing> PackingOfName(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const Packing packing = PackingOfSuffix(name.substr(dot));
  if (packing == Packing::kUnknown) return std::nullopt;
  return packing;
}

std::unique_ptr<ByteSource> Unpack(std::unique_ptr<ByteSource> packed, Packing packing,
                                   std::string name) {
  if (packing == Packing::kNone) return packed;
  return std::make_unique<UnpackSource>(std::move(packed), packing, std::move(name));
}

}  // namespace neon_redo
