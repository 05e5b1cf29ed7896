// Changes ordered by key and LSN, the newest of a page found without reading the others.
#ifndef NEON_REDO_STORE_STORE_H_
#define NEON_REDO_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// One entry of a key. value is opaque to the store (see encoding.h).
struct StoredChange {
  Lsn lsn;
  uint32_t index;    // order among those of one key and LSN
  bool initialises;  // nothing older is needed
  std::string value;

  bool operator==(const StoredChange&) const = default;
};

// Not thread-safe: one owner at a time. Entries are never removed; one put again is replaced.
class Store {
 public:
  virtual ~Store() = default;

  virtual Status Put(const PageKey& key, Lsn lsn, uint32_t index, bool initialises,
                     Bytes value) = 0;

  // The entries of the key up to and including lsn, oldest first, beginning with the last that
  // initialises, or with the first there is. Empty when there are none.
  virtual Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) = 0;

  // The first key at or after `from` that has an entry; nothing when there is none.
  virtual Result<std::optional<PageKey>> NextKey(const PageKey& from) = 0;

  // Whatever was put survives the end of the process, where the store is one that can.
  virtual Status Flush() = 0;
};

// Keeps everything in memory.
std::unique_ptr<Store> MakeMemoryStore();

struct RocksDbStoreOptions {
  std::string directory;  // made if it is not there
  // What the store may keep in memory, write buffers and cached blocks together; besides, RocksDB
  // needs about 10 MB. At least 8 MiB.
  uint64_t memory = 128 << 20;
};

// On disk. kIo: the directory cannot be used. kCorrupt: RocksDB says its files are damaged.
Result<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbStoreOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_STORE_H_
