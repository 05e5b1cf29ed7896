// What is different between two states of a page.
#ifndef NEON_REDO_PAGE_WORDS_PAGE_DIFF_H_
#define NEON_REDO_PAGE_WORDS_PAGE_DIFF_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/page_words/page_words.h"

namespace neon_redo {

// A part that is not the same. Of a part that both have, only the fields that differ.
struct PartDifference {
  std::string name;
  bool is_in_before = false, is_in_after = false;
  std::vector<PageField> before{}, after{};
  std::string note_before{}, note_after{};
  // Of a line pointer with this number: its tuple is elsewhere on the page, and nothing else differs.
  std::optional<uint32_t> moved{};
};
// Bytes that differ, that no field names, and where no tuple has moved from.
struct ByteDifference {
  uint32_t offset = 0;
  std::vector<uint8_t> before, after;  // of one length
  bool in_free_space = false;          // of the page after
};

struct PageDiff {
  std::vector<PartDifference> parts;
  std::vector<ByteDifference> bytes;
  bool empty() const { return parts.empty() && bytes.empty(); }
};

// Both of kBlockSize bytes, of one key. The checksum is not compared: WAL does not have it. The result is
// empty exactly if all other bytes are equal.
PageDiff ComparePages(const PageKey& key, const uint8_t* before, const uint8_t* after,
                      const pg::Version& version);

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_WORDS_PAGE_DIFF_H_
