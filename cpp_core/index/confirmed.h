// Files of segments that are not those which were indexed, but have the same content, as a hash has shown.
#ifndef NEON_REDO_INDEX_CONFIRMED_H_
#define NEON_REDO_INDEX_CONFIRMED_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/index/file.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Kept in one file of the index's directory, which may be removed at any time: then they are read once more. Not
// thread-safe; any number of processes may use the file at once.
class ConfirmedSegments {
 public:
  // The directory must outlive the object. The file is read when it is first needed.
  explicit ConfirmedSegments(const Directory* directory) : directory_(directory) {}

  // The file `now`, whose hash does not matter, had the content of `indexed` when it was read.
  bool Has(const IndexedSegment& indexed, const IndexedSegment& now);
  // It was read, and has this hash. Nothing is kept of a file that may change without a sign of it.
  void Add(const IndexedSegment& now);
  // Writes what was added since the last call, besides what others have written. kIo: it cannot.
  Status Save();

 private:
  struct Number {
    uint64_t segment = 0;
    uint32_t timeline = 0;
    auto operator<=>(const Number&) const = default;
  };
  using List = std::map<Number, std::vector<IndexedSegment>>;  // of each the newest first

  List Load() const;
  static void Put(const IndexedSegment& segment, List* list);

  const Directory* const directory_;
  bool is_loaded_ = false;
  List list_;
  std::vector<IndexedSegment> added_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_CONFIRMED_H_
