// Parts are compared by their names, and their fields by theirs. A byte that differs is explained if a field
// that has it is among the differences, or if a field that only moved has or had it. All other bytes that
// differ are reported as bytes.
#include "cpp_core/page_words/page_diff.h"

#include <algorithm>
#include <bitset>
#include <map>
#include <tuple>

#include "cpp_core/pg/page.h"

namespace neon_redo {

namespace {

constexpr uint32_t kMostEqual = 4;  // equal bytes between two that differ and are one range

using ByteSet = std::bitset<kBlockSize>;

// Front, entries by number, back; within these in the order of the page.
struct PartOrder {
  uint8_t section;
  uint32_t number;
  size_t kind;
  auto operator<=>(const PartOrder&) const = default;
};
struct PartPair {
  const PagePart* before = nullptr;
  const PagePart* after = nullptr;
};

using PartPairs = std::map<PartOrder, PartPair>;

PartPairs PairUp(const PageWords& before, const PageWords& after) {
  std::vector<std::string> kinds;  // few
  const auto order = [&](const PagePart& part) {
    auto kind = std::find(kinds.begin(), kinds.end(), part.kind);
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), part.kind);
    return PartOrder{part.section, part.number.value_or(0),
                     static_cast<size_t>(kind - kinds.begin())};
  };
  PartPairs out;
  for (const PagePart& part : before.parts) out[order(part)].before = &part;
  for (const PagePart& part : after.parts) out[order(part)].after = &part;
  return out;
}

void Explain(const PageField& field, ByteSet* bytes) {
  for (uint32_t i = 0; i < field.length; i++) bytes->set(field.offset + i);
}

const PageField* Find(const PagePart& part, const std::string& name) {
  const auto found = std::find_if(part.fields.begin(), part.fields.end(),
                                  [&](const PageField& field) { return field.name == name; });
  return found == part.fields.end() ? nullptr : &*found;
}

bool IsChecksum(const PageField& field) {
  return field.offset == kPageChecksumAt && field.name == "pd_checksum";
}

// The part's fields that the other part has not, or has with another value.
std::vector<PageField> FieldsThatDiffer(const PagePart& part, const PagePart* other,
                                        ByteSet* explained) {
  std::vector<PageField> out;
  for (const PageField& field : part.fields) {
    if (IsChecksum(field)) continue;
    const PageField* same = other ? Find(*other, field.name) : nullptr;
    if (same && same->value == field.value) continue;
    out.push_back(field);
    Explain(field, explained);
  }
  return out;
}

bool HasOnlyMoved(const PagePart& now, const PartDifference& part) {
  const PageField* state = Find(now, "lp_flags");
  return state && state->value == FieldValue("normal") && part.before.size() == 1 &&
         part.after.size() == 1 && part.after[0].name == "lp_off" &&
         part.note_before == part.note_after;
}

void AddPart(const PartPair& pair, ByteSet* explained, PageDiff* out) {
  PartDifference part{.name = (pair.after ? pair.after : pair.before)->Name(),
                      .is_in_before = pair.before != nullptr,
                      .is_in_after = pair.after != nullptr};
  if (pair.before) {
    part.before = FieldsThatDiffer(*pair.before, pair.after, explained);
    part.note_before = pair.before->note;
  }
  if (pair.after) {
    part.after = FieldsThatDiffer(*pair.after, pair.before, explained);
    part.note_after = pair.after->note;
  }
  const bool in_both = pair.before != nullptr && pair.after != nullptr;
  if (in_both && HasOnlyMoved(*pair.after, part)) part.moved = pair.after->number;
  if (in_both && part.before.empty() && part.after.empty() && part.note_before == part.note_after)
    return;
  out->parts.push_back(std::move(part));
}

void AddType(const PageWords& before, const PageWords& after, PageDiff* out) {
  if (before.type == after.type) return;
  out->parts.push_back(
      {"page", true, true, {{"type", before.type, 0, 0}}, {{"type", after.type, 0, 0}}, {}, {}});
}

// The fields that moved without a change, as tuples do when their page is compacted: their bytes are
// explained where they are and where they were, whatever is there now. Else each pruning would list what
// it left in the free space.
void ExplainMoves(const PartPair& pair, ByteSet* explained) {
  if (!pair.before || !pair.after) return;
  for (const PageField& field : pair.before->fields) {
    const PageField* same = Find(*pair.after, field.name);
    if (!same || same->value != field.value || same->offset == field.offset) continue;
    Explain(field, explained);
    Explain(*same, explained);
  }
}

std::vector<ByteDifference> Ranges(const ByteSet& differ, const uint8_t* before,
                                   const uint8_t* after, bool has_header) {
  std::vector<ByteDifference> out;
  const PageView view(after);
  for (uint32_t at = 0; at < kBlockSize; at++) {
    if (!differ[at]) continue;
    uint32_t end = at + 1;
    for (uint32_t next = end; next < kBlockSize && next <= end + kMostEqual; next++)
      if (differ[next]) end = next + 1;
    out.push_back(
        {at,
         {before + at, before + end},
         {after + at, after + end},
         has_header && view.has_valid_space() && at >= view.lower() && end <= view.upper()});
    at = end - 1;
  }
  return out;
}

}  // namespace

PageDiff ComparePages(const PageKey& key, const uint8_t* before, const uint8_t* after,
                      const pg::Version& version) {
  const bool has_header = !key.ToSlruBlock();
  ByteSet differ;
  for (uint32_t i = 0; i < kBlockSize; i++) differ[i] = before[i] != after[i];
  if (has_header) differ[kPageChecksumAt] = differ[kPageChecksumAt + 1] = false;
  PageDiff out;
  if (differ.none()) return out;
  const PageWords words_before = DescribePage(key, before, version);
  const PageWords words_after = DescribePage(key, after, version);
  ByteSet explained;
  AddType(words_before, words_after, &out);
  const PartPairs pairs = PairUp(words_before, words_after);
  for (const auto& [order, pair] : pairs) AddPart(pair, &explained, &out);
  // Only if some difference says so: a line pointer's offset.
  if (!out.parts.empty())
    for (const auto& [order, pair] : pairs) ExplainMoves(pair, &explained);
  out.bytes = Ranges(differ & ~explained, before, after, has_header);
  return out;
}

}  // namespace neon_redo
