// The words of a page, and what differs, as lines of text.
#ifndef NEON_REDO_PAGE_WORDS_PAGE_TEXT_H_
#define NEON_REDO_PAGE_WORDS_PAGE_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cpp_core/page_words/page_diff.h"
#include "cpp_core/page_words/page_words.h"

namespace neon_redo {

// "\x0102". With limit, at most so many bytes, and then how many more there are.
std::string HexText(Bytes bytes, size_t limit = SIZE_MAX);

// "t_xmin 751", "t_infomask 0x0802 (HEAP_HASVARWIDTH HEAP_XMAX_INVALID)", "dead f".
std::string FieldText(const PageField& field);

// A line for each part. Long data are cut off.
std::string PageText(const PageWords& words);

// Lines that begin with "- " and "+ ", as of diff. Of long data, the bytes around the first that differs.
std::string DiffText(const PageDiff& diff);

// "3, 7-9": numbers in ascending order.
std::string RunsText(const std::vector<uint32_t>& numbers);

// All bytes in lines of up to 16, each with the fields that begin there.
std::string HexDump(const PageWords& words, const uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_PAGE_WORDS_PAGE_TEXT_H_
