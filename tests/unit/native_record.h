// WAL records put together by hand for the native engine's tests.
#ifndef NEON_REDO_TESTS_UNIT_NATIVE_RECORD_H_
#define NEON_REDO_TESTS_UNIT_NATIVE_RECORD_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "cpp_core/base/crc32c.h"
#include "neon_redo/native.h"
#include "neon_redo/record.h"
#include "tests/unit/version_15.h"

namespace neon_redo::testing {

inline constexpr RelFileNode kRel = {1663, 5, 16384};

// Little-endian fields, one after another.
class Fields {
 public:
  Fields& U8(uint8_t v) { return Raw(&v, 1); }
  Fields& U16(uint16_t v) { return Raw(&v, 2); }
  Fields& U32(uint32_t v) { return Raw(&v, 4); }
  Fields& U64(uint64_t v) { return Raw(&v, 8); }
  Fields& Text(const char* s) { return Raw(s, std::strlen(s)); }
  Fields& Raw(const void* p, size_t n) {
    const auto* from = static_cast<const uint8_t*>(p);
    bytes_.insert(bytes_.end(), from, from + n);
    return *this;
  }
  Fields& Add(const Fields& other) { return Raw(other.bytes_.data(), other.bytes_.size()); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  std::vector<uint8_t> bytes_;
};

// A record of one resource manager. Blocks are added in the order of their ids.
class RecordBuilder {
 public:
  RecordBuilder(uint8_t rmid, uint8_t info, uint32_t xid = 700)
      : rmid_(rmid), info_(info), xid_(xid) {}

  RecordBuilder& Block(uint8_t id, uint32_t block, const Fields& data = {}, bool init = false,
                       uint8_t fork = kMainFork) {
    headers_.U8(id).U8(static_cast<uint8_t>(fork | (data.size() ? 0x20 : 0) | (init ? 0x40 : 0)));
    headers_.U16(static_cast<uint16_t>(data.size()));
    headers_.U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(block);
    payload_.Add(data);
    return *this;
  }
  // A whole page as image to apply.
  RecordBuilder& Image(uint8_t id, uint32_t block, const uint8_t* page, uint8_t fork = kMainFork) {
    headers_.U8(id).U8(0x10 | fork).U16(0).U16(kBlockSize).U16(0).U8(kImageApply);
    headers_.U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(block);
    payload_.Raw(page, kBlockSize);
    return *this;
  }
  RecordBuilder& Main(const Fields& main) {
    main_ = main;
    return *this;
  }

  std::vector<uint8_t> Bytes() const {
    Fields body = headers_;
    if (main_.size() > 255)
      body.U8(254).U32(static_cast<uint32_t>(main_.size()));
    else if (main_.size() > 0)
      body.U8(255).U8(static_cast<uint8_t>(main_.size()));
    body.Add(payload_).Add(main_);
    Fields record;
    record.U32(static_cast<uint32_t>(kRecordHeaderSize + body.size())).U32(xid_).U64(0);
    record.U8(info_).U8(rmid_).U16(0).U32(0).Add(body);
    std::vector<uint8_t> bytes = record.bytes();
    const uint32_t crc = RecordCrc32c(bytes);
    std::memcpy(bytes.data() + 20, &crc, sizeof(crc));
    return bytes;
  }

 private:
  uint8_t rmid_, info_;
  uint32_t xid_;
  Fields headers_, payload_, main_;
};

struct alignas(8) TestPage {
  uint8_t bytes[kBlockSize] = {};
};

// Applies one record whose target is block_id; the buffers are of exactly the size they must have,
// so that a sanitizer sees any step outside them.
inline NativeResult Apply(const std::vector<uint8_t>& record, int block_id, uint64_t lsn,
                          TestPage* page, bool have_page = true,
                          const pg::Version& version = kPg15) {
  const auto bytes = std::make_unique<uint8_t[]>(record.size());
  std::memcpy(bytes.get(), record.data(), record.size());
  RecordView view{version};
  if (view.Parse({bytes.get(), record.size()})) return NativeResult::kUnsupported;
  const auto copy = std::make_unique<TestPage>(*page);
  const NativeResult result = ApplyNative(view, block_id, Lsn(lsn), copy->bytes, have_page);
  *page = *copy;
  return result;
}

}  // namespace neon_redo::testing

#endif  // NEON_REDO_TESTS_UNIT_NATIVE_RECORD_H_
