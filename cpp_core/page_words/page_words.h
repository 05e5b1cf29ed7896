// A page in words: its header, line pointers, tuples and special area as named fields with the bytes that
// each is read from. Names are those of pageinspect.
//
// Any 8192 bytes are a page here. What cannot be read as a part is left out, and a note says so; a tuple
// that lies over another one is such a part. So the words of a page are of bounded size.
#ifndef NEON_REDO_PAGE_WORDS_PAGE_WORDS_H_
#define NEON_REDO_PAGE_WORDS_PAGE_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

struct FlagWords {
  uint32_t value = 0;
  std::vector<std::string> names;  // of the bits that have one
  bool operator==(const FlagWords&) const = default;
};
struct HexBytes {
  std::vector<uint8_t> bytes;
  bool operator==(const HexBytes&) const = default;
};
using FieldValue =
    std::variant<int64_t, bool, std::string, std::vector<std::string>, FlagWords, HexBytes>;

struct PageField {
  std::string name;
  FieldValue value;
  uint32_t offset = 0;  // on the page, in bytes
  uint32_t length = 0;  // 0: it says what other fields say, too
};

struct PagePart {
  // Where parts stand in the order of print: what is of the page as a whole, entries by their numbers, the
  // special area.
  enum Section : uint8_t { kFront, kEntries, kBack };
  std::string kind;                // "header", "line pointer", "tuple", "special area"
  std::optional<uint32_t> number;  // of a line pointer, a transaction, a heap block
  Section section = kEntries;
  std::vector<PageField> fields{};
  std::string note{};  // what is wrong with it, or empty
  // Neighbours of one kind that say the same may be printed as one line.
  bool merges = false;

  std::string Name() const;  // "tuple 3"
};

struct PageWords {
  std::string type;  // "heap", "btree", "visibility map", "pg_xact", "new page"; "unknown"
  std::vector<PagePart> parts;
};

// page: kBlockSize bytes. key: a relation's block or an SLRU's. version: of the cluster.
PageWords DescribePage(const PageKey& key, const uint8_t* page, const pg::Version& version);

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_WORDS_PAGE_WORDS_H_
