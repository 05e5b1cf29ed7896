#include "cpp_core/store/recorder.h"

#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

// Of a relation: the same block in any database, and whatever concerns the file or the database.
bool Recorder::IsWanted(const PageKey& key) const {
  if (key.field1 != only_.field1) return false;
  if (key.field1 == PageKey::kSlru)
    return key.field2 == only_.field2 && (key.field5 & kNoPageFork) != 0;
  const bool is_page = (key.field5 & kNoPageFork) == 0 && key.field4 != 0;
  if (!is_page) return key.field4 == 0 || key.field4 == only_.field4;
  return key.field4 == only_.field4 && key.field5 == only_.field5 && key.field6 == only_.field6;
}

void Recorder::Take(const ChangeList& changes, const RecordView& view, const WalRecord& record) {
  for (uint32_t i = 0; i < changes.size(); i++) {
    ForEachKey(changes[i], [&](const PageKey& key, bool makes_whole) {
      if (key != only_ && !IsWanted(key)) return;
      std::vector<StoredChange>& list = changes_[key];
      list.push_back({record.end, i, makes_whole, {}});
      EncodeChange(changes[i], view, &list.back().value);
    });
  }
}

Result<std::vector<StoredChange>> Recorder::Get(const PageKey& key, Lsn lsn) {
  std::vector<StoredChange> out;
  const auto list = changes_.find(key);
  if (list == changes_.end()) return out;
  for (const StoredChange& change : list->second) {
    if (change.lsn > lsn) break;
    if (change.initialises) out.clear();
    out.push_back(change);
  }
  return out;
}

}  // namespace neon_redo
