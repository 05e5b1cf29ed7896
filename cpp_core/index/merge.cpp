// Each file is sorted by key, and the files are in order of LSN: so the next part to be written is that with the
// smallest key, and of several with the same key that of the oldest file.
#include "cpp_core/index/merge.h"

#include <algorithm>
#include <vector>

#include "cpp_core/base/try.h"
#include "cpp_core/index/build.h"

namespace neon_redo {

namespace {

constexpr PageKey kFirstKey{};

class Input {
 public:
  Input(const IndexView& view, size_t order)
      : view_(&view), order_(order), cursor_(view.file.get(), kFirstKey, Lsn()) {}

  // To the next part that has entries of the view. False: there is none.
  Result<bool> Next() {
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_there, cursor_.Next());
      if (!is_there) return false;
      part_ = EntriesBetween(cursor_.part(), view_->begin, view_->end);
      if (!part_.empty()) return true;
    }
  }
  size_t order() const { return order_; }
  const PageKey& key() const { return cursor_.key(); }
  std::span<const IndexEntry> part() const { return part_; }
  // As a heap has them, whose first is the largest.
  friend bool operator<(const Input& a, const Input& b) {
    const auto order = a.key() <=> b.key();
    return order != 0 ? order > 0 : a.order_ > b.order_;
  }

 private:
  const IndexView* view_;
  size_t order_;
  IndexFile::Cursor cursor_;
  std::span<const IndexEntry> part_;
};

// What a file's header says of the segments that the view is of.
void AppendHeader(const IndexView& view, IndexHeader* out) {
  const IndexHeader& header = view.file->header();
  out->system_identifier = header.system_identifier;
  out->segment_size = header.segment_size;
  for (const IndexedSegment& segment : header.segments) {
    const Lsn start(segment.number * header.segment_size);
    if (start >= view.begin && start < view.end) out->segments.push_back(segment);
  }
  for (IndexedStretch stretch : header.stretches) {
    if (stretch.end <= view.begin || stretch.begin >= view.end) continue;
    stretch.begin = std::max(stretch.begin, view.begin);
    out->stretches.push_back(stretch);
  }
}

}  // namespace

Status MergeParts(std::span<const IndexView> views, const MergeSink& sink) {
  std::vector<Input> heap;
  for (size_t i = 0; i < views.size(); i++) {
    Input input(views[i], i);
    ASSIGN_OR_RETURN(const bool has_any, input.Next());
    if (has_any) heap.push_back(std::move(input));
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Input& next = heap.back();
    RETURN_IF_ERROR(sink(next.order(), next.key(), next.part()));
    ASSIGN_OR_RETURN(const bool has_more, next.Next());
    if (has_more)
      std::push_heap(heap.begin(), heap.end());
    else
      heap.pop_back();
  }
  return {};
}

Result<std::unique_ptr<IndexFile>> MergeIndexFiles(std::span<const IndexView> views,
                                                   const Directory& directory,
                                                   const std::string& name,
                                                   const std::shared_ptr<rocksdb::Cache>& cache) {
  IndexHeader header;
  for (const IndexView& view : views) AppendHeader(view, &header);
  return MakeIndexFile(directory, name, true, cache, [&](IndexFileWriter* writer) -> Status {
    RETURN_IF_ERROR(
        MergeParts(views, [writer](size_t, const PageKey& key, std::span<const IndexEntry> part) {
          return writer->Add(key, part);
        }));
    return writer->Finish(header);
  });
}

}  // namespace neon_redo
