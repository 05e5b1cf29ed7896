// Two passes, as DecodeXLogRecord does it. First the fragment headers, adding up the payload they
// promise; the headers end when what is left of the record is exactly that payload. Then the
// payload is handed out in order: per block its image and its data, main data last.
#include "cpp_core/wal/record.h"

#include "cpp_core/base/crc32c.h"

namespace neon_redo {

namespace {

// Fragment ids above the block references (XLR_BLOCK_ID_*).
constexpr uint8_t kIdDataShort = 255;
constexpr uint8_t kIdDataLong = 254;
constexpr uint8_t kIdOrigin = 253;
constexpr uint8_t kIdToplevelXid = 252;

// BKPBLOCK_*
constexpr uint8_t kForkMask = 0x0f;
constexpr uint8_t kHasImage = 0x10;
constexpr uint8_t kHasData = 0x20;
constexpr uint8_t kWillInit = 0x40;
constexpr uint8_t kSameRel = 0x80;

constexpr const char* kShort = "the record ends inside its headers";

// The cross-checks on an image header. Null when they hold.
const char* ImageFault(const BlockRef& b, uint16_t length) {
  const bool hole = b.image_info & kImageHasHole;
  const uint8_t method = b.image_info & (kImagePglz | kImageLz4 | kImageZstd);
  if (length > kBlockSize) return "block image is longer than a page";
  if (hole && (b.hole_offset == 0 || b.hole_length == 0 || length == kBlockSize))
    return "block image says it has a hole, but its offset or length does not";
  if (!hole && (b.hole_offset != 0 || b.hole_length != 0))
    return "block image says it has no hole, but its offset or length does";
  if (method && length == kBlockSize) return "compressed block image is as long as a page";
  if (method & (method - 1)) return "block image names more than one compression";
  if (!hole && !method && length != kBlockSize)
    return "block image is neither compressed nor holed, yet shorter than a page";
  if (b.hole_offset + b.hole_length > static_cast<int>(kBlockSize))
    return "block image's hole reaches past the page";
  return nullptr;
}

}  // namespace

bool RecordView::VerifyCrc(Bytes record) {
  return LoadNative<RecordHeader>(record.data()).crc == RecordCrc32c(record);
}

RecordFault RecordView::ParseBlockHeader(ByteReader* in, uint8_t id, uint64_t* payload) {
  auto at = [&] { return static_cast<uint32_t>(in->position() - bytes_.data()); };
  if (static_cast<int>(id) <= max_block_id_) return {"block ids are out of order", at()};
  BlockRef& b = blocks_[id];
  uint16_t data_length;
  if (!in->Read(&b.flags) || !in->Read(&data_length)) return {kShort, at()};
  b.tag.fork = b.flags & kForkMask;
  b.has_image = b.flags & kHasImage;
  b.has_data = b.flags & kHasData;
  b.will_init = b.flags & kWillInit;
  b.apply_image = false;
  b.image_info = 0;
  b.hole_offset = b.hole_length = 0;
  if (b.tag.fork > kMaxForkNumber)
    return {"block reference names a fork that does not exist", at()};
  if (b.has_data != (data_length > 0))
    return {"block reference's data flag and data length disagree", at()};
  *payload += data_length;
  // Only the length counts until the payload is handed out; the pointer is set then.
  b.data = Bytes(bytes_.data(), data_length);
  b.image = Bytes();

  if (b.has_image) {
    uint16_t length;
    if (!in->Read(&length) || !in->Read(&b.hole_offset) || !in->Read(&b.image_info))
      return {kShort, at()};
    b.apply_image = b.image_info & kImageApply;
    if (b.image_info & (kImagePglz | kImageLz4 | kImageZstd)) {
      if ((b.image_info & kImageHasHole) && !in->Read(&b.hole_length)) return {kShort, at()};
    } else if (length <= kBlockSize) {
      b.hole_length = static_cast<uint16_t>(kBlockSize - length);
    }
    if (const char* fault = ImageFault(b, length)) return {fault, at()};
    *payload += length;
    b.image = Bytes(bytes_.data(), length);
  }

  if (b.flags & kSameRel) {
    if (previous_rel_ == nullptr)
      return {"block reference repeats a relation, but is the first", at()};
    b.tag.rel = *previous_rel_;
  } else {
    if (!in->Read(&b.tag.rel)) return {kShort, at()};
    previous_rel_ = &b.tag.rel;
  }
  if (!in->Read(&b.tag.block)) return {kShort, at()};

  in_use_ |= uint64_t{1} << id;
  max_block_id_ = id;
  return {};
}

RecordFault RecordView::Parse(Bytes record) {
  bytes_ = record;
  main_data_ = Bytes();
  in_use_ = 0;
  origin_ = 0;
  toplevel_xid_ = 0;
  max_block_id_ = -1;
  previous_rel_ = nullptr;

  ByteReader in(record);
  if (!in.Read(&header_)) return {"the record is shorter than its fixed header", 0};
  if (header_.total_length != record.size())
    return {"the record's length field differs from its length", 0};
  if (header_.total_length > kMaxRecordLength) return {"the record is longer than 1 GB", 0};

  auto at = [&] { return static_cast<uint32_t>(in.position() - record.data()); };
  uint64_t payload = 0;
  uint32_t main_length = 0;
  while (in.remaining() > payload) {
    uint8_t id;
    if (!in.Read(&id)) return {kShort, at()};
    if (id == kIdDataShort) {
      uint8_t length;
      if (!in.Read(&length)) return {kShort, at()};
      main_length = length;
      payload += length;
      break;
    }
    if (id == kIdDataLong) {
      if (!in.Read(&main_length)) return {kShort, at()};
      payload += main_length;
      break;
    }
    if (id == kIdOrigin) {
      if (!in.Read(&origin_)) return {kShort, at()};
    } else if (id == kIdToplevelXid) {
      if (!in.Read(&toplevel_xid_)) return {kShort, at()};
    } else if (id <= kMaxBlockId) {
      if (RecordFault fault = ParseBlockHeader(&in, id, &payload)) return fault;
    } else {
      return {"unknown fragment id", at()};
    }
  }
  if (in.remaining() != payload)
    return {"the fragments' lengths do not add up to the record's", at()};

  for (int id = 0; id <= max_block_id_; id++) {
    if (!(in_use_ >> id & 1)) continue;
    BlockRef& b = blocks_[id];
    // Cannot fail: the lengths were added up above.
    if (!in.ReadBytes(b.image.size(), &b.image) || !in.ReadBytes(b.data.size(), &b.data))
      return {kShort, at()};
  }
  if (!in.ReadBytes(main_length, &main_data_)) return {kShort, at()};
  return {};
}

}  // namespace neon_redo
