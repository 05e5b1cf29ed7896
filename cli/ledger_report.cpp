#include "cli/ledger_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/grouped.h"
#include "cpp_core/verify/ledger_check.h"

namespace neon_redo::cli {

namespace {

// After that long, the report says that damage on disk may have come without a trace.
constexpr int64_t kOldDays = 30, kSecondsOfDay = 86'400;

std::string Count(uint64_t n, const char* one) {
  return fmt::format("{} {}{}", Grouped(n), one, n == 1 ? "" : "s");
}

}  // namespace

std::string ReliedOn(const LedgerUse& use) {
  return fmt::format("{} of the backup and {} of WAL, proven on {} up to {}",
                     Count(use.files, "file"), Count(use.segments, "segment"),
                     LedgerTime(use.proven_at), use.proven_to.ToString());
}

std::vector<std::string> LedgerSentences(const LedgerUse& use, int64_t now) {
  std::vector<std::string> out;
  if (use.relied) {
    out.push_back(fmt::format("This run relied on {}.", ReliedOn(use)));
    if (use.files_read_again + use.segments_read_again > 0)
      out.push_back(fmt::format(
          "{} and {} of them had changed on disk: they were read again, and have "
          "the same content.",
          Count(use.files_read_again, "file"), Count(use.segments_read_again, "segment")));
    out.push_back(fmt::format("All was last read on {}.", LedgerTime(use.read_all_at)));
    if (const int64_t days = (now - use.read_all_at) / kSecondsOfDay; days >= kOldDays)
      out.push_back(fmt::format(
          "That was {} days ago: give --full, since only reading shows bytes that a disk "
          "has changed.",
          days));
  } else {
    out.push_back(fmt::format("All was read: {}.", use.why_all));
  }
  if (!use.written)
    out.push_back(use.why_not_written.empty()
                      ? "There is no ledger now, and the next run reads all."
                      : fmt::format("The ledger was not written: {}.", use.why_not_written));
  return out;
}

nlohmann::ordered_json LedgerJson(const std::string& file, const LedgerUse& use) {
  using Json = nlohmann::ordered_json;
  if (file.empty()) return nullptr;
  const auto time = [](int64_t at) { return at > 0 ? Json(LedgerTime(at)) : Json(nullptr); };
  return {
      {"file", file},
      {"relied", use.relied},
      {"why_all", use.relied ? Json(nullptr) : Json(use.why_all)},
      {"files", use.files},
      {"files_read_again", use.files_read_again},
      {"segments", use.segments},
      {"segments_read_again", use.segments_read_again},
      {"proven_to_lsn", use.relied ? Json(use.proven_to.ToString()) : Json(nullptr)},
      {"proven_at", time(use.proven_at)},
      {"read_all_at", time(use.read_all_at)},
      {"written", use.written},
      {"why_not_written", use.why_not_written.empty() ? Json(nullptr) : Json(use.why_not_written)}};
}

}  // namespace neon_redo::cli
