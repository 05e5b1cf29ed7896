// One line on a terminal's stderr that shows how far along the work is.
#ifndef NEON_REDO_CLI_PROGRESS_BAR_H_
#define NEON_REDO_CLI_PROGRESS_BAR_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/terminal_line.h"

namespace neon_redo::cli {

// "reading WAL      [####....]  50%, 81.2 MB/s, 0:12 left": seconds is the time since the phase was
// at `begin`. Without a rate when the phase does not count bytes or pages, and without the end while
// too little is known of it.
std::string ProgressText(const std::string& phase, uint64_t begin, uint64_t done, uint64_t total,
                         double seconds);

// As TerminalLine.
class ProgressBar {
 public:
  explicit ProgressBar(bool wanted) : line_(wanted) {}

  // Redraws at most ten times a second. total 0: not known.
  void Show(const char* phase, uint64_t done, uint64_t total);
  void Clear() { line_.Clear(); }

 private:
  TerminalLine line_;
  std::string phase_;
  uint64_t begin_ = 0;  // of the phase
  std::chrono::steady_clock::time_point began_{};
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PROGRESS_BAR_H_
