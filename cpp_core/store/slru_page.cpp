#include "cpp_core/store/slru_page.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

void SetCommitTimestamps(const Change& change, uint8_t* page) {
  const auto origin = static_cast<uint16_t>(change.number2);
  if (change.number != 0) SetCommitTimestamp(page, change.number, change.time, origin);
  for (size_t at = 0; at + 4 <= change.payload.size(); at += 4)
    SetCommitTimestamp(page, LoadNative<uint32_t>(change.payload.data() + at), change.time, origin);
}

}  // namespace

Result<bool> ReadSlruPage(const BaseBackup& files, const SlruBlock& block, uint8_t* page) {
  const auto file = files.OpenFile(SlruFile(block.kind, block.segment));
  if (!file && file.error().code == ErrorCode::kNotFound) return false;
  if (!file) return tl::unexpected(file.error());
  ASSIGN_OR_RETURN(const size_t got,
                   (*file)->Read(uint64_t{block.block} * kBlockSize, {page, kBlockSize}));
  return got == kBlockSize;
}

bool RemovesSlruSegment(const Change& change, SlruKind kind, uint32_t segment) {
  switch (change.kind) {
    case ChangeKind::kTruncateSlru:
      return SlruSegmentIsGone(kind, segment, change.number);
    case ChangeKind::kDropSlruSegments: {
      const uint32_t segments = LastSlruSegment(kind) + 1;
      const auto from_first = [&](uint32_t n) { return (n + segments - change.number) % segments; };
      return from_first(segment) < from_first(change.number2);
    }
    case ChangeKind::kDropSlru:
      return true;
    default:
      return false;
  }
}

Status ApplySlruChange(const Change& change, Lsn lsn, std::vector<uint8_t>* page) {
  switch (change.kind) {
    case ChangeKind::kZeroSlruPage:
      page->assign(kBlockSize, 0);
      return {};
    case ChangeKind::kCommitTs:
      SetCommitTimestamps(change, page->data());
      return {};
    default: {
      ASSIGN_OR_RETURN(const auto native, ToPageServerRecord(change));
      return ApplyPageServerRecord(native, lsn, change.key, page);
    }
  }
}

std::vector<uint32_t> SlruSegments(const BaseFiles& list, SlruKind kind) {
  const std::string below = fmt::format("{}/", SlruDirectory(kind));
  std::vector<uint32_t> out;
  for (auto file = list.files.lower_bound(below);
       file != list.files.end() && file->first.starts_with(below); ++file)
    if (const auto segment = ParseSlruSegment(std::string_view(file->first).substr(below.size())))
      out.push_back(*segment);
  return out;
}

bool HasCommitTimestamps(const BaseFiles& list) {
  return !SlruSegments(list, SlruKind::kCommitTs).empty();
}

}  // namespace neon_redo
