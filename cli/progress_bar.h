// One line on a terminal's stderr that shows how far along the work is.
#ifndef NEON_REDO_CLI_PROGRESS_BAR_H_
#define NEON_REDO_CLI_PROGRESS_BAR_H_

#include <chrono>
#include <cstdint>

namespace neon_redo::cli {

// Draws nothing when stderr is not a terminal. Leaves an empty line behind. Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(bool wanted);
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Redraws at most ten times a second. total 0: not known.
  void Show(const char* phase, uint64_t done, uint64_t total);
  void Clear();

 private:
  const bool active_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PROGRESS_BAR_H_
