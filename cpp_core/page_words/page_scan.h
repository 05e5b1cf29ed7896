// Parts of a page in the making: what the files of this folder share.
#ifndef NEON_REDO_PAGE_WORDS_PAGE_SCAN_H_
#define NEON_REDO_PAGE_WORDS_PAGE_SCAN_H_

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "cpp_core/page_words/page_words.h"
#include "cpp_core/pg/flag_names.h"
#include "cpp_core/pg/index_page.h"
#include "cpp_core/pg/page.h"

namespace neon_redo {

// "(0,3)"
std::string TidText(uint32_t block, uint32_t offset);

// The names of those flags that are set.
std::vector<std::string> NamesOf(uint32_t value, std::span<const pg::FlagName> names);

// A tuple on the page: where it is, and the number of its line pointer.
struct Item {
  uint32_t number = 0;
  uint32_t at = 0, length = 0;
  bool is_dead = false;

  uint32_t end() const { return at + length; }
};

// Reads fields of a page into parts. The caller has checked that they lie in the page.
class PageScan {
 public:
  PageScan(const uint8_t* page, PageWords* out) : page_(page), view_(page), out_(*out) {}

  const uint8_t* page() const { return page_; }
  const PageView& view() const { return view_; }
  const uint8_t* At(size_t at) const { return page_ + at; }
  uint16_t Get16(size_t at) const { return pg::Get16(page_ + at); }
  uint32_t Get32(size_t at) const { return pg::Get32(page_ + at); }

  // The part that fields are added to from now on.
  PagePart& Begin(std::string kind, std::optional<uint32_t> number = {},
                  PagePart::Section section = PagePart::kEntries);
  void Note(std::string text) { out_.parts.back().note = std::move(text); }

  void Add(std::string name, FieldValue value, size_t at, size_t length) {
    out_.parts.back().fields.push_back({std::move(name), std::move(value),
                                        static_cast<uint32_t>(at), static_cast<uint32_t>(length)});
  }
  void AddNumber(std::string name, int64_t value, size_t at, size_t length) {
    Add(std::move(name), value, at, length);
  }
  void Add16(std::string name, size_t at) { AddNumber(std::move(name), Get16(at), at, 2); }
  void Add32(std::string name, size_t at) { AddNumber(std::move(name), Get32(at), at, 4); }
  // A block number; InvalidBlockNumber reads as "none".
  void AddBlock(std::string name, size_t at);
  void AddTid(std::string name, size_t at);
  void AddFlags(std::string name, size_t at, std::span<const pg::FlagName> names);
  // Nothing for no bytes.
  void AddBytes(std::string name, size_t at, size_t length);
  // Addresses one after the other.
  void AddTids(std::string name, size_t at, size_t count);
  // A metapage's fields, after the page header.
  void AddMeta(std::span<const pg::MetaField> fields);

  // Calls take(item) after adding the part of each line pointer that has a tuple on the page.
  template <typename Take>
  void ForEachItem(Take take) {
    const uint32_t count = view_.line_pointer_count();
    for (uint32_t number = 1; number <= count; number++) {
      Item item{.number = number};
      if (AddLinePointer(&item)) take(item);
    }
  }

 private:
  // Whether it has a tuple that can be read.
  bool AddLinePointer(Item* item);
  bool TakeBytes(uint32_t at, uint32_t length);

  const uint8_t* const page_;
  const PageView view_;
  PageWords& out_;
  std::bitset<kBlockSize> taken_;  // by tuples
};

// The parts of a page by what it is of, without the header. In heap_words.cpp:
void AddHeapTuples(PageScan* scan);
void AddSequence(PageScan* scan);
void AddVisibilityMap(PageScan* scan, uint32_t block);
// In btree_words.cpp and the like:
void AddBtree(PageScan* scan);
void AddHash(PageScan* scan);
void AddGin(PageScan* scan);
void AddGist(PageScan* scan);
void AddSpgist(PageScan* scan);
void AddBrin(PageScan* scan);
// In slru_words.cpp:
void AddSlru(PageScan* scan, const SlruBlock& block);

// Where the data of an index tuple lies on its page.
struct IndexData {
  uint32_t begin, end;
};
// Begins an item of an index, with its header: t_tid as it is, size and flags. Nothing, and a note, if it is no index
// tuple: its size does not fit.
std::optional<IndexData> BeginIndexTuple(PageScan* scan, const Item& item);

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_WORDS_PAGE_SCAN_H_
