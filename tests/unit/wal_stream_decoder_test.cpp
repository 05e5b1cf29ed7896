// WalStreamDecoder: the records that were written, whatever the pieces; and damage at any byte.
#include "cpp_core/wal/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "cpp_core/pg/rmgr.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegmentSize = 1 << 20;

struct Record {
  Lsn start, end;
  std::string bytes;
  bool operator==(const Record&) const = default;
};

Record Copy(const WalRecord& r) {
  return {r.start, r.end, std::string(r.bytes.begin(), r.bytes.end())};
}

// Records of many sizes over some segments, with a switch of segments and a record cut off by a
// crash.
class WalStreamDecoderTest : public ::testing::Test {
 protected:
  WalStreamDecoderTest() {
    std::mt19937 random(20261121);
    for (int i = 0; i < 3000; i++) {
      writer_.Append(kRmHeap, 0, random() % 40 == 0 ? random() % 30000 : random() % 300);
      if (i == 1000) writer_.Switch();
      if (i == 2000) writer_.Abandon(writer_.Append(kRmHeap, 0, 20000).start + 2 * kWalPageSize);
    }
    for (const WalWriter::Written& w : writer_.written())
      expected_.push_back({w.start, w.end, w.bytes});
    wal_ = writer_.wal();
    start_ = Lsn(writer_.position() - wal_.size());
  }

  Bytes Part(uint64_t at, uint64_t n) const {
    return Bytes(reinterpret_cast<const uint8_t*>(wal_.data()) + at, n);
  }

  // Feeds all WAL from `from` on in pieces of up to `largest` bytes.
  std::vector<Record> Decode(Lsn from, uint32_t largest, std::mt19937* random) {
    WalStreamDecoder decoder(from, kSegmentSize);
    std::vector<Record> out;
    for (uint64_t at = from - start_; at < wal_.size();) {
      const uint64_t n = std::min<uint64_t>((*random)() % largest + 1, wal_.size() - at);
      EXPECT_TRUE(decoder.Feed(start_ + at, Part(at, n)));
      at += n;
      for (;;) {
        const auto record = decoder.Next();
        EXPECT_TRUE(record) << record.error().message;
        if (!record) return out;
        if (!*record) break;
        out.push_back(Copy(**record));
        EXPECT_EQ(decoder.position(), out.back().end);
      }
    }
    return out;
  }

  WalWriter writer_{kSegmentSize};
  std::vector<Record> expected_;
  std::string wal_;
  Lsn start_;
};

TEST_F(WalStreamDecoderTest, TheSameRecordsInPiecesOfAnySize) {
  std::mt19937 random(1);
  for (uint32_t largest : {7u, 100u, 8192u, 131072u, 1u << 22})
    EXPECT_TRUE(Decode(start_, largest, &random) == expected_) << largest;
}

TEST_F(WalStreamDecoderTest, StartsAtAnyPage) {
  std::mt19937 random(2);
  for (int i = 0; i < 50; i++) {
    const Lsn from = start_ + random() % (wal_.size() / kWalPageSize) * kWalPageSize;
    std::vector<Record> expected;
    for (const Record& r : expected_)
      if (r.start >= from) expected.push_back(r);
    EXPECT_TRUE(Decode(from, 65536, &random) == expected) << from.ToString();
  }
}

TEST_F(WalStreamDecoderTest, DamageIsAnErrorAndNeverAWrongRecord) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; i++) {
    std::string damaged = wal_.substr(0, 200'000);
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    WalStreamDecoder decoder(start_, kSegmentSize);
    ASSERT_TRUE(
        decoder.Feed(start_, {reinterpret_cast<const uint8_t*>(damaged.data()), damaged.size()}));
    for (size_t n = 0;; n++) {
      const auto record = decoder.Next();
      if (!record) {
        EXPECT_EQ(record.error().code, ErrorCode::kCorrupt);
        EXPECT_FALSE(decoder.Next());
        break;
      }
      if (!*record) break;
      ASSERT_TRUE(Copy(**record) == expected_[n]);
    }
  }
}

TEST_F(WalStreamDecoderTest, GapsAreRefused) {
  WalStreamDecoder decoder(start_, kSegmentSize);
  ASSERT_TRUE(decoder.Feed(start_, Part(0, 100)));
  EXPECT_FALSE(decoder.Feed(start_ + 101, Part(101, 10)));
  EXPECT_FALSE(decoder.Feed(start_ + 99, Part(99, 10)));
  EXPECT_TRUE(decoder.Feed(start_ + 100, Part(100, 10)));
}

}  // namespace
}  // namespace neon_redo
