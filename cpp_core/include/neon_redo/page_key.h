// The page server's key: 18 bytes that name one page of a tenant, byte-compatible with Neon's.
//
//   relation block:  00 | tablespace | database | relation | fork | block
//   SLRU block:      01 | kind       | 1        | segment  | 0    | block within the segment
//
//   relation's size: 00 | tablespace | database | relation | fork | ffffffff
//   relation map:    00 | tablespace | database | 0        | 0    | 0
//
// Field 1 and 5 have one byte, the others four, big-endian. Other values of the first field, and 0
// in the third field of an SLRU key, name directories and metadata, which redo does not use.
//
// Keys and blocks are values. All functions are thread-safe.
#ifndef NEON_REDO_PAGE_KEY_H_
#define NEON_REDO_PAGE_KEY_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The SLRUs, numbered as in the key. The page server keeps the first three; commit timestamps are
// an addition.
enum class SlruKind : uint8_t {
  kClog = 0,              // pg_xact
  kMultixactMembers = 1,  // pg_multixact/members
  kMultixactOffsets = 2,  // pg_multixact/offsets
  kCommitTs = 3,          // pg_commit_ts
};
inline constexpr int kSlruKinds = 4;

// "clog", "multixact_members", "multixact_offsets", "commit_ts".
const char* SlruKindName(SlruKind kind);

inline constexpr uint32_t kSlruPagesPerSegment = 32;  // SLRU_PAGES_PER_SEGMENT in access/slru.h

// One page of an SLRU; block counts from the start of the segment.
struct SlruBlock {
  SlruKind kind = SlruKind::kClog;
  uint32_t segment = 0;
  uint32_t block = 0;
  constexpr auto operator<=>(const SlruBlock&) const = default;
};

// Ordered field by field, which is the order of its bytes.
struct PageKey {
  uint8_t field1 = 0;
  uint32_t field2 = 0;
  uint32_t field3 = 0;
  uint32_t field4 = 0;
  uint8_t field5 = 0;
  uint32_t field6 = 0;

  static constexpr size_t kSize = 18;
  static constexpr uint8_t kRelation = 0x00;           // field1
  static constexpr uint8_t kSlru = 0x01;               // field1
  static constexpr uint32_t kSlruPage = 1;             // field3; 0 is the directory of segments
  static constexpr uint32_t kSizeBlock = 0xffffffffu;  // field6 of a relation's size

  constexpr auto operator<=>(const PageKey&) const = default;

  static PageKey OfBlock(const BlockTag& tag) {
    return {kRelation, tag.rel.spc, tag.rel.db, tag.rel.rel, tag.fork, tag.block};
  }
  static PageKey OfSlruBlock(const SlruBlock& block) {
    return {kSlru, static_cast<uint32_t>(block.kind), kSlruPage, block.segment, 0, block.block};
  }
  // These name no page; a page server keeps sizes and relation maps under them.
  static PageKey OfRelationSize(const RelFileNode& rel, uint8_t fork) {
    return {kRelation, rel.spc, rel.db, rel.rel, fork, kSizeBlock};
  }
  static PageKey OfRelationMap(uint32_t tablespace, uint32_t database) {
    return {kRelation, tablespace, database, 0, 0, 0};
  }

  // The block that the key names; kInvalidArgument when it names something else.
  Result<BlockTag> ToBlock() const;
  Result<SlruBlock> ToSlruBlock() const;

  // Writes kSize bytes.
  void Store(uint8_t* out) const;
  // Reads kSize bytes. Any value is a key.
  static PageKey Load(const uint8_t* in);

  // 36 hexadecimal digits, upper-case, as the page server prints keys.
  std::string ToString() const;
  // Exactly that, in either case; kInvalidArgument otherwise.
  static Result<PageKey> Parse(std::string_view text);

  // For messages: "block 7 of 1663/5/16384 (main fork)", "block 3 of clog segment 000A", or the
  // digits when it is neither.
  std::string Describe() const;
};

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_KEY_H_
