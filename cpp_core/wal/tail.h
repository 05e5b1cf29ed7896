// A reader of WAL that grows, for code that knows which part of it is valid so far.
#ifndef NEON_REDO_WAL_TAIL_H_
#define NEON_REDO_WAL_TAIL_H_

#include <memory>
#include <optional>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Reads these segments of one line (WalSet::Line, Look), from `from` or the start of the
// first. There must be one at least, and no gap between them. Wherever the reader has to stop, WAL
// has ended: it does not look for damage after that place.
std::unique_ptr<WalReader> OpenWalTail(std::vector<Segment> segments, const WalIdentity& identity,
                                       std::optional<Lsn> from);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_TAIL_H_
