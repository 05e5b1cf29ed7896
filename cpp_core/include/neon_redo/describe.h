// WAL records in words: the terms, and to the letter the lines, of pg_waldump.
#ifndef NEON_REDO_DESCRIBE_H_
#define NEON_REDO_DESCRIBE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

// All of these are thread-safe. They take whatever bytes a record that RecordView accepted has: a
// description that runs out of bytes ends in "[malformed: …]".

// Appends the line that pg_waldump prints for the record that starts at this LSN, without a
// newline. Times are in the time zone of the process (TZ), as pg_waldump's are.
void DescribeRecord(const RecordView& record, Lsn start, std::string* line);

// The same as a new string.
std::string DescribeRecord(const RecordView& record, Lsn start);

// The same and a little more as one JSON object on one line: lsn, end_lsn, prev_lsn, rmgr,
// operation, xid, length, description, blocks. Bytes that are not UTF-8 become U+FFFD.
std::string DescribeRecordAsJson(const RecordView& record, Lsn start, Lsn end);

// The text with its control characters as \x0a: names in WAL may hold any byte, and neither break a
// line nor reach a terminal as commands.
std::string Printable(std::string_view text);

// "Heap", "custom128": the resource manager's name.
std::string RmgrDisplayName(uint8_t rmid);

// "INSERT+INIT"; null when the resource manager has no such operation. info is xl_info.
const char* OperationName(uint8_t rmid, uint8_t info);

// Appends what pg_waldump prints after the operation: "off 3 flags 0x00".
void DescribeOperation(const RecordView& record, std::string* out);

}  // namespace neon_redo

#endif  // NEON_REDO_DESCRIBE_H_
