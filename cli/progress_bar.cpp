#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace neon_redo::cli {

namespace {

std::string Rate(const std::string& phase, double per_second) {
  if (phase.starts_with("reading WAL")) return fmt::format(", {:.1f} MB/s", per_second / 1e6);
  if (phase.ends_with(" pages")) return fmt::format(", {:.0f} pages/s", per_second);
  return "";
}

}  // namespace

std::string ProgressText(const std::string& phase, uint64_t begin, uint64_t done, uint64_t total,
                         double seconds) {
  constexpr int kWidth = 40;
  const double part =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int filled = static_cast<int>(part * kWidth);
  std::string out = fmt::format("{:<16} [{}{}] {:3.0f}%", phase, std::string(filled, '#'),
                                std::string(kWidth - filled, '.'), 100 * part);
  if (seconds < 1 || done <= begin) return out;
  const double per_second = static_cast<double>(done - begin) / seconds;
  out += Rate(phase, per_second);
  if (total < done) return out;
  const auto left =
      static_cast<uint64_t>(std::llround(static_cast<double>(total - done) / per_second));
  if (left >= 3600)
    out += fmt::format(", {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
  else
    out += fmt::format(", {}:{:02} left", left / 60, left % 60);
  return out;
}

void ProgressBar::Show(const char* phase, uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (phase_ != phase) {
    phase_ = phase;
    begin_ = done;
    began_ = now;
  }
  if (!line_.Due(std::chrono::milliseconds(100))) return;
  const std::chrono::duration<double> passed = now - began_;
  line_.Show(ProgressText(phase_, begin_, done, total, passed.count()));
}

}  // namespace neon_redo::cli
