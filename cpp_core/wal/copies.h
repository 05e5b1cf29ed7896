// Which of several files of one WAL segment is read.
#ifndef NEON_REDO_WAL_COPIES_H_
#define NEON_REDO_WAL_COPIES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The file whose WAL is valid the longest, as a segment without copies and with its true size. Of
// equal ones the first. The other segments of the line (WalSet::Line) check the records that cross
// the boundaries of this one.
//
// Adds a line to *notes for each file that is damaged or short or cannot be read although another has
// the WAL, and for two that both have valid WAL at the same LSN, but not the same. Such a file may
// have more WAL than the one that is read: it is also a doubt of that (Segment::doubts). That a file
// simply has less WAL than another is no damage. Reads all of the files.
//
// Errors: memory or descriptors are short, or a file could be read first and not then.
Result<Segment> ChooseCopy(const std::vector<Segment>& line, size_t index,
                           const WalIdentity& identity, std::vector<std::string>* notes);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_COPIES_H_
