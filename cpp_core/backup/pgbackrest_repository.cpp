#include "cpp_core/backup/pgbackrest_repository.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cpp_core/archive/pgbackrest_archive.h"
#include "cpp_core/archive/pgbackrest_info.h"
#include "cpp_core/backup/decrypt.h"
#include "cpp_core/backup/manifest.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"

namespace neon_redo {

namespace {

constexpr size_t kMaxInfo = size_t{1} << 30;  // a manifest of some million files
constexpr const char* kInfo = "backup.info";
constexpr const char* kManifest = "backup.manifest";
constexpr const char* kCopy = ".copy";

// Something of that name is there, if only a link.
Result<bool> Exists(const std::string& path) {
  struct stat st;
  if (lstat(path.c_str(), &st) == 0) return true;
  if (errno == ENOENT) return false;
  return FileError("stat file", path);
}
Result<bool> HasEither(const std::string& path) {
  ASSIGN_OR_RETURN(const bool has_first, Exists(path));
  if (has_first) return true;
  return Exists(path + kCopy);
}

// Barman has a file of the same name, of another form.
Result<bool> HasStanzaInfo(const std::string& directory) {
  for (const char* end : {"", kCopy}) {
    const std::string name = std::string(kInfo) + end;
    const auto file = pg::OpenClusterFile(directory, name);
    if (!file && file.error().code == ErrorCode::kNotFound) continue;
    if (!file) return tl::unexpected(file.error());
    uint8_t begin[10];
    ASSIGN_OR_RETURN(const size_t got,
                     ReadFileAt(file->get(), 0, begin, fmt::format("{}/{}", directory, name)));
    const std::string_view text(reinterpret_cast<const char*>(begin), got);
    if (text == "[backrest]" || LooksEncrypted(text)) return true;
  }
  return false;
}

Result<std::string> OnlyStanza(const std::string& backups) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(backups));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  std::vector<std::string> stanzas;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const bool is_stanza, HasStanzaInfo(fmt::format("{}/{}", backups, name)));
    if (is_stanza) stanzas.push_back(name);
  }
  std::sort(stanzas.begin(), stanzas.end());
  if (stanzas.size() == 1) return stanzas[0];
  std::string list;
  for (const std::string& name : stanzas)
    list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  return MakeError(ErrorCode::kInvalidArgument,
                   stanzas.empty() ? fmt::format("\"{}\" has no stanza of pgBackRest", backups)
                                   : fmt::format("\"{}\" has several stanzas; name one of them: {}",
                                                 backups, list));
}

Result<bool> IsRepository(const std::string& path) {
  ASSIGN_OR_RETURN(const bool has_backups, IsDirectory(path + "/backup", Links::kRefuse));
  if (!has_backups) return false;
  return IsDirectory(path + "/archive", Links::kRefuse);
}

// The directory of a stanza in that of all; stanza: empty, if there is only one.
Result<std::string> StanzaOf(const std::string& backups, std::string stanza) {
  if (stanza.empty()) {
    ASSIGN_OR_RETURN(stanza, OnlyStanza(backups));
  }
  const std::string directory = backups + "/" + stanza;
  if (IsSafeRelativePath(stanza) && stanza.find('/') == stanza.npos) {
    ASSIGN_OR_RETURN(const bool is_stanza, HasStanzaInfo(directory));
    if (is_stanza) return directory;
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" has no stanza \"{}\"", backups, stanza));
}

// Whether a file's copy is read instead: it is damaged or not there. Of one that could not be looked at
// that is not known.
bool CallsForCopy(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kNotFound;
}

}  // namespace

Result<std::optional<PgBackRestLayout>> FindPgBackRestBackup(const std::string& path,
                                                             const BaseBackupOptions& options) {
  PgBackRestLayout layout{WithoutSlash(path), options.label == "latest" ? "" : options.label};
  ASSIGN_OR_RETURN(const bool is_backup, HasEither(layout.directory + "/" + kManifest));
  ASSIGN_OR_RETURN(const bool is_repository, IsRepository(layout.directory));
  if (is_backup) {
    const SplitPath split(layout.directory);
    layout = {split.parent, split.name == "latest" ? "" : split.name};
  } else if (is_repository) {
    ASSIGN_OR_RETURN(layout.directory, StanzaOf(layout.directory + "/backup", options.stanza));
  } else {
    ASSIGN_OR_RETURN(const bool is_stanza, HasStanzaInfo(layout.directory));
    if (!is_stanza) return std::nullopt;
  }
  if (!layout.label.empty() && !IsPgBackRestLabel(layout.label))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" is no label of a pgBackRest backup, such as "
                                 "20260101-000000F",
                                 layout.label));
  return layout;
}

Result<PgBackRestRepository> PgBackRestRepository::Open(std::string directory,
                                                        const std::string& cipher_pass_file) {
  PgBackRestRepository out(std::move(directory));
  if (cipher_pass_file.empty()) return out;
  ASSIGN_OR_RETURN(out.passphrase_, ReadRepositoryPassphrase(cipher_pass_file));
  return out;
}

Result<std::string> PgBackRestRepository::ReadInfo(const std::string& name,
                                                   const std::string& passphrase) const {
  const std::string where = fmt::format("\"{}/{}\"", directory_, name);
  ASSIGN_OR_RETURN(auto fd, pg::OpenClusterFile(directory_, name));
  auto source = ReadRange(Share(std::move(fd)), 0, UINT64_MAX, directory_ + "/" + name);
  if (!passphrase.empty()) {
    source = Decrypt(std::move(source), passphrase, false, where);
  }
  ASSIGN_OR_RETURN(std::string text, ReadRest(source.get(), kMaxInfo, where));
  if (passphrase.empty() && LooksEncrypted(text))
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is encrypted: name the file with the repository's passphrase", where));
  return text;
}

Result<PgBackRestRepository::BackupInfo> PgBackRestRepository::ReadBackupInfo() const {
  std::optional<Error> first;
  for (const char* end : {"", kCopy}) {
    BackupInfo out;
    const std::string name = std::string(kInfo) + end;
    const std::string where = fmt::format("\"{}/{}\"", directory_, name);
    Status read;
    if (auto text = ReadInfo(name, passphrase_); text) {
      read = ParsePgBackRestInfo(
          *text, where,
          [&](std::string_view section, std::string_view key,
              const nlohmann::json& value) -> Status {
            if (section == "backup:current") out.labels.emplace_back(key);
            if (section == "cipher" && key == "cipher-pass" && value.is_string())
              out.cipher_pass = value.get<std::string>();
            return {};
          });
    } else {
      read = tl::unexpected(text.error());
    }
    if (read) {
      std::sort(out.labels.begin(), out.labels.end());
      return out;
    }
    if (!CallsForCopy(read.error())) return tl::unexpected(read.error());
    if (!first) first = read.error();
  }
  return tl::unexpected(*first);
}

Result<std::string> PgBackRestRepository::NewestLabel() const {
  ASSIGN_OR_RETURN(const auto info, ReadBackupInfo());
  if (info.labels.empty())
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the stanza in \"{}\" has no backup", directory_));
  if (!IsPgBackRestLabel(info.labels.back()))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("\"{}/{}\" has a backup \"{}\", which is no label", directory_,
                                 kInfo, info.labels.back()));
  return info.labels.back();
}

Result<PgBackRestRepository::ReadManifest> PgBackRestRepository::Manifest(
    const std::string& label) const {
  std::string cipher_pass;
  if (!passphrase_.empty()) {
    ASSIGN_OR_RETURN(const auto info, ReadBackupInfo());
    cipher_pass = info.cipher_pass;
  }
  std::optional<Error> first;
  for (const char* end : {"", kCopy}) {
    const std::string name = fmt::format("{}/{}{}", label, kManifest, end);
    const auto text = ReadInfo(name, cipher_pass);
    Result<PgBackRestManifest> manifest =
        text ? ParsePgBackRestManifest(*text, fmt::format("\"{}/{}\"", directory_, name))
             : Result<PgBackRestManifest>(tl::unexpected(text.error()));
    if (manifest && manifest->label != label)
      manifest = MakeError(ErrorCode::kCorrupt,
                           fmt::format("\"{}/{}\" is the manifest of {}, and not of {}", directory_,
                                       name, manifest->label, label));
    if (manifest) return ReadManifest{std::move(*manifest), first ? first->message : ""};
    if (!CallsForCopy(manifest.error())) return tl::unexpected(manifest.error());
    if (!first) first = manifest.error();
  }
  return tl::unexpected(*first);
}

std::string PgBackRestRepository::PathOf(const PgBackRestRange& range) const {
  return fmt::format("{}/{}/{}", directory_, range.label, range.name);
}

std::string PgBackRestRepository::Where(const PgBackRestRange& range) const {
  return fmt::format("\"{}\"", PathOf(range));
}

Result<SharedFile> PgBackRestRepository::Open(const PgBackRestRange& range) const {
  ASSIGN_OR_RETURN(auto fd,
                   pg::OpenClusterFile(directory_, fmt::format("{}/{}", range.label, range.name)));
  ASSIGN_OR_RETURN(const uint64_t size, FileSize(fd.get(), PathOf(range)));
  if (range.begin <= size && range.length <= size - range.begin) return Share(std::move(fd));
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("{} is cut off at byte {}: the backup needs bytes {} to {}",
                               Where(range), size, range.begin, range.begin + range.length));
}

std::string PgBackRestRepository::NameOf(uint64_t bundle, const std::string& stored_name,
                                         const char* suffix) {
  return bundle > 0 ? fmt::format("bundle/{}", bundle) : stored_name + suffix;
}

Result<std::unique_ptr<ByteSource>> PgBackRestRepository::OpenStored(
    const PgBackRestRange& range, const std::string& cipher_pass, bool raw,
    const std::string& where) const {
  ASSIGN_OR_RETURN(auto file, Open(range));
  auto source = ReadRange(std::move(file), range.begin, range.length, PathOf(range));
  if (cipher_pass.empty()) return source;
  return Decrypt(std::move(source), cipher_pass, raw, where);
}

Packing RawPacking(Packing packing) { return packing == Packing::kGzip ? Packing::kZlib : packing; }

}  // namespace neon_redo
