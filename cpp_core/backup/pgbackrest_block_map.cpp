// Numbers have 7 bits in each byte, the lowest first; the highest bit says that another byte follows.
//
//   map:         version (0), then references until one has kLast
//   reference:   index << 3 | flags
//                the first time:  [bundle if kBundle] [offset if kOffset], super blocks
//                later, kContinue: more blocks of the super block that this reference had last, which is
//                the last one of the reference if kContinueLast; then other super blocks
//                later, else: [bytes to leave out after that super block, if kOffset], super blocks
//   super block: size << 3 | flags; the size is the first one, or the difference to the one before
//                [unpacked size in blocks << 1 | has a remainder [remainder], if kSizeChanges]
//                [(blocks - 1) << 1 | leaves out [blocks left out], if kSomeBlocks], checksums of blocks
#include "cpp_core/backup/pgbackrest_block_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr uint64_t kLast = 1;
constexpr uint64_t kBundle = 2, kOffset = 4;           // of a reference that is new
constexpr uint64_t kContinue = 2, kContinueLast = 4;   // of one that was there before
constexpr uint64_t kSizeChanges = 2, kSomeBlocks = 4;  // of a super block
constexpr int kReferenceShift = 3, kSuperBlockShift = 3;
constexpr uint64_t kMaxSuperBlock = 64 << 20;
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

// What the last super block of a reference was.
struct Reference {
  uint64_t bundle = 0, offset = 0, stored_size = 0, super_block_size = 0;
  uint64_t next_block = 0;  // the one after the last that the map has
};

class MapReader {
 public:
  MapReader(Bytes map, const PgBackRestMapShape& shape, const std::string& where)
      : in_(map), begin_(map.data()), shape_(shape), where_(where) {
    wanted_ = (shape.file_size + shape.block_size - 1) / shape.block_size;
  }

  Result<std::vector<PgBackRestBlock>> Read() {
    ASSIGN_OR_RETURN(const uint64_t version, Number());
    if (version % 2 != 0) return Corrupt("its version is not known");
    for (bool last = false; !last;) {
      ASSIGN_OR_RETURN(const uint64_t encoded, Number());
      RETURN_IF_ERROR(ReadReference(encoded));
      last = encoded & kLast;
    }
    if (in_.remaining() > 0) return Corrupt("something stands behind its end");
    if (out_.size() != wanted_)
      return Corrupt(fmt::format("it has {} blocks, and the file {}", out_.size(), wanted_));
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> Corrupt(const std::string& why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("the map of {} is damaged at byte {}: {}",
                                                      where_, in_.position() - begin_, why));
  }

  Result<uint64_t> Number() {
    uint64_t number = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      uint8_t byte;
      if (!in_.Read(&byte)) return Corrupt("it is cut off");
      if (shift == 63 && byte > 1) break;
      number |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return number;
    }
    return Corrupt("a number is too large");
  }
  // One that can be added to another.
  Result<uint64_t> SmallNumber() {
    ASSIGN_OR_RETURN(const uint64_t number, Number());
    if (number > kMaxNumber) return Corrupt("a number is too large");
    return number;
  }

  Status ReadReference(uint64_t encoded) {
    const uint64_t index = encoded >> kReferenceShift;
    if (index >= shape_.references) return Corrupt("it refers to a backup that is not listed");
    const auto [found, is_new] = references_.insert({index, {}});
    Reference& reference = found->second;
    const auto number = static_cast<uint32_t>(index);
    if (is_new) {
      reference.super_block_size = shape_.block_size;
      if (encoded & kBundle) {
        ASSIGN_OR_RETURN(reference.bundle, SmallNumber());
      }
      if (encoded & kOffset) {
        ASSIGN_OR_RETURN(reference.offset, SmallNumber());
      }
    } else if (encoded & kContinue) {
      last_size_ = reference.stored_size;
      RETURN_IF_ERROR(ReadBlocks(number, &reference, true));
      if (encoded & kContinueLast) return {};
      reference.offset += reference.stored_size;
    } else {
      reference.offset += reference.stored_size;
      if (encoded & kOffset) {
        ASSIGN_OR_RETURN(const uint64_t gap, SmallNumber());
        reference.offset += gap;
      }
    }
    for (bool last = false; !last;) {
      ASSIGN_OR_RETURN(const uint64_t flags, ReadSuperBlock(number, &reference));
      last = flags & kLast;
      if (!last) reference.offset += reference.stored_size;
    }
    return {};
  }

  // Its flags.
  Result<uint64_t> ReadSuperBlock(uint32_t number, Reference* reference) {
    ASSIGN_OR_RETURN(const uint64_t encoded, Number());
    uint64_t size = encoded >> kSuperBlockShift;
    // Zigzag: the lowest bit is the sign.
    if (last_size_ != 0) size = last_size_ + ((size >> 1) ^ (~(size & 1) + 1));
    if (size == 0 || size > kMaxNumber || reference->offset > kMaxNumber)
      return Corrupt("a super block has a size or place that cannot be");
    if (encoded & kSizeChanges) {
      ASSIGN_OR_RETURN(const uint64_t blocks, SmallNumber());
      uint64_t remainder = 0;
      if (blocks & 1) {
        ASSIGN_OR_RETURN(remainder, SmallNumber());
      }
      if (blocks >> 1 > kMaxSuperBlock / shape_.block_size || remainder >= shape_.block_size)
        return Corrupt("a super block is too large");
      reference->super_block_size = (blocks >> 1) * shape_.block_size + remainder;
    }
    reference->stored_size = last_size_ = size;
    reference->next_block = 0;
    RETURN_IF_ERROR(ReadBlocks(number, reference, encoded & kSomeBlocks));
    return encoded;
  }

  Status ReadBlocks(uint32_t number, Reference* reference, bool has_count) {
    const uint64_t in_super_block =
        (reference->super_block_size + shape_.block_size - 1) / shape_.block_size;
    uint64_t count = in_super_block;
    if (has_count) {
      ASSIGN_OR_RETURN(const uint64_t encoded, SmallNumber());
      count = (encoded >> 1) + 1;
      if (encoded & 1) {
        ASSIGN_OR_RETURN(const uint64_t left_out, SmallNumber());
        reference->next_block += left_out;
      }
    }
    if (reference->next_block > in_super_block || count > in_super_block - reference->next_block)
      return Corrupt("it has a block behind the end of its super block");
    if (count > wanted_ - out_.size())
      return Corrupt(fmt::format("it has more blocks than the file, which has {}", wanted_));
    for (; count > 0; count--) {
      PgBackRestBlock block{number,
                            static_cast<uint32_t>(reference->next_block++),
                            reference->bundle,
                            reference->offset,
                            reference->stored_size,
                            reference->super_block_size,
                            {}};
      Bytes checksum;
      if (!in_.ReadBytes(shape_.checksum_size, &checksum)) return Corrupt("it is cut off");
      std::copy(checksum.begin(), checksum.end(), block.checksum.begin());
      out_.push_back(block);
    }
    return {};
  }

  ByteReader in_;
  const uint8_t* const begin_;
  const PgBackRestMapShape& shape_;
  const std::string& where_;
  uint64_t wanted_ = 0;  // blocks of the file
  std::map<uint64_t, Reference> references_;
  uint64_t last_size_ = 0;
  std::vector<PgBackRestBlock> out_;
};

}  // namespace

Result<std::vector<PgBackRestBlock>> ParsePgBackRestBlockMap(Bytes map,
                                                             const PgBackRestMapShape& shape,
                                                             const std::string& where) {
  return MapReader(map, shape, where).Read();
}

}  // namespace neon_redo
