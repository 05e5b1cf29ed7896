#include "cpp_core/index/gathering.h"

#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/merge.h"

namespace neon_redo {

namespace {

Status WriteEntries(const Collector& collector, IndexFileWriter* writer) {
  return collector.ForEach([writer](const PageKey& key, const std::vector<IndexEntry>& entries) {
    return writer->Add(key, entries);
  });
}

// The bounds of a size are what all of the stretch makes of it, and not the run alone; or what it makes of it
// since the database was made.
class SizesOfRuns {
 public:
  explicit SizesOfRuns(const Collector& collector) : collector_(collector) {}

  std::span<const IndexEntry> Next(size_t run, const PageKey& key,
                                   std::span<const IndexEntry> part) {
    if (key != key_) last_ = {};
    if (key != key_ || run != run_) before_ = last_.size;
    key_ = key;
    run_ = run;
    changed_.assign(part.begin(), part.end());
    for (IndexEntry& entry : changed_) {
      if (last_.start.valid() && collector_.HasDatabaseEvent(key, last_.start, entry.start))
        before_ = {};
      entry.size = before_.Then(entry.size);
      last_ = entry;
    }
    return changed_;
  }

 private:
  const Collector& collector_;
  PageKey key_{};
  size_t run_ = 0;
  SizeBounds before_;  // of the runs before this one
  IndexEntry last_;
  std::vector<IndexEntry> changed_;
};

}  // namespace

Gathering::Gathering(const Directory& directory, const IndexHeader& header, Lsn end, size_t memory)
    : directory_(directory),
      header_(header),
      memory_(memory),
      collector_(Lsn(header.segments.front().number * header.segment_size)) {
  header_.stretches = {
      {.begin = Lsn(header.segments.front().number * header.segment_size), .end = end}};
}

Status Gathering::PutAside() {
  ASSIGN_OR_RETURN(auto file,
                   MakeIndexFile(directory_, {}, false, nullptr, [this](IndexFileWriter* writer) {
                     const Status status = WriteEntries(collector_, writer);
                     return status ? writer->Finish(header_) : status;
                   }));
  runs_.push_back({{}, std::move(file), header_.begin(), header_.end()});
  collector_.Clear();
  return {};
}

Status Gathering::Write(IndexFileWriter* writer) {
  if (runs_.empty()) return WriteEntries(collector_, writer);
  RETURN_IF_ERROR(PutAside());
  SizesOfRuns sizes(collector_);
  return MergeParts(runs_, [&](size_t run, const PageKey& key, std::span<const IndexEntry> part) {
    const bool is_size = EntryKindOf(key) == EntryKind::kSize;
    return writer->Add(key, is_size ? sizes.Next(run, key, part) : part);
  });
}

}  // namespace neon_redo
