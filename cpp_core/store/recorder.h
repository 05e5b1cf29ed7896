// The changes that one page depends on, gathered from all WAL: for WAL that cannot be indexed.
#ifndef NEON_REDO_STORE_RECORDER_H_
#define NEON_REDO_STORE_RECORDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/store/change_source.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Not thread-safe. Memory: the changes themselves.
class Recorder : public ChangeSource {
 public:
  // Of this page, and of pages that it may be a copy of (CREATE DATABASE).
  explicit Recorder(const PageKey& only) : only_(only) {}

  // As a ChangeSink takes it.
  void Take(const ChangeList& changes, const RecordView& view, const WalRecord& record);

  Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) override;

 private:
  bool IsWanted(const PageKey& key) const;

  const PageKey only_;
  std::map<PageKey, std::vector<StoredChange>> changes_;  // in the order of WAL
};

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_RECORDER_H_
