#include "cpp_core/archive/pgbackrest_archive.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cpp_core/archive/pgbackrest_info.h"
#include "cpp_core/archive/unpack.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kMaxPassphrase = 64 << 10;
constexpr size_t kMaxInfo = 16 << 20;
constexpr const char* kArchiveInfos[] = {"archive.info", "archive.info.copy"};

bool HasArchiveInfo(const std::string& directory) {
  return std::any_of(std::begin(kArchiveInfos), std::end(kArchiveInfos), [&](const char* name) {
    struct stat st;
    return lstat((directory + "/" + name).c_str(), &st) == 0;
  });
}

Result<std::string> ReadInfo(const std::string& path, const std::string& passphrase) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenRegularFile(path, Links::kFollow));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("stat file", path);
  std::string text(std::min<size_t>(static_cast<size_t>(st.st_size), kMaxInfo), '\0');
  ASSIGN_OR_RETURN(const auto read,
                   Unpack(Packing::kNone, fd.get(), path, reinterpret_cast<uint8_t*>(text.data()),
                          text.size(), {.cipher_pass = &passphrase}));
  text.resize(read.size);
  return text;
}

Result<Passphrase> ReadPassphraseIn(const std::string& path, const std::string& passphrase) {
  ASSIGN_OR_RETURN(std::string text, ReadInfo(path, passphrase));
  Passphrase found;
  const auto take = [&](std::string_view section, std::string_view key,
                        const nlohmann::json& value) -> Status {
    if (section == "cipher" && key == "cipher-pass" && value.is_string())
      found = Passphrase(new std::string(value.get<std::string>()), [](const std::string* secret) {
        WipeSecret(const_cast<std::string*>(secret));
        delete secret;
      });
    return {};
  };
  const Status parsed = ParsePgBackRestInfo(text, fmt::format("\"{}\"", path), take);
  WipeSecret(&text);
  if (!parsed) return tl::unexpected(parsed.error());
  if (!found)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("\"{}\" has no passphrase of the archive", path));
  return found;
}

}  // namespace

Result<std::string> ReadRepositoryPassphrase(const std::string& file) {
  ASSIGN_OR_RETURN(std::string out, ReadSecretFile(file, "cipher pass file", kMaxPassphrase));
  while (out.ends_with('\n') || out.ends_with('\r')) out.pop_back();
  if (out.empty())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("cipher pass file \"{}\" is empty", file));
  return out;
}

Result<Passphrase> ReadArchivePassphrase(const std::string& directory,
                                         const std::string& passphrase) {
  const std::string place = HasArchiveInfo(directory) ? directory : SplitPath(directory).parent;
  std::optional<Error> first;
  for (const char* name : kArchiveInfos) {
    auto read = ReadPassphraseIn(fmt::format("{}/{}", place, name), passphrase);
    if (read) return read;
    const bool is_there = read.error().code != ErrorCode::kNotFound;
    if (!first || (first->code == ErrorCode::kNotFound && is_there)) first = read.error();
  }
  return tl::unexpected(*first);
}

Result<std::optional<std::string>> FindArchiveStanza(const std::string& directory,
                                                     const std::string& stanza) {
  ASSIGN_OR_RETURN(const bool is_repository, IsDirectory(directory + "/archive", Links::kFollow));
  const std::string place = is_repository ? directory + "/archive" : directory;
  ASSIGN_OR_RETURN(const Directory archives, Directory::Open(place));
  ASSIGN_OR_RETURN(const auto names, archives.Names());
  std::vector<std::string> stanzas;
  for (const std::string& name : names)
    if (HasArchiveInfo(archives.PathOf(name))) stanzas.push_back(name);
  if (stanzas.empty()) return std::nullopt;
  std::sort(stanzas.begin(), stanzas.end());
  const auto found =
      stanza.empty() ? stanzas.begin() : std::find(stanzas.begin(), stanzas.end(), stanza);
  if (found != stanzas.end() && (stanzas.size() == 1 || !stanza.empty()))
    return archives.PathOf(*found);
  std::string list;
  for (const std::string& name : stanzas) list += (list.empty() ? "" : ", ") + name;
  return MakeError(
      ErrorCode::kInvalidArgument,
      stanza.empty()
          ? fmt::format("\"{}\" has several stanzas; name one of them: {}", place, list)
          : fmt::format("\"{}\" has no stanza \"{}\", but these: {}", place, stanza, list));
}

}  // namespace neon_redo
