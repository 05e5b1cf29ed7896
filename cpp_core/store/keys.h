// What changes are ordered by: pages, and under keys that no page has what concerns more than one.
#ifndef NEON_REDO_STORE_KEYS_H_
#define NEON_REDO_STORE_KEYS_H_

#include <cstdint>

#include "neon_redo/ingest.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

inline constexpr uint8_t kNoPageFork = 0x80;  // in the place of a fork: no page's key

// Truncations and drops, after which blocks that were cut off know nothing of what was before.
constexpr PageKey CutKey(const RelFileNode& rel, uint8_t fork) {
  return {
      PageKey::kRelation, rel.spc, rel.db, rel.rel, static_cast<uint8_t>(kNoPageFork | fork), 0};
}
// A database that was created, copied or dropped in a tablespace.
constexpr PageKey DatabaseKey(uint32_t tablespace, uint32_t database) {
  return {PageKey::kRelation, tablespace, database, 0, kNoPageFork, 0};
}
// Segments of an SLRU that were removed.
constexpr PageKey SlruKey(SlruKind kind) {
  return {PageKey::kSlru, static_cast<uint32_t>(kind), 0, 0, kNoPageFork, 0};
}

// What concerns the cluster, by kind: checkpoints, timelines, parameters, restore points, and the
// records of which each may begin a page of pg_multixact/offsets.
constexpr uint8_t kClusterField = 0xf0;
constexpr PageKey ClusterKey(ChangeKind kind) {
  return {kClusterField, static_cast<uint32_t>(kind), 0, 0, 0, 0};
}
inline constexpr PageKey kOffsetsPagesKey = ClusterKey(ChangeKind::kZeroSlruPage);
// Transactions that committed, with their times.
inline constexpr PageKey kCommitsKey{0xf1, 0, 0, 0, 0, 0};

// Calls take(key, makes_whole) for each key under which an index has the change. Sizes of forks are
// besides (Collector::TakeSize).
template <typename Take>
void ForEachKey(const Change& change, Take take) {
  using enum ChangeKind;
  const PageKey& key = change.key;
  const RelFileNode rel{key.field2, key.field3, key.field4};
  switch (change.kind) {
    case kTruncateSlru:
    case kDropSlruSegments:
    case kDropSlru:
      return take(SlruKey(static_cast<SlruKind>(key.field2)), false);
    case kCreateFork:
      return;
    case kTruncateFork:
      return take(CutKey(rel, key.field5), false);
    case kDropRelation:
      for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++) take(CutKey(rel, fork), false);
      return;
    case kCreateDatabase:
    case kCopyDatabase:
    case kDropDatabase:
      return take(DatabaseKey(key.field2, key.field3), false);
    case kRelationMap:
      return take(key, true);
    default:
      if (ChangesPage(change.kind)) return take(key, change.initialises());
      return take(ClusterKey(change.kind), false);
  }
}

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_KEYS_H_
