// One compressed stream, whichever library decompresses it.
#ifndef NEON_REDO_ARCHIVE_CODEC_H_
#define NEON_REDO_ARCHIVE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cpp_core/archive/unpack.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Not thread-safe.
class Codec {
 public:
  // What is still to be read, and room for what comes of it. Steps move both on.
  struct Buffers {
    const uint8_t* in = nullptr;
    size_t in_bytes = 0;
    uint8_t* out = nullptr;
    size_t out_bytes = 0;
  };
  enum class State {
    kMore,
    kEnd,
    kDamaged,
    kNoMemory,  // the process is short of it
    kTooLarge,  // the stream asks for more memory than the limit
  };

  // Leaves out what may follow a stream and is not another one: zeroes, as a tape or a disk pads a file
  // (gzip ignores them; xz has them in its format).
  static void SkipPadding(Packing packing, Buffers* buffers);

  // Null: out of memory. Memory is limited, whatever the stream asks for.
  static std::unique_ptr<Codec> Make(Packing packing);
  virtual ~Codec() = default;

  // kEnd: the stream is complete. kMore without progress: it needs input, or room.
  virtual State Step(Buffers* buffers) = 0;
  // After kDamaged, in the library's words; null: it has none.
  const char* why() const { return why_; }

 protected:
  Codec() = default;
  State Damaged(const char* why) {
    why_ = why;
    return State::kDamaged;
  }

 private:
  const char* why_ = nullptr;
};

// Why the stream of `what`, as in "file \"x\"", cannot be decompressed here, whatever it holds:
// kOutOfMemory or kUnsupported. Nothing for the other states.
std::optional<Error> CodecRefusal(Codec::State state, const std::string& what);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_CODEC_H_
