// A number for the content of a file that a ledger remembers. It tells content that another program, or chance,
// has changed. It is no proof against somebody who chooses the content.
#ifndef NEON_REDO_BACKUP_CONTENT_HASH_H_
#define NEON_REDO_BACKUP_CONTENT_HASH_H_

#include <cstdint>
#include <memory>

#include "neon_redo/bytes.h"

namespace neon_redo {

// XXH3 with 64 bits, of bytes that come piece by piece. Move-only. Not thread-safe.
class ContentHash {
 public:
  ContentHash();
  void Add(Bytes bytes);
  uint64_t Finish() const;

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;  // XXH3_state_t
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_CONTENT_HASH_H_
