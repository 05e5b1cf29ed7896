// The record decoder on records built by hand: right ones, every truncation, every flipped byte.
#include "neon_redo/record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/base/crc32c.h"
#include "tests/unit/version_15.h"

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

// One block and main data: the shape that is taken at a glance, unless the length of the main data
// takes four bytes.
std::vector<uint8_t> PlainRecord(uint8_t flags, size_t data, uint8_t main, bool four_bytes) {
  std::vector<uint8_t> r(kRecordHeaderSize, 0);
  r[4] = 77;     // xid
  r[16] = 0x40;  // info
  r[17] = 10;    // rmid
  Put<uint8_t>(&r, 0);
  Put<uint8_t>(&r, flags | (data > 0 ? 0x20 : 0));
  Put(&r, static_cast<uint16_t>(data));
  for (uint32_t v : {1663u, 5u, 16384u, 70000u}) Put(&r, v);
  Put<uint8_t>(&r, four_bytes ? 254 : 255);
  if (four_bytes)
    Put<uint32_t>(&r, main);
  else
    Put<uint8_t>(&r, main);
  for (size_t i = 0; i < data + main; i++) r.push_back(static_cast<uint8_t>(i * 7));
  Seal(&r);
  return r;
}

void ExpectSame(const RecordView& a, const RecordView& b) {
  EXPECT_EQ(a.rmid(), b.rmid());
  EXPECT_EQ(a.header().info, b.header().info);
  EXPECT_EQ(a.header().xid, b.header().xid);
  EXPECT_EQ(a.header().prev_lsn, b.header().prev_lsn);
  EXPECT_EQ(a.origin(), b.origin());
  EXPECT_EQ(a.toplevel_xid(), b.toplevel_xid());
  EXPECT_TRUE(std::ranges::equal(a.main_data(), b.main_data()));
  ASSERT_EQ(a.max_block_id(), b.max_block_id());
  for (int id = 0; id <= a.max_block_id(); id++) {
    const BlockRef *x = a.block(id), *y = b.block(id);
    ASSERT_EQ(x == nullptr, y == nullptr);
    if (x == nullptr) continue;
    EXPECT_EQ(x->tag, y->tag);
    EXPECT_EQ(x->will_init, y->will_init);
    EXPECT_EQ(x->has_image, y->has_image);
    EXPECT_EQ(x->apply_image, y->apply_image);
    EXPECT_EQ(x->has_data, y->has_data);
    EXPECT_EQ(x->image_info, y->image_info);
    EXPECT_EQ(x->hole_offset, y->hole_offset);
    EXPECT_EQ(x->hole_length, y->hole_length);
    EXPECT_EQ(x->flags, y->flags);
    EXPECT_EQ(x->image.size(), y->image.size());
    EXPECT_TRUE(std::ranges::equal(x->data, y->data));
  }
}

// A record says the same whether it is taken at a glance or part by part; so do all that differ
// from it in a byte of the headers. (The length of the data counts from the record's end.)
TEST(RecordView, PlainRecordsAreSeenAsOthersAre) {
  size_t fine = 0, refused = 0;
  for (uint8_t flags : {0x00, 0x01, 0x02, 0x03, 0x40, 0x42}) {
    for (size_t data : {0, 1, 2, 100, 8160}) {
      for (uint8_t main : {0, 1, 14, 255}) {
        auto plain = PlainRecord(flags, data, main, false);
        auto other = PlainRecord(flags, data, main, true);
        for (size_t i = 4; i < kRecordHeaderSize + 20; i++) {
          if (i == kRecordHeaderSize + 2 || i == kRecordHeaderSize + 3) continue;
          const uint8_t kept = plain[i];
          for (int v = 0; v < 256; v += i == kRecordHeaderSize + 1 ? 1 : 15) {
            if (i == kRecordHeaderSize && v >= 252) continue;  // not a block any more
            plain[i] = other[i] = static_cast<uint8_t>(v);
            // What an earlier record has left there must not show.
            RecordView a(kPg15), b(kPg15);
            const auto before = SampleRecord();
            ASSERT_FALSE(a.Parse(before) || b.Parse(before));
            const RecordFault x = a.Parse(plain), y = b.Parse(other);
            ASSERT_EQ(static_cast<bool>(x), static_cast<bool>(y)) << "byte " << i << ": " << v;
            if (x) {
              EXPECT_STREQ(x.what, y.what);
              refused++;
            } else {
              ExpectSame(a, b);
              fine++;
            }
          }
          plain[i] = other[i] = kept;
        }
      }
    }
  }
  EXPECT_GT(fine, 10000u);
  EXPECT_GT(refused, 1000u);
}

TEST(RecordView, ReadsEveryField) {
  const auto r = SampleRecord();
  RecordView view(kPg15);
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
  for (const auto& whole : {SampleRecord(), PlainRecord(0, 5, 3, false)}) {
    for (size_t n = 0; n < whole.size(); n++) {
      std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(n));
      RecordView view(kPg15);
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
void ExpectInBounds(std::vector<uint8_t> r) {
  const uint8_t* begin = r.data();
  const uint8_t* end = r.data() + r.size();
  auto inside = [&](Bytes b) {
    return b.empty() || (b.data() >= begin && b.data() + b.size() <= end);
  };
  for (size_t i = 4; i < r.size(); i++) {
    const uint8_t kept = r[i];
    for (int v = 0; v < 256; v++) {
      r[i] = static_cast<uint8_t>(v);
      RecordView view(kPg15);
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

TEST(RecordView, EveryByteValueStaysInBounds) {
  ExpectInBounds(SampleRecord());
  ExpectInBounds(PlainRecord(0, 5, 3, false));
}

}  // namespace
}  // namespace neon_redo
