// A record made of its parts, for tests of descriptions.
#ifndef NEON_REDO_TESTS_UNIT_DESCRIBED_RECORD_H_
#define NEON_REDO_TESTS_UNIT_DESCRIBED_RECORD_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "neon_redo/describe.h"
#include "neon_redo/record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {

// A record with main data and, if asked, data for block 0; in memory of exactly its size.
class DescribedRecord {
 public:
  DescribedRecord(uint8_t rmid, uint8_t info, const std::string& main,
                  const std::string& block = {}, const pg::Version& version = kPg15)
      : view_(version) {
    std::string bytes(kRecordHeaderSize, '\0');
    if (!block.empty()) {
      bytes += '\0';    // id
      bytes += '\x20';  // main fork, has data
      const auto n = static_cast<uint16_t>(block.size());
      bytes.append(reinterpret_cast<const char*>(&n), 2);
      for (uint32_t v : {1663u, 5u, 16384u, 9u}) bytes.append(reinterpret_cast<const char*>(&v), 4);
    }
    if (!main.empty()) {
      bytes += '\xfe';
      const auto n = static_cast<uint32_t>(main.size());
      bytes.append(reinterpret_cast<const char*>(&n), 4);
    }
    bytes += block + main;
    RecordHeader h{};
    h.total_length = static_cast<uint32_t>(bytes.size());
    h.xid = 731;
    h.prev_lsn = 0x1500000a8;
    h.rmid = rmid;
    h.info = info;
    std::memcpy(bytes.data(), &h, sizeof(h));
    bytes_.reset(new uint8_t[bytes.size()]);
    std::memcpy(bytes_.get(), bytes.data(), bytes.size());
    fault_ = view_.Parse(Bytes(bytes_.get(), bytes.size()));
  }
  const RecordView& view() const {
    EXPECT_FALSE(fault_) << fault_.what;
    return view_;
  }
  std::string Operation() const {
    std::string out;
    DescribeOperation(view(), &out);
    return out;
  }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  RecordView view_;
  RecordFault fault_;
};

template <typename... T>
std::string Fields(T... fields) {
  std::string out;
  (out.append(reinterpret_cast<const char*>(&fields), sizeof(fields)), ...);
  return out;
}

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_DESCRIBED_RECORD_H_
