#include "cpp_core/verify/subjects.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

const char* EntriesName(SlruKind kind) {
  switch (kind) {
    case SlruKind::kClog:
      return "transactions";
    case SlruKind::kMultixactMembers:
      return "multixact members";
    case SlruKind::kMultixactOffsets:
      return "multixacts";
    case SlruKind::kCommitTs:
      return "commit timestamps of transactions";
  }
  return "entries";
}

// The entries of a page of an SLRU, or of a whole segment. Empty: it is no file of an SLRU.
std::string EntriesOf(std::string_view file, uint32_t block) {
  for (int number = 0; number < kSlruKinds; number++) {
    const auto kind = static_cast<SlruKind>(number);
    const std::string below = fmt::format("{}/", SlruDirectory(kind));
    if (!file.starts_with(below)) continue;
    const auto segment = ParseSlruSegment(file.substr(below.size()));
    if (!segment) return "";
    const bool is_page = block < kSlruPagesPerSegment;
    const uint64_t pages = is_page ? 1 : kSlruPagesPerSegment;
    const uint64_t page = uint64_t{*segment} * kSlruPagesPerSegment + (is_page ? block : 0);
    const uint64_t entries = SlruEntriesPerPage(kind);
    return fmt::format("{} {} to {}", EntriesName(kind), page * entries,
                       (page + pages) * entries - 1);
  }
  return "";
}

}  // namespace

void NameSubjects(Catalog* catalog, VerifyResult* result) {
  for (auto* mismatches : {&result->mismatches, &result->notes})
    for (Mismatch& mismatch : *mismatches)
      mismatch.subject = mismatch.tag.rel.rel != 0 ? catalog->NameOf(mismatch.tag.rel)
                                                   : EntriesOf(mismatch.file, mismatch.tag.block);
}

}  // namespace neon_redo
