// The fragments after the fixed header of a WAL record (access/xlogrecord.h), and the checks of
// that header, the same in all versions. The header itself is in neon_redo/record.h. Freestanding
// but for RecordHeaderFaultText.
#ifndef NEON_REDO_PG_WAL_RECORD_H_
#define NEON_REDO_PG_WAL_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "cpp_core/pg/rmgr.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Fragment ids above those of block references (XLR_BLOCK_ID_*).
inline constexpr uint8_t kFragmentDataShort = 255;
inline constexpr uint8_t kFragmentDataLong = 254;
inline constexpr uint8_t kFragmentOrigin = 253;
inline constexpr uint8_t kFragmentToplevelXid = 252;

// BKPBLOCK_*: the flags of a block reference
inline constexpr uint8_t kBlockForkMask = 0x0f;
inline constexpr uint8_t kBlockHasImage = 0x10;
inline constexpr uint8_t kBlockHasData = 0x20;
inline constexpr uint8_t kBlockWillInit = 0x40;
inline constexpr uint8_t kBlockSameRel = 0x80;

// A length that a record can have.
constexpr bool RecordLengthIsValid(uint32_t length) {
  return length >= kRecordHeaderSize && length <= kMaxRecordLength;
}

enum class RecordHeaderFault : uint8_t {
  kNone,
  kResourceManager,  // there is no such resource manager
  kPrevious,         // xl_prev is not the start of the record before
};

// The checks that need neither the record's length nor its CRC (ValidXLogRecordHeader in
// access/transam/xlogreader.c). previous: start of the record before; 0 when it is not known, and
// then xl_prev must only be lower than start.
constexpr RecordHeaderFault CheckRecordHeader(const RecordHeader& header, Lsn start, Lsn previous) {
  if (!RmgrIsValid(header.rmid)) return RecordHeaderFault::kResourceManager;
  const bool fits =
      previous.valid() ? header.prev_lsn == previous.value : header.prev_lsn < start.value;
  return fits ? RecordHeaderFault::kNone : RecordHeaderFault::kPrevious;
}

// "invalid resource manager 99", "wrong xl_prev 0/1000028". Not for kNone.
std::string RecordHeaderFaultText(RecordHeaderFault fault, const RecordHeader& header);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_WAL_RECORD_H_
