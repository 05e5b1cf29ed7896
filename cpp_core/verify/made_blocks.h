// Which blocks WAL has made that the base backup does not have, as ranges of each fork. Relations grow at
// their ends, so that there are few. Not thread-safe.
#ifndef NEON_REDO_VERIFY_MADE_BLOCKS_H_
#define NEON_REDO_VERIFY_MADE_BLOCKS_H_

#include <cstdint>
#include <map>

#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/block.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

class MadeBlocks {
 public:
  void Add(const BlockTag& tag);
  bool Contains(const BlockTag& tag) const;
  // Forgets what the change does away with.
  void Take(const Change& change);

  void Save(StateWriter* out) const;
  // What is loaded is not to be used unless in->ok() afterwards.
  void Load(StateReader* in);

 private:
  using Ranges = std::map<uint32_t, uint32_t>;  // first block to one after the last
  void Erase(const BlockTag& first, const BlockTag& last);

  std::map<BlockTag, Ranges> forks_;  // by a tag with block 0
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_MADE_BLOCKS_H_
