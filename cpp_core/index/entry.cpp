// An entry is a few numbers of seven bits a byte (LEB128): how many times eight bytes it lies after the
// one before it, doubled, plus one if it makes the page whole; for a size the bounds, for a commit
// the differences of xid and time, whose signs are the lowest bits.
#include "cpp_core/index/entry.h"

#include "cpp_core/store/keys.h"

namespace neon_redo {

namespace {

void Append(uint64_t number, std::string* out) {
  for (; number >= 0x80; number >>= 7) out->push_back(static_cast<char>(number | 0x80));
  out->push_back(static_cast<char>(number));
}

bool Take(const uint8_t** at, const uint8_t* end, uint64_t* number) {
  *number = 0;
  for (int shift = 0; *at != end && shift < 64; shift += 7) {
    const uint8_t byte = *(*at)++;
    *number |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

uint64_t Fold(int64_t number) {
  return static_cast<uint64_t>(number) << 1 ^ static_cast<uint64_t>(number >> 63);
}
int64_t Unfold(uint64_t number) { return static_cast<int64_t>(number >> 1 ^ (~(number & 1) + 1)); }
// Without the overflow of a signed difference.
int64_t Difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

}  // namespace

std::span<const IndexEntry> EntriesBetween(std::span<const IndexEntry> entries, Lsn begin,
                                           Lsn end) {
  const auto place = [&](Lsn lsn) {
    return std::lower_bound(entries.begin(), entries.end(), lsn,
                            [](const IndexEntry& e, Lsn l) { return e.start < l; });
  };
  const auto first = place(begin), last = place(end);
  return first < last ? std::span(first, last) : std::span<const IndexEntry>();
}

EntryKind EntryKindOf(const PageKey& key) {
  if (key == kCommitsKey) return EntryKind::kCommit;
  return key.field1 == PageKey::kRelation && key.field6 == PageKey::kSizeBlock ? EntryKind::kSize
                                                                               : EntryKind::kRecord;
}

void EncodeEntry(EntryKind kind, const IndexEntry& entry, const IndexEntry& last,
                 std::string* out) {
  Append((entry.start - last.start) / 8 << 1 | uint64_t{entry.makes_whole}, out);
  if (kind == EntryKind::kSize) {
    Append(entry.size.least, out);
    Append(entry.size.most == UINT32_MAX ? 0 : entry.size.most + 1, out);
  } else if (kind == EntryKind::kCommit) {
    Append(Fold(static_cast<int32_t>(entry.xid - last.xid)), out);
    Append(Fold(Difference(entry.time, last.time)), out);
  }
}

Status DecodeEntries(EntryKind kind, Lsn start, Bytes bytes, std::vector<IndexEntry>* out) {
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  const auto bad = [] { return MakeError(ErrorCode::kCorrupt, "it has an entry that cannot be"); };
  IndexEntry entry{.start = start};
  if (at == end) return bad();
  while (at != end) {
    uint64_t place, first = 0, second = 0;
    if (!Take(&at, end, &place)) return bad();
    if (kind != EntryKind::kRecord && (!Take(&at, end, &first) || !Take(&at, end, &second)))
      return bad();
    const uint64_t distance = place >> 1;
    if (distance > (~uint64_t{0} - entry.start.value) / 8) return bad();
    entry.start = entry.start + distance * 8;
    entry.makes_whole = (place & 1) != 0;
    if (kind == EntryKind::kSize) {
      constexpr uint64_t kMost = uint64_t{UINT32_MAX} + 1;
      if (second > kMost || first > kMost) return bad();
      entry.size = {first, second == 0 ? UINT32_MAX : second - 1};
    } else if (kind == EntryKind::kCommit) {
      entry.xid += static_cast<uint32_t>(Unfold(first));
      entry.time = static_cast<int64_t>(static_cast<uint64_t>(entry.time) +
                                        static_cast<uint64_t>(Unfold(second)));
    }
    out->push_back(entry);
  }
  return {};
}

}  // namespace neon_redo
