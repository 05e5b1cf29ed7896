// One line on a terminal's stderr that is written over while the work goes on.
#ifndef NEON_REDO_CLI_TERMINAL_LINE_H_
#define NEON_REDO_CLI_TERMINAL_LINE_H_

#include <chrono>
#include <string>

namespace neon_redo::cli {

// Writes nothing when stderr is not a terminal. Leaves an empty line behind. Not thread-safe.
class TerminalLine {
 public:
  explicit TerminalLine(bool wanted);
  ~TerminalLine() { Clear(); }
  TerminalLine(const TerminalLine&) = delete;
  TerminalLine& operator=(const TerminalLine&) = delete;

  // Whether it is time to Show again: true at most once an interval, and on a terminal only.
  bool Due(std::chrono::milliseconds interval);
  void Show(const std::string& text);
  // Before another message goes to stderr.
  void Clear();

 private:
  const bool active_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_TERMINAL_LINE_H_
