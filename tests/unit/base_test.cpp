#include <gtest/gtest.h>

#include <string>

#include "cpp_core/base/bytes.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/lsn.h"

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
