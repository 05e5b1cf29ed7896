// Readers of a WAL set that is open already: several of one command list its directories once.
#ifndef NEON_REDO_WAL_OPEN_H_
#define NEON_REDO_WAL_OPEN_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

class WalSet;  // cpp_core/archive/wal_set.h

// As in WalReaderOptions.
struct WalRange {
  std::optional<Lsn> from{};
  std::optional<Lsn> to{};
  std::optional<uint32_t> timeline{};
};

// As WalReader::Open with the directories of the set. The set need not live as long as the reader.
Result<std::unique_ptr<WalReader>> OpenWal(const WalSet& set, const WalRange& range);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_OPEN_H_
