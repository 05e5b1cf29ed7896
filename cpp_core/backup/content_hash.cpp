#include "cpp_core/backup/content_hash.h"

#include <xxhash.h>

#include <new>

namespace neon_redo {

namespace {

XXH3_state_t* StateOf(void* state) { return static_cast<XXH3_state_t*>(state); }

}  // namespace

ContentHash::ContentHash() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(StateOf(state_.get()));
}

void ContentHash::Add(Bytes bytes) {
  XXH3_64bits_update(StateOf(state_.get()), bytes.data(), bytes.size());
}

uint64_t ContentHash::Finish() const { return XXH3_64bits_digest(StateOf(state_.get())); }

void ContentHash::Free::operator()(void* state) const { XXH3_freeState(StateOf(state)); }

}  // namespace neon_redo
