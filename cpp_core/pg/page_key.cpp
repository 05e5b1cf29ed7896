#include "neon_redo/page_key.h"

#include <fmt/format.h>

namespace neon_redo {

namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

const char* SlruKindName(SlruKind kind) {
  switch (kind) {
    case SlruKind::kClog:
      return "clog";
    case SlruKind::kMultixactMembers:
      return "multixact_members";
    case SlruKind::kMultixactOffsets:
      return "multixact_offsets";
    case SlruKind::kCommitTs:
      return "commit_ts";
  }
  return "?";
}

Result<BlockTag> PageKey::ToBlock() const {
  if (field1 == kRelation && field4 != 0 && field5 <= kMaxForkNumber && field6 != kSizeBlock) {
    return BlockTag{{field2, field3, field4}, field5, field6};
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("key {} is not that of a relation's block", ToString()));
}

Result<SlruBlock> PageKey::ToSlruBlock() const {
  if (field1 == kSlru && field2 < kSlruKinds && field3 == kSlruPage && field5 == 0 &&
      field6 < kSlruPagesPerSegment) {
    return SlruBlock{static_cast<SlruKind>(field2), field4, field6};
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("key {} is not that of an SLRU block", ToString()));
}

void PageKey::Store(uint8_t* out) const {
  out[0] = field1;
  StoreBe32(out + 1, field2);
  StoreBe32(out + 5, field3);
  StoreBe32(out + 9, field4);
  out[13] = field5;
  StoreBe32(out + 14, field6);
}

PageKey PageKey::Load(const uint8_t* in) {
  return {in[0], LoadBe32(in + 1), LoadBe32(in + 5), LoadBe32(in + 9), in[13], LoadBe32(in + 14)};
}

std::string PageKey::ToString() const {
  return fmt::format("{:02X}{:08X}{:08X}{:08X}{:02X}{:08X}", field1, field2, field3, field4, field5,
                     field6);
}

Result<PageKey> PageKey::Parse(std::string_view text) {
  uint8_t bytes[kSize];
  bool fine = text.size() == 2 * kSize;
  for (size_t i = 0; fine && i < kSize; ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    fine = high >= 0 && low >= 0;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (fine) return Load(bytes);
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" is not a page key: 36 hexadecimal digits are needed", text));
}

std::string PageKey::Describe() const {
  if (const Result<BlockTag> tag = ToBlock()) {
    return fmt::format("block {} of {}/{}/{} ({} fork)", tag->block, tag->rel.spc, tag->rel.db,
                       tag->rel.rel, ForkName(tag->fork));
  }
  if (const Result<SlruBlock> slru = ToSlruBlock()) {
    return fmt::format("block {} of {} segment {:04X}", slru->block, SlruKindName(slru->kind),
                       slru->segment);
  }
  return "key " + ToString();
}

}  // namespace neon_redo
