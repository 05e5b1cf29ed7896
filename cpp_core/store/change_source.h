// Where the changes of a page come from.
#ifndef NEON_REDO_STORE_CHANGE_SOURCE_H_
#define NEON_REDO_STORE_CHANGE_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// One change of a key.
struct StoredChange {
  Lsn lsn;            // the end of its record
  uint32_t index;     // order among those of one LSN
  bool initialises;   // nothing older is needed
  std::string value;  // encoding.h

  bool operator==(const StoredChange&) const = default;
};

// Not thread-safe: one owner at a time.
class ChangeSource {
 public:
  virtual ~ChangeSource() = default;

  // The changes of a page, or under a key of keys.h, up to and including lsn, oldest first,
  // beginning with the last that initialises, or with the first there is.
  virtual Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_CHANGE_SOURCE_H_
