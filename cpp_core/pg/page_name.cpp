#include "cpp_core/pg/page_name.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

using Words = std::vector<std::string_view>;

Words Split(std::string_view text) {
  Words words;
  for (;;) {
    const size_t slash = text.find('/');
    words.push_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return words;
    text.remove_prefix(slash + 1);
  }
}

bool Number(std::string_view text, uint32_t* out, int base = 10) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *out, base);
  return !text.empty() && error == std::errc() && stop == text.data() + text.size();
}

bool Relation(const Words& w, BlockTag* tag) {
  RelFileNode& rel = tag->rel;
  std::string_view file;
  if (w.size() == 3 && w[0] == "global") {
    rel.spc = pg::kGlobalTablespace;
    rel.db = 0;
    file = w[1];
  } else if (w.size() == 4 && w[0] == "base") {
    rel.spc = pg::kDefaultTablespace;
    if (!Number(w[1], &rel.db)) return false;
    file = w[2];
  } else if (w.size() == 6 && w[0] == "pg_tblspc") {
    if (!Number(w[1], &rel.spc) || !Number(w[3], &rel.db)) return false;
    file = w[4];
  } else if (w.size() == 4) {
    if (!Number(w[0], &rel.spc) || !Number(w[1], &rel.db)) return false;
    file = w[2];
  } else {
    return false;
  }
  // The block counts over all segments, so the file is the fork's first.
  const auto name = pg::ParseRelationFileName(file);
  if (!name || name->segment != 0) return false;
  rel.rel = name->rel;
  tag->fork = name->fork;
  return Number(w.back(), &tag->block);
}

// The text up to the last two words is an SLRU's directory.
bool Slru(std::string_view text, const Words& w, SlruBlock* block) {
  if (w.size() < 3) return false;
  const size_t tail = w[w.size() - 2].size() + w.back().size() + 2;
  const std::string_view directory = text.substr(0, text.size() - tail);
  for (int number = 0; number < kSlruKinds; number++) {
    block->kind = static_cast<SlruKind>(number);
    if (directory != SlruDirectory(block->kind)) continue;
    return Number(w[w.size() - 2], &block->segment, 16) && Number(w.back(), &block->block) &&
           block->block < kSlruPagesPerSegment;
  }
  return false;
}

}  // namespace

Result<PageKey> ParsePageName(std::string_view text) {
  const Words words = Split(text);
  BlockTag tag;
  SlruBlock slru;
  if (Slru(text, words, &slru)) return PageKey::OfSlruBlock(slru);
  if (Relation(words, &tag) && PageKey::OfBlock(tag).ToBlock()) return PageKey::OfBlock(tag);
  if (words.size() == 1) {
    const auto key = PageKey::Parse(text);
    if (key && (key->ToBlock() || key->ToSlruBlock())) return key;
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" is not the name of a page: expected a relation's file and a "
                               "block, as base/5/16384/7, base/5/16384_vm/0 or 1663/5/16384/7, or "
                               "a file and a block of pg_xact, pg_multixact/offsets, "
                               "pg_multixact/members or pg_commit_ts, as pg_xact/0000/3",
                               text));
}

}  // namespace neon_redo
