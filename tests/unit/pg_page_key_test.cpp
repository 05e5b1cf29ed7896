#include "neon_redo/page_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace neon_redo {
namespace {

std::vector<uint8_t> Stored(const PageKey& key) {
  std::vector<uint8_t> bytes(PageKey::kSize);
  key.Store(bytes.data());
  return bytes;
}

PageKey RandomKey(std::mt19937* random) {
  std::vector<uint8_t> bytes(PageKey::kSize);
  // Few values, so that fields are equal often.
  for (uint8_t& byte : bytes) byte = (*random)() % 4 == 0 ? 0xff : (*random)() % 2;
  return PageKey::Load(bytes.data());
}

TEST(PageKeyTest, HasThePageServersBytes) {
  EXPECT_EQ(PageKey::OfBlock({{1663, 5, 16384}, kMainFork, 7}).ToString(),
            "000000067F00000005000040000000000007");
  EXPECT_EQ(PageKey::OfBlock({{1664, 0, 1262}, kVisibilityMapFork, 0xfffffffe}).ToString(),
            "000000068000000000000004EE02FFFFFFFE");
  EXPECT_EQ(PageKey::OfSlruBlock({SlruKind::kClog, 10, 3}).ToString(),
            "0100000000000000010000000A0000000003");
  EXPECT_EQ(PageKey::OfSlruBlock({SlruKind::kMultixactMembers, 0xabcdef, 31}).ToString(),
            "01000000010000000100ABCDEF000000001F");
  EXPECT_EQ(PageKey::OfSlruBlock({SlruKind::kMultixactOffsets, 0, 0}).ToString(),
            "010000000200000001000000000000000000");
}

TEST(PageKeyTest, ConvertsBothWays) {
  std::mt19937 random(1);
  for (int i = 0; i < 10000; ++i) {
    const BlockTag tag{{static_cast<uint32_t>(random()), static_cast<uint32_t>(random()),
                        static_cast<uint32_t>(random()) | 1},
                       static_cast<uint8_t>(random() % 4),
                       static_cast<uint32_t>(random()) & 0xfffffffe};
    EXPECT_EQ(PageKey::OfBlock(tag).ToBlock().value(), tag);
    EXPECT_FALSE(PageKey::OfBlock(tag).ToSlruBlock());
    const SlruBlock slru{static_cast<SlruKind>(random() % 3), static_cast<uint32_t>(random()),
                         static_cast<uint32_t>(random() % 32)};
    EXPECT_EQ(PageKey::OfSlruBlock(slru).ToSlruBlock().value(), slru);
    EXPECT_FALSE(PageKey::OfSlruBlock(slru).ToBlock());
    const PageKey key = RandomKey(&random);
    EXPECT_EQ(PageKey::Load(Stored(key).data()), key);
    EXPECT_EQ(PageKey::Parse(key.ToString()).value(), key);
  }
}

TEST(PageKeyTest, RefusesKeysOfOtherThings) {
  const PageKey block = PageKey::OfBlock({{1663, 5, 16384}, kMainFork, 7});
  PageKey key = block;
  key.field6 = 0xffffffff;  // the relation's size
  EXPECT_FALSE(key.ToBlock());
  key = block;
  key.field4 = 0;  // a directory
  EXPECT_FALSE(key.ToBlock());
  key = block;
  key.field5 = 4;
  EXPECT_FALSE(key.ToBlock());
  const PageKey slru = PageKey::OfSlruBlock({SlruKind::kClog, 1, 2});
  key = slru;
  key.field2 = kSlruKinds;
  EXPECT_FALSE(key.ToSlruBlock());
  key = slru;
  key.field3 = 0;  // the directory of segments
  EXPECT_FALSE(key.ToSlruBlock());
  for (uint32_t no_block : {32u, 0xffffffffu}) {
    key = slru;
    key.field6 = no_block;
    const Result<SlruBlock> refused = key.ToSlruBlock();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find(key.ToString()), std::string::npos);
  }
}

TEST(PageKeyTest, IsOrderedAsItsBytesAre) {
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    const PageKey a = RandomKey(&random);
    const PageKey b = RandomKey(&random);
    EXPECT_EQ(a < b, Stored(a) < Stored(b));
    EXPECT_EQ(a == b, Stored(a) == Stored(b));
  }
}

TEST(PageKeyTest, ParsesHexadecimalDigitsOnly) {
  const std::string good = "000000067f00000005000040000000000007";
  EXPECT_TRUE(PageKey::Parse(good));
  EXPECT_FALSE(PageKey::Parse(""));
  EXPECT_FALSE(PageKey::Parse(good + "0"));
  EXPECT_FALSE(PageKey::Parse(good.substr(1)));
  for (size_t at = 0; at < good.size(); ++at) {
    for (char bad : {'g', ' ', '-', '\0', '/', ':', '@', 'G', '`'}) {
      std::string text = good;
      text[at] = bad;
      EXPECT_FALSE(PageKey::Parse(text)) << text;
    }
  }
}

TEST(PageKeyTest, DescribesWhatItNames) {
  EXPECT_EQ(PageKey::OfBlock({{1663, 5, 16384}, kMainFork, 7}).Describe(),
            "block 7 of 1663/5/16384 (main fork)");
  EXPECT_EQ(PageKey::OfSlruBlock({SlruKind::kClog, 10, 3}).Describe(),
            "block 3 of clog segment 000A");
  EXPECT_EQ(PageKey().Describe(), "key 000000000000000000000000000000000000");
}

}  // namespace
}  // namespace neon_redo
