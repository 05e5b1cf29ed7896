// Which of several files of one WAL segment is read.
#ifndef NEON_REDO_WAL_COPIES_H_
#define NEON_REDO_WAL_COPIES_H_

#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"

namespace neon_redo {

// A segment with its copies, and the segments before and after it in the line, if they are there: a
// record that crosses a boundary is checked by them.
struct CopiesInLine {
  const Segment* before;
  const Segment& segment;
  const Segment* after;
};

// The file whose WAL is valid the longest, as a segment without copies. Of equal ones the first. Adds
// a line to *notes for each file that is damaged or short or cannot be read although another has the
// WAL, and for two that both have valid WAL at the same LSN, but not the same. That a file has less
// WAL than another is no damage. Reads all of the files.
Segment ChooseCopy(const CopiesInLine& line, const WalIdentity& identity,
                   std::vector<std::string>* notes);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_COPIES_H_
