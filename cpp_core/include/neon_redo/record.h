// A WAL record seen through typed values, without copying it. The layout is that of
// access/xlogrecord.h; the checks are those of DecodeXLogRecord (access/transam/xlogreader.c).
// Nothing here allocates or throws, since neon.so includes it inside PostgreSQL.
//
//   neon_redo::RecordView view(reader.version());  // about 3 kB: reuse it
//   if (const neon_redo::RecordFault fault = view.Parse(bytes)) return Refuse(fault.what);
//   for (int id = 0; id <= view.max_block_id(); id++)
//     if (const neon_redo::BlockRef* block = view.block(id)) Visit(block->tag);
#ifndef NEON_REDO_RECORD_H_
#define NEON_REDO_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace pg {
struct Version;
}

inline constexpr size_t kRecordHeaderSize = 24;           // SizeOfXLogRecord
inline constexpr uint32_t kMaxRecordLength = 0x3fffffff;  // MaxAllocSize: 1 GB - 1
inline constexpr int kMaxBlockId = 32;                    // XLR_MAX_BLOCK_ID

// XLogRecord. total_length counts the header.
struct RecordHeader {
  uint32_t total_length;
  uint32_t xid;
  uint64_t prev_lsn;
  uint8_t info;  // high four bits: the resource manager's; low four: XLR_*
  uint8_t rmid;
  uint16_t padding;
  uint32_t crc;
};
static_assert(sizeof(RecordHeader) == kRecordHeaderSize);

inline constexpr uint8_t kInfoRmgrMask = 0xf0;          // XLR_RMGR_INFO_MASK
inline constexpr uint8_t kInfoCheckConsistency = 0x02;  // XLR_CHECK_CONSISTENCY

// BKPIMAGE_*: the flags of a full-page image
inline constexpr uint8_t kImageHasHole = 0x01;
inline constexpr uint8_t kImageApply = 0x02;
inline constexpr uint8_t kImagePglz = 0x04;
inline constexpr uint8_t kImageLz4 = 0x08;
inline constexpr uint8_t kImageZstd = 0x10;

// One block reference. image and data point into the record's bytes.
struct BlockRef {
  BlockTag tag;
  bool will_init;  // the record rewrites the page whole; no base page is needed
  bool has_image;
  bool apply_image;  // redo restores the image; an image without it is there only for checking
  bool has_data;
  uint8_t image_info;    // BKPIMAGE_*
  uint16_t hole_offset;  // bytes before the hole
  uint16_t hole_length;  // bytes of zeroes left out of the image
  Bytes image;           // stored bytes: perhaps compressed, without the hole
  Bytes data;            // the resource manager's data for this block
  uint8_t flags;         // fork number and BKPBLOCK_* as stored

  // After redo of this record the page depends on nothing that was there before it.
  bool initialises() const { return will_init || apply_image; }
};

// What is wrong with a record. what is a string literal, null when all is well; offset is where in
// the record, in bytes.
struct RecordFault {
  const char* what = nullptr;
  uint32_t offset = 0;
  explicit operator bool() const { return what != nullptr; }
};

// The checksum that a WAL record's xl_crc must equal: everything after the fixed header, then the
// header up to xl_crc (ValidXLogRecord in access/transam/xlogreader.c). record holds at least
// kRecordHeaderSize (24) bytes.
uint32_t RecordCrc32c(Bytes record);

// Reusable: Parse overwrites all but the version. About 3 kB, so keep one and reuse it. Views into
// the bytes given to Parse: they must outlive the view. Not thread-safe; distinct objects are
// independent.
class RecordView {
 public:
  // version: of the WAL that the records are from (WalReader::version and the like).
  explicit RecordView(const pg::Version& version) : version_(&version) {}

  // What the parts of a record mean that differ between versions.
  const pg::Version& version() const { return *version_; }
  // For a view that is kept from one WAL to another.
  void set_version(const pg::Version& version) { version_ = &version; }

  // Takes one whole record, header included, of exactly header.total_length bytes. Does not check
  // the CRC (see VerifyCrc). After a fault the view's content is unspecified.
  [[nodiscard]] RecordFault Parse(Bytes record);

  // The stored CRC equals the computed one. Call on any bytes of at least kRecordHeaderSize.
  static bool VerifyCrc(Bytes record) {
    return LoadNative<RecordHeader>(record.data()).crc == RecordCrc32c(record);
  }

  const RecordHeader& header() const { return header_; }
  uint8_t rmid() const { return header_.rmid; }
  // The resource manager's part of xl_info: the operation.
  uint8_t info() const { return header_.info & kInfoRmgrMask; }
  Bytes main_data() const { return main_data_; }
  uint16_t origin() const { return origin_; }              // 0: none
  uint32_t toplevel_xid() const { return toplevel_xid_; }  // 0: none
  Bytes bytes() const { return bytes_; }

  // Largest block id in use, -1 when there is none.
  int max_block_id() const { return max_block_id_; }
  // Null when the id is not in use.
  const BlockRef* block(int id) const {
    return id >= 0 && id <= max_block_id_ && (in_use_ >> id & 1) ? &blocks_[id] : nullptr;
  }
  // As if the record had no image of the block; the resource manager's data for the block is mostly
  // not there then (XLogRecordAssemble in access/transam/xloginsert.c).
  void LeaveOutImage(int id) {
    if (block(id) != nullptr) blocks_[id].has_image = blocks_[id].apply_image = false;
  }

 private:
  struct Cursor;

  RecordFault Fault(const char* what, const ByteReader& in) const;
  RecordFault ParseImageHeader(ByteReader in, BlockRef* b, size_t* size) const;
  RecordFault ParseBlockHeader(Cursor* c, uint8_t id);
  RecordFault ParseOther(Cursor* c, uint8_t id);
  bool ParsePlain(Bytes record);
  RecordFault ParseAny(Bytes record);

  const pg::Version* version_;
  RecordHeader header_;
  Bytes bytes_;
  Bytes main_data_;
  uint64_t in_use_;
  uint32_t toplevel_xid_;
  uint16_t origin_;
  int max_block_id_;
  BlockRef blocks_[kMaxBlockId + 1];
};

}  // namespace neon_redo

#endif  // NEON_REDO_RECORD_H_
