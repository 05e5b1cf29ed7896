// Which files answer for which segments of a line.
#ifndef NEON_REDO_INDEX_COVER_H_
#define NEON_REDO_INDEX_COVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/index/build.h"
#include "cpp_core/index/confirmed.h"
#include "cpp_core/index/file.h"
#include "cpp_core/index/record_source.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Segments of the line, by their places in it.
struct SegmentRange {
  size_t first = 0, end = 0;

  size_t size() const { return end - first; }
  bool Has(const SegmentRange& other) const { return first <= other.first && other.end <= end; }
  bool operator==(const SegmentRange&) const = default;
};

// What a file answers for: records that start at `begin` or later, and before `end`.
struct IndexView {
  SegmentRange range;
  std::shared_ptr<IndexFile> file;
  Lsn begin, end;
};

// Not thread-safe.
class Cover {
 public:
  // Questions are about the segments of `wanted`. What is chosen of several copies is written to
  // *segments; notes: about copies. What a hash has shown is added to *confirmed.
  Cover(std::shared_ptr<std::vector<Segment>> segments, const WalIdentity& identity,
        SegmentRange wanted, ConfirmedSegments* confirmed, std::vector<std::string>* notes);

  // Uses the file for those stretches whose segments are what they were, as far as no other file is used
  // for them. Nothing is used of a file that another cluster's WAL made.
  Status Use(const std::shared_ptr<IndexFile>& file);
  // A file that was just made of these segments takes the place of all that were used for them.
  void Put(SegmentRange range, std::shared_ptr<IndexFile> file);
  // Uses the same files as another thread, as if by Use.
  void Share(const std::vector<IndexView>& views);
  // Nothing is wanted before this segment.
  void BeginAt(size_t segment);

  const SegmentRange& wanted() const { return wanted_; }
  // In order of LSN.
  const std::vector<IndexView>& views() const { return views_; }
  // Drops those after this one.
  void EndWith(size_t view) { views_.resize(view + 1); }
  // Wanted segments that no file is used for, neighbours together.
  std::vector<SegmentRange> Gaps() const;
  // Places of the segments of the line that have these numbers.
  SegmentRange Find(uint64_t first_number, uint64_t last_number) const;
  bool IsCovered(const SegmentRange& range) const;
  // Chooses of several copies of each the one to be read.
  Status ChooseCopies(const SegmentRange& range);
  // The same of segments after the last view in which its last record ends.
  Status ChooseAfterViews();

 private:
  struct State {
    bool is_chosen = false;
    std::optional<IndexedSegment> now{};  // hash 0: it was not read
  };

  Status Choose(size_t at, const IndexedSegment* indexed);
  Result<bool> IsSame(size_t at, const IndexedSegment& indexed);
  Result<std::vector<IndexView>> Fitting(const std::shared_ptr<IndexFile>& file);
  Result<std::optional<IndexView>> FittingStretch(const std::shared_ptr<IndexFile>& file,
                                                  size_t stretch);
  bool IsKnown(const IndexedSegment& indexed, const IndexedSegment& now);
  Status ChooseAfter(Lsn end, const IndexedStretch& stretch);
  Result<bool> HasLastRecord(const IndexedStretch& stretch);
  void Insert(IndexView view);

  const std::shared_ptr<std::vector<Segment>> segments_;
  const WalIdentity identity_;
  SegmentRange wanted_;
  ConfirmedSegments* const confirmed_;
  std::vector<std::string>* const notes_;
  RecordSource records_;
  std::vector<State> states_;  // of the segments
  std::vector<IndexView> views_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_COVER_H_
