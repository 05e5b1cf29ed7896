#include "cpp_core/pg/version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <charconv>
#include <vector>

#include "cpp_core/pg/tested_version.h"
#include "neon_redo/version.h"

namespace neon_redo::pg {

namespace {
std::atomic<bool> untested_are_allowed = false;
}

Status CheckTested(const Version& version, const std::string& what) {
  if (version.is_tested || untested_are_allowed) return {};
  return MakeError(
      ErrorCode::kUnsupported,
      fmt::format("{} is of PostgreSQL {}, which this program was not tested with; give "
                  "--untested-version to read it all the same",
                  what, version.major));
}

Status CheckComplete(const Version& version, const std::string& what) {
  if (version.is_complete) return {};
  return MakeError(
      ErrorCode::kUnsupported,
      fmt::format("{} is of PostgreSQL {}, of which only the pages in WAL are rebuilt: "
                  "verify --images",
                  what, version.major));
}

std::string VersionFileText(const Version& version) { return fmt::format("{}\n", version.major); }

const Version* FindVersionByVersionFile(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  int major = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), major);
  if (error != std::errc() || end != text.data() + text.size()) return nullptr;
  return FindVersionByMajor(major);
}

std::string SupportedMajors() {
  std::vector<int> majors;
  for (const Version& version : kVersions)
    if (version.is_tested) majors.push_back(version.major);
  return fmt::format("{}", fmt::join(majors, ", "));
}

std::string SupportedWalMagics() {
  std::vector<std::string> texts;
  for (const Version& version : kVersions)
    if (version.is_tested)
      texts.push_back(fmt::format("{:04X} (PostgreSQL {})", version.wal_magic, version.major));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace neon_redo::pg

namespace neon_redo {

const pg::Version* FindServerVersion(int major) {
  const pg::Version* version = pg::FindVersionByMajor(major);
  return version != nullptr && pg::CheckTested(*version, "") ? version : nullptr;
}

void AllowUntestedVersions() { pg::untested_are_allowed = true; }

int MajorVersion(const pg::Version& version) { return version.major; }

}  // namespace neon_redo
