// One line on a terminal's stderr that shows how far along the work is.
#ifndef NEON_REDO_CLI_PROGRESS_BAR_H_
#define NEON_REDO_CLI_PROGRESS_BAR_H_

#include <cstdint>

#include "cli/terminal_line.h"

namespace neon_redo::cli {

// As TerminalLine.
class ProgressBar {
 public:
  explicit ProgressBar(bool wanted) : line_(wanted) {}

  // Redraws at most ten times a second. total 0: not known.
  void Show(const char* phase, uint64_t done, uint64_t total);
  void Clear() { line_.Clear(); }

 private:
  TerminalLine line_;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PROGRESS_BAR_H_
