// WAL into a store, and on from where the last time ended.
#ifndef NEON_REDO_STORE_RECORDING_H_
#define NEON_REDO_STORE_RECORDING_H_

#include <functional>
#include <string>
#include <vector>

#include "cpp_core/store/recorder.h"
#include "cpp_core/store/store.h"
#include "cpp_core/wal/open.h"

namespace neon_redo {

class WalSet;  // cpp_core/archive/wal_set.h

struct RecordingOptions {
  WalRange range;  // `from` is where a store that is empty begins, if it has a value
  RecorderOptions recorder;
  bool track_commit_timestamp = false;                          // where an empty store begins
  std::string name;                                             // of the store, for messages
  std::function<void(uint64_t done, uint64_t total)> progress;  // bytes of WAL; may be empty
  std::function<void(const std::vector<std::string>&)> notes;   // WalReader::notes; may be empty
};

// Reads WAL of the set up to options.range.to, or its end, into the store, beginning at the end of
// what the store has, and flushes it. Returns the end of the last record that is in the store, also
// where the set has no WAL after it.
//
// A store belongs to one cluster, one line of timelines and one beginning. kInvalidArgument: its
// changes are of another cluster or history than the WAL, or begin after options.range.from.
// kUnsupported: WAL was written with wal_level=minimal.
Result<Lsn> RecordWal(Store* store, const WalSet& wal, const RecordingOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_RECORDING_H_
