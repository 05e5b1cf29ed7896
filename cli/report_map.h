// The map of a damaged file: an inline SVG with a square for each block, or for as many blocks each as make
// it fit a page. A letter stands for each kind of damage, so that colours are not needed.
#ifndef NEON_REDO_CLI_REPORT_MAP_H_
#define NEON_REDO_CLI_REPORT_MAP_H_

#include <string>

#include "cli/report_damage.h"

namespace neon_redo::cli {

struct DamageStyle {
  const char* kind;  // DamageKind
  char letter;
  const char* colour;   // of CSS, on which white letters can be read
  const char* meaning;  // in a sentence
};
// Never fails: an unknown kind has a style of its own.
const DamageStyle& StyleOf(const std::string& kind);
// A square with the letter, in the text.
std::string DamageSwatch(const std::string& kind);

// Empty: no block of the file is damaged.
std::string DamageMap(const DamagedFile& file);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_MAP_H_
