// The record decoder on records built by hand: right ones, every truncation, every flipped byte.
#include "cpp_core/wal/record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/base/crc32c.h"

namespace neon_redo {
namespace {

template <typename T>
void Put(std::vector<uint8_t>* out, T v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  out->insert(out->end(), p, p + sizeof(v));
}

// Fills in length and CRC, as XLogInsert would.
void Seal(std::vector<uint8_t>* record) {
  const auto length = static_cast<uint32_t>(record->size());
  std::memcpy(record->data(), &length, 4);
  const uint32_t crc = RecordCrc32c(*record);
  std::memcpy(record->data() + 20, &crc, 4);
}

// Two blocks (the first with data and a holed image, the second repeating the relation) and main
// data.
std::vector<uint8_t> SampleRecord() {
  std::vector<uint8_t> r(kRecordHeaderSize, 0);
  r[16] = 0x80;  // info
  r[17] = 10;    // rmid
  Put<uint8_t>(&r, 0);
  Put<uint8_t>(&r, 0x10 | 0x20);
  Put<uint16_t>(&r, 5);
  Put<uint16_t>(&r, 100);  // image length
  Put<uint16_t>(&r, 40);   // hole offset
  Put<uint8_t>(&r, kImageHasHole | kImageApply);
  for (uint32_t v : {1663u, 5u, 16384u}) Put(&r, v);
  Put<uint32_t>(&r, 7);
  Put<uint8_t>(&r, 2);
  Put<uint8_t>(&r, 0x80 | 0x40 | 2);
  Put<uint16_t>(&r, 0);
  Put<uint32_t>(&r, 9);
  Put<uint8_t>(&r, 255);
  Put<uint8_t>(&r, 3);
  for (int i = 0; i < 100 + 5 + 3; i++) r.push_back(static_cast<uint8_t>(i));
  Seal(&r);
  return r;
}

TEST(RecordView, ReadsEveryField) {
  const auto r = SampleRecord();
  RecordView view;
  ASSERT_FALSE(view.Parse(r));
  EXPECT_TRUE(RecordView::VerifyCrc(r));
  EXPECT_EQ(view.rmid(), 10);
  EXPECT_EQ(view.info(), 0x80);
  EXPECT_EQ(view.max_block_id(), 2);
  EXPECT_EQ(view.block(1), nullptr);
  EXPECT_EQ(view.block(3), nullptr);
  EXPECT_EQ(view.block(-1), nullptr);
  const BlockRef* first = view.block(0);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->tag, (BlockTag{{1663, 5, 16384}, kMainFork, 7}));
  EXPECT_TRUE(first->apply_image && first->initialises() && !first->will_init);
  EXPECT_EQ(first->image.size(), 100u);
  EXPECT_EQ(first->hole_length, kBlockSize - 100);
  EXPECT_EQ(first->data.size(), 5u);
  EXPECT_EQ(first->data[0], 100);
  const BlockRef* second = view.block(2);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->tag, (BlockTag{{1663, 5, 16384}, kVisibilityMapFork, 9}));
  EXPECT_TRUE(second->will_init);
  EXPECT_EQ(view.main_data().size(), 3u);
  EXPECT_EQ(view.main_data()[0], 105);
}

TEST(RecordView, RefusesEveryTruncation) {
  const auto whole = SampleRecord();
  for (size_t n = 0; n < whole.size(); n++) {
    std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(n));
    RecordView view;
    EXPECT_TRUE(view.Parse(cut)) << n;
    // With the length field mended, a cut can only pass where the bytes left are just the payload
    // of the block headers before them: then there is no main data.
    if (n >= kRecordHeaderSize) {
      Seal(&cut);
      if (!view.Parse(cut)) {
        EXPECT_TRUE(view.main_data().empty()) << n;
      }
    }
  }
}

TEST(RecordView, CrcSeesEveryFlippedBit) {
  auto r = SampleRecord();
  for (size_t i = 0; i < r.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      r[i] ^= static_cast<uint8_t>(1 << bit);
      EXPECT_FALSE(RecordView::VerifyCrc(r)) << i;
      r[i] ^= static_cast<uint8_t>(1 << bit);
    }
  }
}

// Whatever the bytes, views stay inside the record. The sanitizer build checks the rest.
TEST(RecordView, EveryByteValueStaysInBounds) {
  auto r = SampleRecord();
  const uint8_t* begin = r.data();
  const uint8_t* end = r.data() + r.size();
  auto inside = [&](Bytes b) {
    return b.empty() || (b.data() >= begin && b.data() + b.size() <= end);
  };
  for (size_t i = 4; i < r.size(); i++) {
    const uint8_t kept = r[i];
    for (int v = 0; v < 256; v++) {
      r[i] = static_cast<uint8_t>(v);
      RecordView view;
      if (view.Parse(r)) continue;
      EXPECT_TRUE(inside(view.main_data()));
      for (int id = 0; id <= view.max_block_id(); id++) {
        if (const BlockRef* b = view.block(id)) {
          EXPECT_TRUE(inside(b->image) && inside(b->data));
          EXPECT_LE(b->hole_offset + b->hole_length, static_cast<int>(kBlockSize));
        }
      }
    }
    r[i] = kept;
  }
}

}  // namespace
}  // namespace neon_redo
