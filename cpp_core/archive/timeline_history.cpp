// A history file has a line for each ancestor: its timeline, a tab, the LSN where it was left, a
// tab, and a reason (readTimeLineHistory in access/transam/timeline.c).
#include "cpp_core/archive/timeline_history.h"

#include <fmt/format.h>

#include <cstdio>
#include <sstream>

#include "cpp_core/archive/decryption.h"
#include "cpp_core/archive/unpack.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

std::string FormatHistoryName(uint32_t timeline) { return fmt::format("{:08X}.history", timeline); }

namespace {

constexpr size_t kLimit = 1 << 20;

Packing PackingOfText(const std::string& text, const std::string& path) {
  const size_t dot = path.rfind('.');
  return PackingOf(Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()),
                   dot == path.npos ? "" : std::string_view(path).substr(dot));
}

Result<std::string> UnpackHistory(Packing packing, const FileDescriptor& fd,
                                  const std::string& path, const std::string* cipher_pass) {
  std::string out(kLimit, '\0');
  ASSIGN_OR_RETURN(const auto unpacked,
                   Unpack(packing, fd.get(), path, reinterpret_cast<uint8_t*>(out.data()),
                          out.size(), {.cipher_pass = cipher_pass}));
  if (unpacked.is_cut)
    return MakeError(ErrorCode::kCorrupt, fmt::format("timeline history file \"{}\" is cut short: "
                                                      "its {} data have no end",
                                                      path, PackingName(packing)));
  out.resize(unpacked.size);
  return out;
}

}  // namespace

Result<std::string> ReadHistoryFile(const std::string& path, Links links,
                                    const std::string* cipher_pass) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenRegularFile(path, links));
  ASSIGN_OR_RETURN(std::string content, ReadAll(fd, path, kLimit));
  const bool is_encrypted = LooksEncrypted(content);
  if (is_encrypted && cipher_pass == nullptr)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("timeline history file \"{}\" is encrypted: name the file with the "
                    "repository's passphrase",
                    path));
  if (!is_encrypted) cipher_pass = nullptr;
  if (is_encrypted) {
    ASSIGN_OR_RETURN(content, UnpackHistory(Packing::kNone, fd, path, cipher_pass));
  }
  const Packing packing = PackingOfText(content, path);
  if (packing == Packing::kNone) return content;
  return UnpackHistory(packing, fd, path, cipher_pass);
}

Result<std::vector<TimelineFork>> ParseTimelineHistory(const std::string& content,
                                                       uint32_t timeline, const std::string& path) {
  std::vector<TimelineFork> forks;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    const size_t text = line.find_first_not_of(" \t\r");
    if (text == std::string::npos || line[text] == '#') continue;
    unsigned id;
    unsigned high;
    unsigned low;
    if (sscanf(line.c_str(), "%u\t%X/%X", &id, &high, &low) != 3 || id >= timeline ||
        (!forks.empty() && id <= forks.back().timeline))
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("timeline history file \"{}\" has a bad line: {:?}", path, line));
    forks.push_back({id, Lsn(uint64_t{high} << 32 | low)});
  }
  return forks;
}

}  // namespace neon_redo
