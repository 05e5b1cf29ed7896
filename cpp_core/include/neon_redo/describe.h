// WAL records in words: the terms of pg_waldump, and exactly its lines.
//
//   std::string line;
//   neon_redo::DescribeRecord(view, record.start, &line);
//   // rmgr: Heap        len (rec/tot):     59/    59, tx: 740, lsn: 0/01500028, prev …
#ifndef NEON_REDO_DESCRIBE_H_
#define NEON_REDO_DESCRIBE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "neon_redo/lsn.h"
#include "neon_redo/record.h"
#include "neon_redo/version.h"

namespace neon_redo {

// All functions are thread-safe. They take any record that RecordView accepted. A description of a
// record whose content is too short ends in "[malformed: …]".

// Appends the line that pg_waldump prints for the record that starts at this LSN, without a
// newline. Times are in the time zone of the process (TZ), as pg_waldump's are.
void DescribeRecord(const RecordView& record, Lsn start, std::string* line);

// The same as a new string.
std::string DescribeRecord(const RecordView& record, Lsn start);

// The same with the lines of pg_waldump --bkp-details: one more for each block, with the place and
// the compression of its image.
void DescribeRecordInDetail(const RecordView& record, Lsn start, std::string* lines);

// The same and a little more as one JSON object on one line: lsn, end_lsn, prev_lsn,
// resource_manager, operation, xid, length, description, blocks. Bytes that are not UTF-8 become U+FFFD.
std::string DescribeRecordAsJson(const RecordView& record, Lsn start, Lsn end);

// The text with its control characters in the form \x0a. Names in WAL may hold any byte, and must
// not break a line or act as commands of a terminal.
std::string Printable(std::string_view text);

// "Heap", "custom128": the resource manager's name.
std::string RmgrDisplayName(uint8_t rmid);

// "INSERT+INIT"; null when the resource manager has no such operation in this version, that of the
// record (RecordView::version). info is xl_info.
const char* OperationName(const pg::Version& version, uint8_t rmid, uint8_t info);

// Appends what pg_waldump prints after the operation: "off 3 flags 0x00".
void DescribeOperation(const RecordView& record, std::string* out);

}  // namespace neon_redo

#endif  // NEON_REDO_DESCRIBE_H_
