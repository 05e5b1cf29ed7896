#include "cpp_core/store/slru_page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/cluster_file.h"
#include "cpp_core/pg/slru.h"

namespace neon_redo {

namespace {

void SetCommitTimestamps(const Change& change, uint8_t* page) {
  const auto origin = static_cast<uint16_t>(change.number2);
  if (change.number != 0) SetCommitTimestamp(page, change.number, change.time, origin);
  for (size_t at = 0; at + 4 <= change.payload.size(); at += 4)
    SetCommitTimestamp(page, LoadNative<uint32_t>(change.payload.data() + at), change.time, origin);
}

}  // namespace

Result<bool> ReadSlruPage(const std::string& data_directory, const SlruBlock& block,
                          uint8_t* page) {
  const std::string name = SlruFile(block.kind, block.segment);
  const auto file = pg::OpenClusterFile(data_directory, name);
  if (!file && file.error().code == ErrorCode::kNotFound) return false;
  if (!file) return tl::unexpected(file.error());
  const ssize_t got =
      pread(file->get(), page, kBlockSize, static_cast<off_t>(block.block) * kBlockSize);
  if (got < 0)
    return MakeError(ErrnoCode(errno),
                     fmt::format("could not read block {} in file \"{}/{}\": {}", block.block,
                                 data_directory, name, std::strerror(errno)));
  return got == static_cast<ssize_t>(kBlockSize);
}

bool RemovesSlruSegment(const Change& change, SlruKind kind, uint32_t segment) {
  switch (change.kind) {
    case ChangeKind::kTruncateSlru:
      return SlruSegmentIsGone(kind, segment, change.number);
    case ChangeKind::kDropSlruSegments: {
      const uint32_t segments = LastSlruSegment(kind) + 1;
      const auto from_first = [&](uint32_t n) { return (n + segments - change.number) % segments; };
      return from_first(segment) < from_first(change.number2);
    }
    case ChangeKind::kDropSlru:
      return true;
    default:
      return false;
  }
}

Status ApplySlruChange(const Change& change, Lsn lsn, std::vector<uint8_t>* page) {
  switch (change.kind) {
    case ChangeKind::kZeroSlruPage:
      page->assign(kBlockSize, 0);
      return {};
    case ChangeKind::kCommitTs:
      SetCommitTimestamps(change, page->data());
      return {};
    default: {
      ASSIGN_OR_RETURN(const auto native, ToPageServerRecord(change));
      return ApplyPageServerRecord(native, lsn, change.key, page);
    }
  }
}

Result<std::vector<uint32_t>> ListSlruSegments(const std::string& data_directory, SlruKind kind) {
  const std::string path = data_directory + "/" + SlruDirectory(kind);
  std::vector<uint32_t> out;
  const auto directory = Directory::Open(path);
  // Without the directory, each page that should be there is missing.
  if (!directory && directory.error().code == ErrorCode::kNotFound) return out;
  if (!directory) return tl::unexpected(directory.error());
  ASSIGN_OR_RETURN(const auto names, directory->Names());
  for (const std::string& name : names) {
    if (const auto segment = ParseSlruSegment(name)) out.push_back(*segment);
  }
  return out;
}

Result<bool> HasCommitTimestamps(const std::string& data_directory) {
  ASSIGN_OR_RETURN(const auto segments, ListSlruSegments(data_directory, SlruKind::kCommitTs));
  return !segments.empty();
}

}  // namespace neon_redo
