// Two passes, as DecodeXLogRecord does it. First the fragment headers, adding up the payload they
// promise; the headers end when what is left of the record is exactly that payload. Then the
// payload is handed out in order: per block its image and its data, main data last.
//
// Most records have one plain shape, whose parts stand at fixed offsets: those are taken at a
// glance (ParsePlain).
#include "neon_redo/record.h"

#include <cstring>

#include "cpp_core/pg/wal_record.h"

namespace neon_redo {

namespace {

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

// Where parsing stands. A local of Parse whose address nobody keeps, so that it lives in registers.
struct RecordView::Cursor {
  ByteReader in;
  uint64_t payload = 0;  // bytes that the headers so far promise
  uint32_t main_length = 0;
  bool at_main_data = false;
  uint64_t in_use = 0;
  int max_block_id = -1;
  const RelFileNode* previous_rel = nullptr;
};

inline RecordFault RecordView::Fault(const char* what, const ByteReader& in) const {
  return {what, static_cast<uint32_t>(in.position() - bytes_.data())};
}

// Everything that is not a plain reference without an image: seldom enough to stay out of line.
// *size: of the header.
[[gnu::noinline]] RecordFault RecordView::ParseImageHeader(ByteReader in, BlockRef* b,
                                                           size_t* size) const {
  const uint8_t* const start = in.position();
  uint16_t length;
  if (!in.Read(&length) || !in.Read(&b->hole_offset) || !in.Read(&b->image_info))
    return Fault(kShort, in);
  b->apply_image = b->image_info & kImageApply;
  if (b->image_info & kImageMethods) {
    if ((b->image_info & kImageHasHole) && !in.Read(&b->hole_length)) return Fault(kShort, in);
  } else if (length <= kBlockSize) {
    b->hole_length = static_cast<uint16_t>(kBlockSize - length);
  }
  if (const char* fault = ImageFault(*b, length)) return Fault(fault, in);
  b->image = Bytes(bytes_.data(), length);
  *size = static_cast<size_t>(in.position() - start);
  return {};
}

// Only the lengths of image and data count until the payload is handed out; their pointers are set
// then.
[[gnu::always_inline]] inline RecordFault RecordView::ParseBlockHeader(Cursor* c, uint8_t id) {
  if (static_cast<int>(id) <= c->max_block_id) return Fault("block ids are out of order", c->in);
  BlockRef& b = blocks_[id];
  uint8_t flags;
  uint16_t data_length;
  if (!c->in.Read(&flags) || !c->in.Read(&data_length)) return Fault(kShort, c->in);
  b.flags = flags;
  b.tag.fork = flags & kBlockForkMask;
  b.has_image = flags & kBlockHasImage;
  b.has_data = flags & kBlockHasData;
  b.will_init = flags & kBlockWillInit;
  b.apply_image = false;
  b.image_info = 0;
  b.hole_offset = b.hole_length = 0;
  b.image = Bytes();
  b.data = Bytes(bytes_.data(), data_length);
  if ((flags & kBlockForkMask) > kMaxForkNumber)
    return Fault("block reference names a fork that does not exist", c->in);
  if (((flags & kBlockHasData) != 0) != (data_length > 0))
    return Fault("block reference's data flag and data length disagree", c->in);
  c->payload += data_length;
  if (flags & kBlockHasImage) {
    size_t size = 0;
    if (RecordFault fault = ParseImageHeader(c->in, &b, &size)) return fault;
    c->in.Skip(size);
    c->payload += b.image.size();
  }
  if (flags & kBlockSameRel) {
    if (c->previous_rel == nullptr)
      return Fault("block reference repeats a relation, but is the first", c->in);
    b.tag.rel = *c->previous_rel;
  } else if (!c->in.Read(&b.tag.rel)) {
    return Fault(kShort, c->in);
  }
  c->previous_rel = &b.tag.rel;
  if (!c->in.Read(&b.tag.block)) return Fault(kShort, c->in);
  c->in_use |= uint64_t{1} << id;
  c->max_block_id = id;
  return {};
}

// The fragments that are not block references. Main data is the last.
[[gnu::always_inline]] inline RecordFault RecordView::ParseOther(Cursor* c, uint8_t id) {
  uint8_t short_length = 0;
  bool fits;
  switch (id) {
    case kFragmentDataShort:
      fits = c->in.Read(&short_length);
      c->main_length = short_length;
      c->at_main_data = true;
      break;
    case kFragmentDataLong:
      fits = c->in.Read(&c->main_length);
      c->at_main_data = true;
      break;
    case kFragmentOrigin:
      fits = c->in.Read(&origin_);
      break;
    case kFragmentToplevelXid:
      fits = c->in.Read(&toplevel_xid_);
      break;
    default:
      return Fault("unknown fragment id", c->in);
  }
  return fits ? RecordFault{} : Fault(kShort, c->in);
}

// A reference to block 0 with its relation and without an image, and at most 255 bytes of main data
// after a short header. False for any other record and for a wrong one: Parse reports what is
// wrong.
[[gnu::always_inline]] inline bool RecordView::ParsePlain(Bytes record) {
  constexpr size_t kSize = kRecordHeaderSize + 4 + sizeof(RelFileNode) + 4 + 2;  // of all headers
  if (record.size() < kSize) return false;
  const uint8_t* const block = record.data() + kRecordHeaderSize;   // id, flags, length of data
  const uint8_t* const main = block + 4 + sizeof(RelFileNode) + 4;  // id, length
  const uint8_t flags = block[1];
  const auto data_length = LoadNative<uint16_t>(block + 2);
  const bool has_data = flags & kBlockHasData;
  if (LoadNative<uint32_t>(record.data()) != record.size() || block[0] != 0 ||
      (flags & (kBlockHasImage | kBlockSameRel)) != 0 ||
      (flags & kBlockForkMask) > kMaxForkNumber || has_data != (data_length > 0) ||
      main[0] != kFragmentDataShort || record.size() != kSize + data_length + main[1])
    return false;
  std::memcpy(&header_, record.data(), sizeof(header_));
  in_use_ = 1;
  max_block_id_ = 0;
  BlockRef& b = blocks_[0];
  b.flags = flags;
  b.tag.fork = flags & kBlockForkMask;
  b.has_image = b.apply_image = false;
  b.has_data = has_data;
  b.will_init = flags & kBlockWillInit;
  b.image_info = 0;
  b.hole_offset = b.hole_length = 0;
  b.image = Bytes();
  b.tag.rel.spc = LoadNative<uint32_t>(block + 4);
  b.tag.rel.db = LoadNative<uint32_t>(block + 8);
  b.tag.rel.rel = LoadNative<uint32_t>(block + 12);
  b.tag.block = LoadNative<uint32_t>(block + 16);
  b.data = Bytes(main + 2, data_length);
  main_data_ = Bytes(main + 2 + data_length, main[1]);
  return true;
}

RecordFault RecordView::Parse(Bytes record) {
  bytes_ = record;
  origin_ = 0;
  toplevel_xid_ = 0;
  if (ParsePlain(record)) [[likely]]
    return {};
  return ParseAny(record);
}

// Out of line: the cursor on its stack costs the stack protector's instructions.
[[gnu::noinline]] RecordFault RecordView::ParseAny(Bytes record) {
  Cursor c{ByteReader(record)};
  if (!c.in.Read(&header_)) return {"the record is shorter than its fixed header", 0};
  if (header_.total_length != record.size())
    return {"the record's length field differs from its length", 0};
  if (header_.total_length > kMaxRecordLength) return {"the record is longer than 1 GB", 0};

  while (!c.at_main_data && c.in.remaining() > c.payload) {
    uint8_t id;
    if (!c.in.Read(&id)) return Fault(kShort, c.in);
    RecordFault fault = id <= kMaxBlockId ? ParseBlockHeader(&c, id) : ParseOther(&c, id);
    if (fault) return fault;
  }
  if (c.in.remaining() != c.payload + c.main_length)
    return Fault("the fragments' lengths do not add up to the record's", c.in);
  in_use_ = c.in_use;
  max_block_id_ = c.max_block_id;

  // Nothing below can run out of bytes: the lengths were added up.
  const uint8_t* next = c.in.position();
  for (uint64_t left = c.in_use; left != 0; left &= left - 1) {
    BlockRef& b = blocks_[__builtin_ctzll(left)];
    if (b.has_image) {
      b.image = Bytes(next, b.image.size());
      next += b.image.size();
    }
    b.data = Bytes(next, b.data.size());
    next += b.data.size();
  }
  main_data_ = Bytes(next, c.main_length);
  return {};
}

}  // namespace neon_redo
