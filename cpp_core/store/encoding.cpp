// A fixed header in native byte order, for an image the fields of its header, then the payload.
#include "cpp_core/store/encoding.h"

#include <fmt/format.h>

namespace neon_redo {

namespace {

struct Header {
  uint8_t kind;
  uint8_t block_id;
  uint8_t whole;
  uint8_t flags;
  uint32_t number;
  uint32_t number2;
  uint32_t padding;
  int64_t time;
};
static_assert(sizeof(Header) == 24);

struct ImageHeader {
  uint16_t hole_offset;
  uint16_t hole_length;
  uint8_t info;
  uint8_t padding;
};
static_assert(sizeof(ImageHeader) == 6);

template <typename T>
void Append(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

void EncodeChange(const Change& c, const RecordView& record, std::string* out) {
  out->clear();
  Append(Header{static_cast<uint8_t>(c.kind), c.block_id, c.whole, c.flags, c.number, c.number2, 0,
                c.time},
         out);
  if (c.kind == ChangeKind::kImage) {
    const BlockRef& ref = *record.block(c.block_id);
    Append(ImageHeader{ref.hole_offset, ref.hole_length, ref.image_info, 0}, out);
  }
  out->append(reinterpret_cast<const char*>(c.payload.data()), c.payload.size());
}

Result<DecodedChange> DecodeChange(const PageKey& key, Bytes value) {
  ByteReader in(value);
  Header header;
  ImageHeader image{};
  DecodedChange out{};
  const bool fine = in.Read(&header) && header.kind < kChangeKinds &&
                    (header.kind != static_cast<uint8_t>(ChangeKind::kImage) || in.Read(&image));
  if (!fine)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("there are bytes that are no change of {}", key.Describe()));
  Change& c = out.change;
  c.key = key;
  c.kind = static_cast<ChangeKind>(header.kind);
  c.block_id = header.block_id;
  c.whole = header.whole != 0;
  c.flags = header.flags;
  c.number = header.number;
  c.number2 = header.number2;
  c.time = header.time;
  in.ReadBytes(in.remaining(), &c.payload);
  if (c.kind == ChangeKind::kImage) {
    out.image.has_image = out.image.apply_image = true;
    out.image.hole_offset = image.hole_offset;
    out.image.hole_length = image.hole_length;
    out.image.image_info = image.info;
    out.image.image = c.payload;
  }
  return out;
}

Result<DecodedChange> DecodeStored(const PageKey& key, const StoredChange& stored) {
  return DecodeChange(key,
                      {reinterpret_cast<const uint8_t*>(stored.value.data()), stored.value.size()});
}

}  // namespace neon_redo
