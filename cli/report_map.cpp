#include "cli/report_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/report_text.h"

namespace neon_redo::cli {

namespace {

constexpr uint64_t kColumns = 64, kMostRows = 16;
constexpr uint64_t kSquare = 14, kMargin = 76;  // of the picture, in pixels

constexpr DamageStyle kStyles[] = {
    {"missing file", 'M', "#5f6368",
     "The file does not exist, although WAL or the backup demands it."},
    {"short file", 'S', "#8a5a2b", "The file ends before the block."},
    {"long file", 'L', "#0f766e", "The file has used pages after the end that WAL leaves."},
    {"extra file", 'E', "#4d7c0f", "The file exists, but WAL has dropped it or never had it."},
    {"unreadable", 'U', "#334155", "The file or directory could not be read."},
    {"zeroed", 'Z', "#4338ca", "The page has only zeroes."},
    {"misplaced", 'P', "#7c3aed", "The page belongs to another block."},
    {"torn", 'T', "#a21caf", "The page was written in part."},
    {"checksum", 'C', "#c81e1e", "The checksum does not fit the content."},
    {"stale", 'O', "#b45309", "The page is older than WAL requires: a write was lost."},
    {"future", 'F', "#1d4ed8", "The page is newer than its last record in WAL."},
    {"content", 'X', "#be185d", "Bytes differ, although the LSN is the right one."},
    {"header", 'H', "#9f1239", "The page has a header that no page can have."},
    {"could not be rebuilt", 'N', "#57534e", "The records of WAL could not be applied."},
    {"differs from the image", 'D', "#0369a1", "The rebuilt page differs from the image in WAL."},
};
constexpr DamageStyle kUnknownStyle = {"", '?', "#57534e", ""};

// Squares of a picture, each for some blocks.
struct Grid {
  uint64_t first, blocks, per_square;

  explicit Grid(const DamagedFile& file)
      : first(file.first_block), blocks(file.blocks.value_or(0)) {
    for (const DamagedRange& range : file.ranges)
      if (range.last >= first) blocks = std::max<uint64_t>(blocks, range.last - first + 1);
    blocks = std::max<uint64_t>(blocks, 1);
    per_square = (blocks + kColumns * kMostRows - 1) / (kColumns * kMostRows);
  }
  uint64_t squares() const { return (blocks + per_square - 1) / per_square; }
  uint64_t columns() const { return std::min(squares(), kColumns); }
  uint64_t rows() const { return (squares() + kColumns - 1) / kColumns; }
  uint64_t SquareOf(uint64_t block) const { return (block - std::min(block, first)) / per_square; }
};

// Squares side by side in one row.
std::string Squares(uint64_t from, uint64_t count, const std::string& attributes) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}/>",
                     kMargin + from % kColumns * kSquare, from / kColumns * kSquare,
                     count * kSquare - 1, kSquare - 1, attributes);
}

// The squares from..last of one kind: a bar in each row, and a letter in each square.
std::string DamagedSquares(uint64_t from, uint64_t last, const DamageStyle& style) {
  std::string out;
  while (from <= last) {
    const uint64_t count = std::min(last - from, kColumns - 1 - from % kColumns) + 1;
    out += Squares(from, count, fmt::format("fill=\"{}\"", style.colour));
    for (uint64_t at = from; at < from + count; at++)
      out += fmt::format("<text class=\"l\" x=\"{}\" y=\"{}\">{}</text>",
                         kMargin + at % kColumns * kSquare + kSquare / 2 - 1,
                         at / kColumns * kSquare + kSquare - 4, style.letter);
    from += count;
  }
  return out;
}

}  // namespace

const DamageStyle& StyleOf(const std::string& kind) {
  const auto* const found = std::find_if(std::begin(kStyles), std::end(kStyles),
                                         [&](const DamageStyle& s) { return kind == s.kind; });
  return found == std::end(kStyles) ? kUnknownStyle : *found;
}

std::string DamageSwatch(const std::string& kind) {
  const DamageStyle& style = StyleOf(kind);
  return fmt::format("<span class=\"swatch\" style=\"background:{}\">{}</span> {}", style.colour,
                     style.letter, HtmlText(kind));
}

std::string DamageMap(const DamagedFile& file) {
  if (file.ranges.empty()) return {};
  const Grid grid(file);
  std::string title = fmt::format("Map of the damaged blocks of {}: ", HtmlText(file.file));
  std::string out;
  for (uint64_t row = 0; row < grid.rows(); row++) {
    const uint64_t from = row * kColumns, count = std::min(kColumns, grid.squares() - from);
    out += fmt::format("<text class=\"n\" x=\"{}\" y=\"{}\">{}</text>", kMargin - 6,
                       row * kSquare + kSquare - 3, grid.first + from * grid.per_square);
    out += Squares(from, count, "class=\"u\"");
  }
  for (const DamagedRange& range : file.ranges) {
    const DamageStyle& style = StyleOf(range.kind);
    out += fmt::format(
        "<g><title>{}: {}</title>{}</g>", BlocksText(range.first, range.last), HtmlText(range.kind),
        DamagedSquares(grid.SquareOf(range.first), grid.SquareOf(range.last), style));
  }
  // Lines between the squares, over all of them.
  for (uint64_t column = 1; column < grid.columns(); column++)
    out += fmt::format("<path class=\"g\" d=\"M{0} 0V{1}\"/>", kMargin + column * kSquare - 1,
                       grid.rows() * kSquare);
  title += fmt::format("{} {}", file.ranges.size(), file.ranges.size() == 1 ? "range" : "ranges");
  const uint64_t width = kMargin + grid.columns() * kSquare, height = grid.rows() * kSquare;
  return fmt::format(
      "<svg class=\"map\" role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" "
      "viewBox=\"0 0 {} {}\">{}</svg>"
      "<p class=\"hint\">{}</p>",
      title, width, height, width, height, out,
      grid.per_square == 1
          ? "Each square is a block of 8 kB; the numbers are those of the first block in a row."
          : fmt::format("Each square stands for {} blocks of 8 kB and has the letter of the last "
                        "damaged range in it; the numbers are those of the first block in a row.",
                        grid.per_square));
}

}  // namespace neon_redo::cli
