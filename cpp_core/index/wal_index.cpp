// Answers of an index. Files are asked from the newest to the oldest, up to the one that has an entry which
// makes the page whole.
#include "cpp_core/index/wal_index.h"

#include <algorithm>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Drops what was taken of a file before it was made anew. part: of that file, the newest first.
void Forget(const std::vector<IndexEntry>& part, size_t before, std::vector<IndexEntry>* out) {
  while (out->size() > before && out->back().start <= part.back().start) out->pop_back();
}

}  // namespace

// A part that is read may be taken twice: once more from the file that is made anew.
Status WalIndex::ReadBack(size_t file, const PageKey& key, Lsn to, const IndexFile::Take& take) {
  Status status = files_[file]->ReadBack(key, to, take);
  if (status || status.error().code != ErrorCode::kCorrupt || files_[file]->header().is_cut)
    return status;
  notes_.push_back(status.error().message + "; it was made anew");
  RETURN_IF_ERROR(Rebuild(file));
  return files_[file]->ReadBack(key, to, take);
}

Result<std::vector<IndexEntry>> WalIndex::Get(const PageKey& key, Lsn to) {
  std::vector<IndexEntry> out;  // the newest first
  bool is_whole = false;
  for (size_t file = files_.size(); file-- > 0 && !is_whole;) {
    const size_t before = out.size();
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      Forget(part, before, &out);
      for (auto entry = part.rbegin(); entry != part.rend() && !is_whole; ++entry) {
        out.push_back(*entry);
        is_whole = entry->makes_whole;
      }
      return !is_whole;
    }));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Result<std::vector<IndexEntry>> WalIndex::GetAll(const PageKey& key, Lsn from, Lsn to) {
  std::vector<IndexEntry> out;
  for (size_t file = files_.size(); file-- > 0 && files_[file]->header().end > from;) {
    const size_t before = out.size();
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      Forget(part, before, &out);
      out.insert(out.end(), part.rbegin(), part.rend());
      return out.back().start >= from;
    }));
  }
  while (!out.empty() && out.back().start < from) out.pop_back();
  std::reverse(out.begin(), out.end());
  return out;
}

Status WalIndex::ForEach(const PageKey& first, const PageKey& last, Lsn from, Lsn to,
                         const std::function<void(const IndexEntry&)>& take) {
  for (size_t file = 0; file < files_.size(); file++) {
    if (files_[file]->header().end <= from) continue;
    if (files_[file]->header().begin >= to) break;
    std::vector<IndexEntry> found;
    const auto read = [&] {
      found.clear();
      return files_[file]->ForEach(
          first, last, [&](const PageKey&, const std::vector<IndexEntry>& part) -> Status {
            for (const IndexEntry& entry : part)
              if (entry.start >= from && entry.start < to) found.push_back(entry);
            return {};
          });
    };
    Status status = read();
    if (!status && status.error().code == ErrorCode::kCorrupt && !files_[file]->header().is_cut) {
      notes_.push_back(status.error().message + "; it was made anew");
      RETURN_IF_ERROR(Rebuild(file));
      status = read();
    }
    if (!status) return status;
    std::for_each(found.begin(), found.end(), take);
  }
  return {};
}

Result<SizeBounds> WalIndex::GetSize(const PageKey& key, Lsn from, Lsn to) {
  SizeBounds out;
  for (size_t file = files_.size(); file-- > 0 && files_[file]->header().end > from;) {
    if (out.is_known()) break;
    RETURN_IF_ERROR(ReadBack(file, key, to, [&](const std::vector<IndexEntry>& part) {
      out = part.back().size.Then(out);
      return false;
    }));
  }
  return out;
}

}  // namespace neon_redo
