#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace neon_redo::cli {

void ProgressBar::Show(const char* phase, uint64_t done, uint64_t total) {
  if (!line_.Due(std::chrono::milliseconds(100))) return;
  constexpr int kWidth = 40;
  const double part =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int filled = static_cast<int>(part * kWidth);
  line_.Show(fmt::format("{:<16} [{}{}] {:3.0f}%", phase, std::string(filled, '#'),
                         std::string(kWidth - filled, '.'), 100 * part));
}

}  // namespace neon_redo::cli
