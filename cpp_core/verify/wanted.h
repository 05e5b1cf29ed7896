// Verification of some pages only: which, and where their records are found without reading all WAL.
#ifndef NEON_REDO_VERIFY_WANTED_H_
#define NEON_REDO_VERIFY_WANTED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cpp_core/wal/open.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// The WAL of one line, by an index of it. Not thread-safe.
class WantedWal {
 public:
  virtual ~WantedWal() = default;

  virtual Lsn end() const = 0;  // of the WAL
  // Why WAL after end() cannot be read; nothing: it ends there.
  virtual std::optional<Error> damage() const = 0;
  virtual std::vector<std::string> TakeNotes() = 0;  // about the WAL, one line each

  // Reads records that start at `from` or later, and before `to`, in their order, until take says that it is enough:
  // those that change the blocks, but for what an image makes good; those that make, cut off or drop their relations,
  // or do so with their databases; checkpoints, and what else concerns the cluster.
  using Take = std::function<Result<bool>(const WalRecord& record)>;  // false: enough
  virtual Status Read(const std::set<BlockTag>& blocks, Lsn from, Lsn to, const Take& take) = 0;
  // One more than the highest block of the fork that WAL, from `from` on and before `to`, changes and leaves.
  virtual Result<uint32_t> TouchedEnd(const BlockTag& fork, Lsn from, Lsn to) = 0;
};

struct WantedPages {
  std::set<BlockTag> pages;
  std::set<RelFileNode> relations;  // all their pages, but for the free space map
  // Called once for each look at the cluster.
  std::function<Result<std::unique_ptr<WantedWal>>(const WalSet& wal, const WalRange& range)> open;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_WANTED_H_
