#include "cpp_core/pg/page_name.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

namespace neon_redo {

namespace {

// OIDs that never change (catalog/pg_tablespace.dat).
constexpr uint32_t kDefaultTablespace = 1663;
constexpr uint32_t kGlobalTablespace = 1664;

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

// "16384", "16384_vm".
bool RelationAndFork(std::string_view text, uint32_t* rel, uint8_t* fork) {
  const size_t mark = text.find('_');
  *fork = kMainFork;
  if (mark != std::string_view::npos) {
    const std::string_view name = text.substr(mark + 1);
    while (*fork <= kMaxForkNumber && name != ForkName(*fork)) ++*fork;
    if (*fork == kMainFork || *fork > kMaxForkNumber) return false;
  }
  return Number(text.substr(0, mark), rel) && *rel != 0;
}

bool Relation(const Words& w, BlockTag* tag) {
  RelFileNode& rel = tag->rel;
  std::string_view file;
  if (w.size() == 3 && w[0] == "global") {
    rel.spc = kGlobalTablespace;
    rel.db = 0;
    file = w[1];
  } else if (w.size() == 4 && w[0] == "base") {
    rel.spc = kDefaultTablespace;
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
  return RelationAndFork(file, &rel.rel, &tag->fork) && Number(w.back(), &tag->block);
}

bool Slru(const Words& w, SlruBlock* block) {
  if (w.size() < 3) return false;
  if (w[0] == "pg_xact" && w.size() == 3) {
    block->kind = SlruKind::kClog;
  } else if (w[0] == "pg_commit_ts" && w.size() == 3) {
    block->kind = SlruKind::kCommitTs;
  } else if (w[0] == "pg_multixact" && w.size() == 4 && (w[1] == "offsets" || w[1] == "members")) {
    block->kind = w[1] == "offsets" ? SlruKind::kMultixactOffsets : SlruKind::kMultixactMembers;
  } else {
    return false;
  }
  return Number(w[w.size() - 2], &block->segment, 16) && Number(w.back(), &block->block) &&
         block->block < kSlruPagesPerSegment;
}

}  // namespace

Result<PageKey> ParsePageName(std::string_view text) {
  const Words words = Split(text);
  BlockTag tag;
  SlruBlock slru;
  if (Slru(words, &slru)) return PageKey::OfSlruBlock(slru);
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
