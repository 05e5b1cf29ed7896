#include "neon_redo/wal_reader.h"

#include <gtest/gtest.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

extern "C" {
// common/pg_lzcompress.h: PGLZ_MAX_OUTPUT(n) is n + 4.
int32_t pglz_compress(const char* source, int32_t slen, char* dest, const void* strategy);
extern const void* const PGLZ_strategy_always;
}

namespace neon_redo {
namespace {

using Page = std::vector<uint8_t>;

// Text-like content with a hole of zeroes.
Page MakePage(uint16_t hole_offset, uint16_t hole_length) {
  Page page(kBlockSize);
  for (size_t i = 0; i < page.size(); i++)
    page[i] = static_cast<uint8_t>("row of a table "[i % 15] + i / 700);
  std::fill_n(page.begin() + hole_offset, hole_length, uint8_t{0});
  return page;
}

std::vector<uint8_t> Compress(uint8_t method, const std::vector<uint8_t>& in) {
  std::vector<uint8_t> out(in.size() * 2 + 100);
  const auto* from = reinterpret_cast<const char*>(in.data());
  auto* to = reinterpret_cast<char*>(out.data());
  const auto n = static_cast<int>(in.size());
  size_t size = 0;
  if (method == kImagePglz)
    size = static_cast<size_t>(pglz_compress(from, n, to, PGLZ_strategy_always));
  if (method == kImageLz4)
    size = static_cast<size_t>(LZ4_compress_default(from, to, n, static_cast<int>(out.size())));
  if (method == kImageZstd) size = ZSTD_compress(to, out.size(), from, in.size(), 3);
  out.resize(size);
  return out;
}

struct Case {
  uint8_t method;
  uint16_t hole_offset;
  uint16_t hole_length;
};

class Image : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    page_ = MakePage(c.hole_offset, c.hole_length);
    std::vector<uint8_t> stored(page_);
    stored.erase(stored.begin() + c.hole_offset, stored.begin() + c.hole_offset + c.hole_length);
    bytes_ = c.method ? Compress(c.method, stored) : stored;
    ref_ = BlockRef{};
    ref_.tag = {{1663, 5, 16384}, kVisibilityMapFork, 77};
    ref_.has_image = true;
    ref_.image_info = static_cast<uint8_t>(c.method | (c.hole_length ? kImageHasHole : 0));
    ref_.hole_offset = c.hole_offset;
    ref_.hole_length = c.hole_length;
  }
  // The image in memory of exactly its size, so that a sanitizer sees every byte too many.
  Status Restore(const std::vector<uint8_t>& bytes, Page* out) {
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    ref_.image = Bytes(exact.get(), bytes.size());
    out->assign(kBlockSize, 0xee);
    return RestoreImage(ref_, out->data());
  }
  Page page_;
  std::vector<uint8_t> bytes_;
  BlockRef ref_;
};

TEST_P(Image, IsRestored) {
  Page out;
  ASSERT_TRUE(Restore(bytes_, &out));
  EXPECT_EQ(out, page_);
}

TEST_P(Image, EveryTruncationIsRefused) {
  Page out;
  for (size_t n = 0; n < bytes_.size(); n++) {
    const auto status = Restore({bytes_.begin(), bytes_.begin() + static_cast<long>(n)}, &out);
    ASSERT_FALSE(status) << n;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(status.error().message.find("relation 1663/5/16384 fork vm block 77"),
              std::string::npos);
  }
}

#ifdef __SANITIZE_ADDRESS__  // only a sanitizer can find a fault here
TEST_P(Image, HostileBytesStayInBounds) {
  std::mt19937 random(5);
  Page out;
  for (int round = 0; round < 3000; round++) {
    auto bytes = bytes_;
    for (int i = 0; i < 1 + round % 4; i++)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    (void)Restore(bytes, &out);
  }
}
#endif

INSTANTIATE_TEST_SUITE_P(Methods, Image,
                         testing::Values(Case{0, 0, 0}, Case{0, 200, 7000}, Case{0, 8191, 1},
                                         Case{kImagePglz, 0, 0}, Case{kImagePglz, 200, 3000},
                                         Case{kImageLz4, 0, 0}, Case{kImageLz4, 200, 3000},
                                         Case{kImageZstd, 0, 0}, Case{kImageZstd, 200, 3000},
                                         Case{kImageZstd, 4000, 4192}));

TEST(RestoreImage, RefusesWhatIsNotAnImage) {
  BlockRef ref{};
  uint8_t page[kBlockSize];
  EXPECT_EQ(RestoreImage(ref, page).error().code, ErrorCode::kInvalidArgument);
  ref.has_image = true;
  ref.hole_offset = 8000;
  ref.hole_length = 400;
  EXPECT_EQ(RestoreImage(ref, page).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace neon_redo
