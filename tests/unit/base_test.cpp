#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/base/crc32c.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {
namespace {

TEST(Lsn, FormatsAsPostgres) {
  EXPECT_EQ(Lsn(0).ToString(), "0/0");
  EXPECT_EQ(Lsn(0x16B374D848).ToString(), "16/B374D848");
  EXPECT_EQ(Lsn(~uint64_t{0}).ToString(), "FFFFFFFF/FFFFFFFF");
}

TEST(Lsn, ParsesWhatItFormats) {
  for (uint64_t v = 1; v != 0; v <<= 1) {
    for (uint64_t w : {v - 1, v, v + 1}) {
      auto parsed = Lsn::Parse(Lsn(w).ToString());
      ASSERT_TRUE(parsed.has_value());
      EXPECT_EQ(parsed->value, w);
    }
  }
  EXPECT_EQ(Lsn::Parse("16/b374d848")->value, 0x16B374D848u);
  EXPECT_EQ(Lsn::Parse("00000016/0000000A")->value, 0x160000000Au);
}

TEST(Lsn, RefusesAnythingElse) {
  for (const char* text : {"", "/", "1", "1/", "/1", "1/2/3", " 1/2", "1/2 ", "0x1/2", "1/0x2",
                           "-1/2", "1/-2", "+1/2", "123456789/1", "1/123456789", "g/1", "1/g"}) {
    auto parsed = Lsn::Parse(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(parsed.error().message.find(std::string("\"") + text + "\""), std::string::npos);
  }
}

TEST(Crc32c, KnownAnswers) {
  const std::string digits = "123456789";  // the check value of the CRC catalogue
  EXPECT_EQ(Crc32c(Bytes(reinterpret_cast<const uint8_t*>(digits.data()), digits.size())),
            0xE3069283u);
  EXPECT_EQ(Crc32c(Bytes()), 0u);
}

// Lets long buffers be summed as on a processor without wide instructions.
class WithoutFolding {
 public:
  WithoutFolding() { crc32c_folds = false; }
  ~WithoutFolding() { crc32c_folds = folds_; }

 private:
  const bool folds_ = crc32c_folds;
};

// Every length at which the number of words in a stream changes, at every alignment, in one piece
// and in two, against a bit at a time.
TEST(Crc32c, AgreesWithTheDefinition) {
  std::vector<uint8_t> bytes(9000);
  uint32_t noise = 1;
  for (uint8_t& b : bytes) b = static_cast<uint8_t>((noise = noise * 1103515245 + 12345) >> 16);
  std::vector<uint32_t> expected(bytes.size());  // [n]: of bytes 7 to 7 + n
  uint32_t crc = kCrc32cInit;
  for (size_t n = 0; n + 8 < bytes.size(); n++) {
    expected[n] = Crc32cFinish(crc);
    crc ^= bytes[7 + n];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  for (size_t n = 0; n + 8 < bytes.size(); n += n < 3200 ? 1 : 7) {
    for (size_t at = 0; at < 8; at++) {
      std::vector<uint8_t> copy(bytes.begin() + 7, bytes.begin() + 7 + static_cast<long>(n));
      copy.insert(copy.begin(), at, 0xff);
      ASSERT_EQ(Crc32c(Bytes(copy).subspan(at)), expected[n]) << n << " bytes at " << at;
      if (n > 600) break;
    }
    const Bytes all = Bytes(bytes).subspan(7, n);
    const size_t cut = n * 2 / 5;
    ASSERT_EQ(
        Crc32cFinish(Crc32cExtend(Crc32cExtend(kCrc32cInit, all.first(cut)), all.subspan(cut))),
        expected[n]);
    if (n < 24) continue;
    // A record: all behind the header, then 20 bytes of it.
    const uint32_t sum = Crc32cExtend(kCrc32cInit, all.subspan(24));
    ASSERT_EQ(RecordCrc32c(all), Crc32cFinish(Crc32cExtend(sum, all.first(20))));
    const WithoutFolding guard;
    ASSERT_EQ(Crc32c(all), expected[n]);
    ASSERT_EQ(RecordCrc32c(all), Crc32cFinish(Crc32cExtend(sum, all.first(20))));
  }
}

TEST(ByteReader, NeverReadsPastTheEnd) {
  const uint8_t bytes[7] = {1, 2, 3, 4, 5, 6, 7};
  for (size_t n = 0; n <= sizeof(bytes); n++) {
    ByteReader in(Bytes(bytes, n));
    uint32_t word = 0;
    EXPECT_EQ(in.Read(&word), n >= 4);
    Bytes rest;
    EXPECT_FALSE(in.ReadBytes(in.remaining() + 1, &rest));
    EXPECT_TRUE(in.ReadBytes(in.remaining(), &rest));
    EXPECT_EQ(rest.size(), n >= 4 ? n - 4 : n);
    EXPECT_FALSE(in.Skip(1));
  }
}

TEST(Bytes, BigEndianRoundTrip) {
  uint8_t b[8];
  StoreBe32(b, 0x01020304);
  EXPECT_EQ(b[0], 1);
  EXPECT_EQ(b[3], 4);
  EXPECT_EQ(LoadBe32(b), 0x01020304u);
  StoreBe64(b, 0x0102030405060708);
  EXPECT_EQ(b[7], 8);
  EXPECT_EQ(LoadBe64(b), 0x0102030405060708u);
}

}  // namespace
}  // namespace neon_redo
