// A look at one segment asks for the names that it can have, and lists only a directory of sixteen
// digits, since pgBackRest's names have a checksum. A large directory is not listed: who follows WAL
// looks often. A segment's file gets other names meanwhile: its receiver ends it, an archive
// compresses it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kPartDigits = 16;

// The names of a file that is there, if any of them is.
std::vector<std::string> PossibleNames(const std::string& segment) {
  std::vector<std::string> names = {segment};
  for (const auto& [packing, suffix] : kCompressedSuffixes) names.push_back(segment + suffix);
  names.push_back(segment + std::string(kPartialSuffix));
  for (const auto& [packing, suffix] : kCompressedSuffixes) {
    names.push_back(fmt::format("{}{}{}", segment, suffix, kPartialSuffix));
    names.push_back(fmt::format("{}{}{}", segment, kPartialSuffix, suffix));
  }
  return names;
}

Result<std::vector<std::string>> ListNamesOf(const std::string& segment, const std::string& part) {
  std::vector<std::string> out;
  const auto is_there = IsDirectory(part, Links::kFollow);
  if (!is_there || !*is_there) return out;
  const auto directory = Directory::Open(part);
  if (!directory && directory.error().code == ErrorCode::kNotFound) return out;
  if (!directory) return tl::unexpected(directory.error());
  ASSIGN_OR_RETURN(const auto names, directory->Names());
  for (const std::string& name : names)
    if (name.starts_with(segment)) out.push_back(name);
  std::sort(out.begin(), out.end());
  return out;
}

// Which of several files is taken: the smallest.
int OrderOf(const Segment& s, uint32_t segment_size) {
  if (s.is_loaded()) return s.is_partial ? 4 : 1;
  if (s.is_whole(segment_size)) return 0;
  return s.is_partial ? 3 : 2;
}

}  // namespace

// directory: of the set, or one of sixteen digits in it.
Passphrase WalSet::PassphraseOf(const std::string& directory) const {
  for (const std::string& place : {directory, SplitPath(directory).parent}) {
    const auto known = cipher_passes_.find(place);
    if (known != cipher_passes_.end()) return known->second;
  }
  return nullptr;
}

// Nothing: it is not there, or is no file of a segment.
Result<std::optional<Segment>> WalSet::Examine(const std::string& directory,
                                               const std::string& name) const {
  const auto archived = ParseArchivedName(name);
  if (!archived) return std::nullopt;
  Segment out{};
  out.path = fmt::format("{}/{}", directory, name);
  out.timeline = archived->segment.timeline;
  out.number = NumberOf(archived->segment);
  out.is_partial = archived->segment.partial;
  const auto start = ReadStoredStart(out.path);
  if (!start && start.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!start) return tl::unexpected(start.error());
  if (PackingOfSuffix(archived->suffix) == Packing::kUnknown) return CompressedError(out.path);
  out.packing = start->packing;
  out.stamp = start->stamp;
  if (start->is_encrypted) out.cipher_pass = PassphraseOf(directory);
  if (out.packing != Packing::kNone || out.cipher_pass) {
    out.sha1 = archived->sha1;
    out.file_size = segment_size();
    out.head = SegmentHead::kWal;
  } else {
    out.file_size = out.stamp.size;
    JudgeSegment(identity_, *start, &out);
  }
  return out;
}

Result<std::optional<Segment>> WalSet::Look(uint32_t timeline, uint64_t number) const {
  const std::string segment = FormatSegmentName(timeline, number, segment_size());
  const auto possible = PossibleNames(segment);
  std::optional<Segment> best;
  std::optional<Error> refused;
  const auto take = [&](const std::string& directory, const std::string& name) -> Status {
    auto found = Examine(directory, name);
    if (!found && found.error().code == ErrorCode::kUnsupported) {
      if (!refused) refused = found.error();
      return {};
    }
    if (!found) return tl::unexpected(found.error());
    if (*found && (!best || OrderOf(**found, segment_size()) < OrderOf(*best, segment_size())))
      best = std::move(**found);
    return {};
  };
  // Once more, if it had another name by the time that one was asked for.
  for (int tries = 0; tries < 2 && !best; tries++) {
    for (const std::string& directory : directories_) {
      for (const std::string& name : possible) RETURN_IF_ERROR(take(directory, name));
      const std::string part = fmt::format("{}/{}", directory, segment.substr(0, kPartDigits));
      ASSIGN_OR_RETURN(const auto names, ListNamesOf(segment, part));
      for (const std::string& name : names) RETURN_IF_ERROR(take(part, name));
    }
    // With a checksum in the name, and outside such a directory.
    const Segment* const listed = Find(timeline, number);
    if (best || listed == nullptr) continue;
    const SplitPath split(listed->path);
    RETURN_IF_ERROR(take(split.parent, split.name));
  }
  if (!best && refused) return tl::unexpected(*refused);
  return best;
}

}  // namespace neon_redo
