#include "cpp_core/pg/version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <vector>

#include "neon_redo/version.h"

namespace neon_redo::pg {

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
  for (const Version& version : kVersions) majors.push_back(version.major);
  return fmt::format("{}", fmt::join(majors, ", "));
}

std::string SupportedWalMagics() {
  std::vector<std::string> texts;
  for (const Version& version : kVersions)
    texts.push_back(fmt::format("{:04X} (PostgreSQL {})", version.wal_magic, version.major));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace neon_redo::pg

namespace neon_redo {

const pg::Version* FindServerVersion(int major) { return pg::FindVersionByMajor(major); }

int MajorVersion(const pg::Version& version) { return version.major; }

}  // namespace neon_redo
