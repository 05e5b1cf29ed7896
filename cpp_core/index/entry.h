// The entries of one key, as an index file has them.
#ifndef NEON_REDO_INDEX_ENTRY_H_
#define NEON_REDO_INDEX_ENTRY_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// What records before an LSN have made of a fork's size, whatever it was, back to where the stretch begins, or
// to the last record that made, copied or dropped the database: not less than `least`, and then not more than `most`. Sizes are blocks plus one; 0: there is no
// such fork.
struct SizeBounds {
  uint64_t least = 0;
  uint64_t most = UINT32_MAX;

  uint64_t Of(uint64_t before) const { return std::min(std::max(before, least), most); }
  // These bounds, and then the others.
  SizeBounds Then(const SizeBounds& next) const { return {next.Of(least), next.Of(most)}; }
  bool is_known() const { return least == most; }
  bool operator==(const SizeBounds&) const = default;
};

// A record that concerns the key.
struct IndexEntry {
  Lsn start;                 // where it starts: a multiple of 8
  bool makes_whole = false;  // nothing older is needed
  SizeBounds size{};         // of a fork's size
  uint32_t xid = 0;          // of a commit
  int64_t time = 0;          // TimestampTz, of a commit

  bool operator==(const IndexEntry&) const = default;
};

// Those that start at `begin` or later, and before `end`, of some in ascending order.
std::span<const IndexEntry> EntriesBetween(std::span<const IndexEntry> entries, Lsn begin, Lsn end);

// What entries of a key have besides their position.
enum class EntryKind : uint8_t { kRecord, kSize, kCommit };
EntryKind EntryKindOf(const PageKey& key);

// A file has the entries of a key in parts, each under the key and the first position. They are in
// ascending order.
inline constexpr size_t kMostEntriesOfPart = 512;

// Appends one entry. *last: the entry before it in this part; a first one has the start of the part.
void EncodeEntry(EntryKind kind, const IndexEntry& entry, const IndexEntry& last, std::string* out);

// All entries of a part that begins at `start`, appended: at least one. kCorrupt: these are not such bytes.
Status DecodeEntries(EntryKind kind, Lsn start, Bytes bytes, std::vector<IndexEntry>* out);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_ENTRY_H_
