// The file has a list of segments, of fixed size, between a number of the format and a hash of all before. It is
// small, and is written as a whole. What is lost, because two processes write it at once, is found out once more.
#include "cpp_core/index/confirmed.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr const char* kListName = "confirmed";
constexpr uint64_t kListFormat = 0x31785f6f64657280;
// Copies of an archive in other places that are remembered.
constexpr size_t kMostOfSegment = 4;
constexpr uint64_t kMostListBytes = 256 << 20;

struct StoredFile {
  uint64_t number, timeline, hash, device, inode, size;
  int64_t modified, changed;
};
static_assert(sizeof(StoredFile) == 64);

void AppendBytes(const void* from, size_t size, std::vector<uint8_t>* out) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  out->insert(out->end(), bytes, bytes + size);
}

uint64_t ListHash(const uint8_t* bytes, size_t size) { return XXH3_64bits(bytes, size); }

}  // namespace

void ConfirmedSegments::Put(const IndexedSegment& segment, List* list) {
  std::vector<IndexedSegment>& known = (*list)[{segment.number, segment.timeline}];
  std::erase_if(known, [&](const IndexedSegment& other) {
    return other.file.device == segment.file.device && other.file.inode == segment.file.inode;
  });
  known.insert(known.begin(), segment);
  if (known.size() > kMostOfSegment) known.resize(kMostOfSegment);
}

// What cannot be read, or is damaged, is as if it were not there.
ConfirmedSegments::List ConfirmedSegments::Load() const {
  List out;
  const auto fd = directory_->OpenFile(kListName, O_RDONLY);
  struct stat st;
  if (!fd || fstat(fd->get(), &st) != 0) return out;
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size < 2 * sizeof(uint64_t) || size > kMostListBytes) return out;
  std::vector<uint8_t> bytes(size);
  if (ReadFully(fd->get(), bytes.data(), size, 0) != static_cast<ssize_t>(size)) return out;
  const size_t end = size - sizeof(uint64_t);
  const auto hash = LoadNative<uint64_t>(bytes.data() + end);
  if (LoadNative<uint64_t>(bytes.data()) != kListFormat || hash != ListHash(bytes.data(), end))
    return out;
  // The last written are the first in the file.
  for (size_t at = end; at >= sizeof(uint64_t) + sizeof(StoredFile);) {
    at -= sizeof(StoredFile);
    const auto s = LoadNative<StoredFile>(bytes.data() + at);
    Put({static_cast<uint32_t>(s.timeline),
         s.number,
         s.hash,
         {s.device, s.inode, s.size, s.modified, s.changed}},
        &out);
  }
  return out;
}

bool ConfirmedSegments::Has(const IndexedSegment& indexed, const IndexedSegment& now) {
  if (!is_loaded_) list_ = Load();
  is_loaded_ = true;
  const auto known = list_.find({indexed.number, indexed.timeline});
  return known != list_.end() &&
         std::any_of(known->second.begin(), known->second.end(), [&](const IndexedSegment& s) {
           return s.hash == indexed.hash && IsUntouched(s, now);
         });
}

void ConfirmedSegments::Add(const IndexedSegment& now) {
  if (now.file.changed == 0) return;
  Put(now, &list_);
  added_.push_back(now);
}

Status ConfirmedSegments::Save() {
  if (added_.empty()) return {};
  List all = Load();
  for (const IndexedSegment& segment : added_) Put(segment, &all);
  added_.clear();
  std::vector<uint8_t> bytes;
  AppendBytes(&kListFormat, sizeof(kListFormat), &bytes);
  for (const auto& [number, segments] : all)
    for (const IndexedSegment& s : segments) {
      const StoredFile stored{s.number,     s.timeline,  s.hash,          s.file.device,
                              s.file.inode, s.file.size, s.file.modified, s.file.changed};
      AppendBytes(&stored, sizeof(stored), &bytes);
    }
  const uint64_t hash = ListHash(bytes.data(), bytes.size());
  AppendBytes(&hash, sizeof(hash), &bytes);
  list_ = std::move(all);
  is_loaded_ = true;
  return WriteLocked(*directory_, kListName, bytes);
}

}  // namespace neon_redo
