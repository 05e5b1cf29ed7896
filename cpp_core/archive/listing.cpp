// The layouts: pgBackRest has archive/STANZA/VERSION-ID/<16 digits>/SEGMENT-SHA1.gz, Barman has
// SERVER/wals/<16 digits>/SEGMENT, without a suffix even where it is compressed, and
// SERVER/streaming/SEGMENT.partial. The sixteen digits are the first of the segment's name. WAL-G has
// wal_005/SEGMENT.lz4, with SEGMENT_delta.lz4 (pages that the segment changes), parts of these, and
// SEGMENT.json beside them (internal/databases/postgres/wal_delta_recording_reader.go and
// wal_metadata_uploader.go of its source).
#include "cpp_core/archive/listing.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr int kTries = 10;  // while files are renamed

bool HasOnly(const std::string& text, const char* characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string::npos;
}

// "15-1", the database's version and number in a pgBackRest stanza.
bool IsStanzaPart(const std::string& name) {
  const size_t dash = name.find('-');
  return dash != std::string::npos && HasOnly(name.substr(0, dash), "0123456789.") &&
         HasOnly(name.substr(dash + 1), "0123456789");
}

// Of the archive, but no segments: backup history files have the name of a segment and more.
bool IsKnown(const std::string& name) {
  std::string_view plain = name;
  const size_t dot = plain.rfind('.');
  if (dot != plain.npos && IsCompressedSuffix(plain.substr(dot))) plain = plain.substr(0, dot);
  if (plain.ends_with(".backup") || plain.ends_with("_delta") || plain.ends_with("_part"))
    return true;
  for (const char* suffix : {".tmp", ".ready", ".done", ".ok", ".error", ".json"})
    if (name.ends_with(suffix)) return true;
  return name.find(".pgbackrest.") != std::string::npos;
}

}  // namespace

void WalListing::TakeName(const std::string& where, const std::string& name) {
  std::string file = where + "/" + name;
  const auto archived = ParseArchivedName(name);
  if (!archived) {
    if (ParseSegmentName(name.substr(0, 24)) && !IsKnown(name)) foreign.push_back(std::move(file));
    return;
  }
  if (PackingOfSuffix(archived->suffix) != Packing::kUnknown)
    files.push_back({std::move(file),
                     archived->segment,
                     std::string(archived->sha1),
                     PackingOfSuffix(archived->suffix),
                     {}});
  else
    packed.push_back({std::move(file), archived->segment});
}

Status WalListing::ListNames(const std::string& where) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(where));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  struct stat st;
  if (fstat(directory.fd(), &st) != 0) return FileError("stat directory", where);
  ids.insert({st.st_dev, st.st_ino});
  directories.push_back(where);
  path = where;
  for (const std::string& name : names) {
    const std::string inner = directory.PathOf(name);
    bool is_part = name.size() == 16 && HasOnly(name, "0123456789ABCDEF");
    if (is_part) {
      ASSIGN_OR_RETURN(is_part, IsDirectory(inner, Links::kFollow));
    }
    if (!is_part) {
      TakeName(where, name);
      continue;
    }
    ASSIGN_OR_RETURN(const Directory part, Directory::Open(inner));
    ASSIGN_OR_RETURN(const auto inner_names, part.Names());
    for (const std::string& file : inner_names) TakeName(inner, file);
  }
  return {};
}

Status WalListing::ListInner(const std::string& where, const WalRepository& repository) {
  ASSIGN_OR_RETURN(const bool has_pg_wal, IsDirectory(where + "/pg_wal", Links::kFollow));
  if (has_pg_wal) return ListNames(where + "/pg_wal");
  ASSIGN_OR_RETURN(const bool has_wals, IsDirectory(where + "/wals", Links::kFollow));
  if (has_wals) {
    ASSIGN_OR_RETURN(const bool has_streaming, IsDirectory(where + "/streaming", Links::kFollow));
    if (has_streaming) RETURN_IF_ERROR(ListNames(where + "/streaming"));
    return ListNames(where + "/wals");
  }
  ASSIGN_OR_RETURN(const bool has_wal_005, IsDirectory(where + "/wal_005", Links::kFollow));
  if (has_wal_005) return ListNames(where + "/wal_005");
  ASSIGN_OR_RETURN(const auto stanza, FindArchiveStanza(where, repository.stanza));
  return ListStanza(stanza.value_or(where));
}

Status WalListing::ListStanza(const std::string& where) {
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(where));
  ASSIGN_OR_RETURN(const auto names, directory.Names());
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    if (!IsStanzaPart(name)) continue;
    ASSIGN_OR_RETURN(const bool is_part, IsDirectory(directory.PathOf(name), Links::kFollow));
    if (is_part) parts.push_back(directory.PathOf(name));
  }
  std::sort(parts.begin(), parts.end());
  if (parts.size() > 1)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("\"{}\" has the WAL of several databases: name one of them, such "
                                 "as \"{}\"",
                                 where, parts.back()));
  return parts.empty() ? Status() : ListNames(parts.front());
}

// The passphrase of the archive is read once it is needed.
Result<FileStart> WalListing::ReadStart(const std::string& file, const std::string& passphrase) {
  ASSIGN_OR_RETURN(auto start, ReadFileStart(file, cipher_pass.get()));
  if (!start.is_encrypted || cipher_pass || passphrase.empty()) return start;
  ASSIGN_OR_RETURN(cipher_pass, ReadArchivePassphrase(path, passphrase));
  return ReadFileStart(file, cipher_pass.get());
}

Status WalListing::ReadStarts(const WalRepository& repository) {
  std::map<std::tuple<uint64_t, uint32_t, const pg::Version*>, size_t> votes;
  std::vector<File> read;
  for (File& file : files) {
    if (repository.ending != nullptr && *repository.ending)
      return MakeError(ErrorCode::kCancelled, "the list of the archive was ended");
    auto start = ReadStart(file.path, repository.passphrase);
    if (!start && start.error().code == ErrorCode::kUnsupported) {
      packed.push_back({file.path, file.name});
      continue;
    }
    if (!start) return tl::unexpected(start.error());
    file.start = std::move(*start);
    WalSegmentHead head;
    const bool is_wal =
        head.Load(Bytes(file.start.bytes, file.start.length)) && head.IsOfAnySegment();
    const bool is_begun = BeginsMagic(file.packing, Bytes(file.start.bytes, file.start.length));
    if (file.packing != Packing::kNone && file.start.packing == Packing::kNone && !is_wal &&
        !is_begun && !file.start.is_encrypted)
      file.start.problem =
          "it does not begin as a file that is compressed: it is damaged, or encrypted";
    if (is_wal)
      votes[{head.segment.system_identifier, head.segment.segment_size,
             pg::FindVersionByWalMagic(head.page.magic)}]++;
    read.push_back(std::move(file));
  }
  files = std::move(read);
  if (votes.empty()) return {};
  const auto winner = std::max_element(votes.begin(), votes.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
  std::tie(identity.system_identifier, identity.segment_size, identity.version) = winner->first;
  return {};
}

Status WalListing::List(const std::string& where, const WalRepository& repository) {
  RETURN_IF_ERROR(ListNames(where));
  if (files.empty()) RETURN_IF_ERROR(ListInner(where, repository));
  const auto by_path = [](const auto& a, const auto& b) { return a.path < b.path; };
  std::sort(files.begin(), files.end(), by_path);
  std::sort(foreign.begin(), foreign.end());
  RETURN_IF_ERROR(ReadStarts(repository));
  std::sort(packed.begin(), packed.end(), by_path);
  return {};
}

// A server or a receiver renames, recycles and removes segments at any moment, and an archive its
// directories: what was listed may have another name by the time it is opened.
Result<WalListing> WalListing::Read(const std::string& path, const WalRepository& repository) {
  for (int left = kTries;; left--) {
    WalListing listing;
    const Status listed = listing.List(path, repository);
    if (listed) return listing;
    const Error& error = listed.error();
    if (error.code != ErrorCode::kNotFound) return tl::unexpected(error);
    const auto is_there = IsDirectory(path, Links::kFollow);
    if (is_there && !*is_there) return tl::unexpected(error);
    // A name whose file is never there: a symbolic link to nothing.
    if (left == 1) return MakeError(ErrorCode::kIo, error.message);
  }
}

}  // namespace neon_redo
