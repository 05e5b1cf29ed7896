#include "cli/terminal_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace neon_redo::cli {

TerminalLine::TerminalLine(bool wanted) : active_(wanted && isatty(STDERR_FILENO)) {}

bool TerminalLine::Due(std::chrono::milliseconds interval) {
  const auto now = std::chrono::steady_clock::now();
  if (!active_ || now < next_) return false;
  next_ = now + interval;
  return true;
}

void TerminalLine::Show(const std::string& text) {
  if (!active_) return;
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

void TerminalLine::Clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace neon_redo::cli
