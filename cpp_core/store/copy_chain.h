// Databases that are copies of copies: how far they are followed.
#ifndef NEON_REDO_STORE_COPY_CHAIN_H_
#define NEON_REDO_STORE_COPY_CHAIN_H_

#include "neon_redo/error.h"

namespace neon_redo {

// What a database had before it was copied is asked of its source, which may be a copy, too. Servers have
// a handful of such steps. Hostile WAL has any number, and two databases that are copied to and fro.
class CopyChain {
 public:
  static constexpr int kMost = 64;

  // The result of read(), which asks the source. kUnsupported: it is one copy too many.
  template <typename Read>
  auto Follow(Read read) -> decltype(read()) {
    if (depth_ == kMost)
      return MakeError(ErrorCode::kUnsupported,
                       "a database is a copy of a copy more than 64 times, and is followed no "
                       "further: no server does that");
    depth_++;
    auto out = read();
    depth_--;
    return out;
  }

 private:
  int depth_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_COPY_CHAIN_H_
