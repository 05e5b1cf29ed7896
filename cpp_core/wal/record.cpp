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

constexpr uint8_t kImageMethods = kImagePglz | kImageLz4 | kImageZstd;

constexpr const char* kShort = "the record ends inside its headers";

// The cross-checks on an image header. Null when they hold.
const char* ImageFault(const BlockRef& b, uint16_t length) {
  const bool hole = b.image_info & kImageHasHole;
  const uint8_t method = b.image_info & kImageMethods;
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

inline RecordFault RecordView::Fault(const char* what, const ByteReader& in) const {
  return {what, static_cast<uint32_t>(in.position() - bytes_.data())};
}

bool RecordView::VerifyCrc(Bytes record) {
  return LoadNative<RecordHeader>(record.data()).crc == RecordCrc32c(record);
}

// Everything that is not a plain reference without an image: seldom enough to stay out of line.
[[gnu::noinline]] RecordFault RecordView::ParseImageHeader(ByteReader* in, BlockRef* b,
                                                           uint64_t* payload) {
  uint16_t length;
  if (!in->Read(&length) || !in->Read(&b->hole_offset) || !in->Read(&b->image_info))
    return Fault(kShort, *in);
  b->apply_image = b->image_info & kImageApply;
  if (b->image_info & kImageMethods) {
    if ((b->image_info & kImageHasHole) && !in->Read(&b->hole_length)) return Fault(kShort, *in);
  } else if (length <= kBlockSize) {
    b->hole_length = static_cast<uint16_t>(kBlockSize - length);
  }
  if (const char* fault = ImageFault(*b, length)) return Fault(fault, *in);
  *payload += length;
  b->image = Bytes(bytes_.data(), length);
  return {};
}

// Only the lengths of image and data count until the payload is handed out; their pointers are set
// then.
inline RecordFault RecordView::ParseBlockHeader(ByteReader* in, uint8_t id, uint64_t* payload) {
  if (static_cast<int>(id) <= max_block_id_) return Fault("block ids are out of order", *in);
  BlockRef& b = blocks_[id];
  uint16_t data_length;
  if (!in->Read(&b.flags) || !in->Read(&data_length)) return Fault(kShort, *in);
  b.tag.fork = b.flags & kForkMask;
  b.has_image = b.flags & kHasImage;
  b.has_data = b.flags & kHasData;
  b.will_init = b.flags & kWillInit;
  b.apply_image = false;
  b.image_info = 0;
  b.hole_offset = b.hole_length = 0;
  b.image = Bytes();
  b.data = Bytes(bytes_.data(), data_length);
  if (b.tag.fork > kMaxForkNumber)
    return Fault("block reference names a fork that does not exist", *in);
  if (b.has_data != (data_length > 0))
    return Fault("block reference's data flag and data length disagree", *in);
  *payload += data_length;
  if (b.has_image) {
    if (RecordFault fault = ParseImageHeader(in, &b, payload)) return fault;
  }
  if (b.flags & kSameRel) {
    if (previous_rel_ == nullptr)
      return Fault("block reference repeats a relation, but is the first", *in);
    b.tag.rel = *previous_rel_;
  } else if (!in->Read(&b.tag.rel)) {
    return Fault(kShort, *in);
  }
  previous_rel_ = &b.tag.rel;
  if (!in->Read(&b.tag.block)) return Fault(kShort, *in);
  in_use_ |= uint64_t{1} << id;
  max_block_id_ = id;
  return {};
}

// The fragments that are not block references. Sets *last when it was main data: that is the last.
inline RecordFault RecordView::ParseOther(ByteReader* in, uint8_t id, uint32_t* main_length,
                                          bool* last) {
  uint8_t short_length;
  bool fits;
  switch (id) {
    case kIdDataShort:
      fits = in->Read(&short_length);
      *main_length = short_length;
      *last = true;
      break;
    case kIdDataLong:
      fits = in->Read(main_length);
      *last = true;
      break;
    case kIdOrigin:
      fits = in->Read(&origin_);
      break;
    case kIdToplevelXid:
      fits = in->Read(&toplevel_xid_);
      break;
    default:
      return Fault("unknown fragment id", *in);
  }
  return fits ? RecordFault{} : Fault(kShort, *in);
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

  uint64_t payload = 0;
  uint32_t main_length = 0;
  bool last = false;
  while (!last && in.remaining() > payload) {
    uint8_t id;
    if (!in.Read(&id)) return Fault(kShort, in);
    RecordFault fault = id <= kMaxBlockId ? ParseBlockHeader(&in, id, &payload)
                                          : ParseOther(&in, id, &main_length, &last);
    if (fault) return fault;
  }
  payload += main_length;
  if (in.remaining() != payload)
    return Fault("the fragments' lengths do not add up to the record's", in);

  // Nothing below can run out of bytes: the lengths were added up.
  const uint8_t* next = in.position();
  for (uint64_t left = in_use_; left != 0; left &= left - 1) {
    BlockRef& b = blocks_[__builtin_ctzll(left)];
    if (b.has_image) {
      b.image = Bytes(next, b.image.size());
      next += b.image.size();
    }
    b.data = Bytes(next, b.data.size());
    next += b.data.size();
  }
  main_data_ = Bytes(next, main_length);
  return {};
}

}  // namespace neon_redo
