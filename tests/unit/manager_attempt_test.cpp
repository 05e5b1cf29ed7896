// What passes for the answer to an attempt.
#include "cpp_core/redo/manager/attempt.h"

#include <gtest/gtest.h>

#include <cstring>

namespace neon_redo {
namespace {

class NoSink final : public AttemptSink {
 public:
  void Done(const AttemptPtr&) override {}
  bool wants_worker_thread() const override { return false; }
};

void SetLsn(std::vector<uint8_t>* page, uint64_t lsn) {
  const uint32_t halves[2] = {static_cast<uint32_t>(lsn >> 32), static_cast<uint32_t>(lsn)};
  std::memcpy(page->data(), halves, sizeof(halves));
}

class AttemptTest : public ::testing::Test {
 protected:
  bool Plausible(uint64_t base_lsn, const std::vector<uint8_t>& page, size_t size = kBlockSize) {
    std::vector<uint8_t> base(kBlockSize);
    SetLsn(&base, base_lsn);
    NoSink sink;
    Attempt attempt({{}, base.data(), records_}, nullptr, {}, &sink, 0);
    return attempt.Plausible(page.data(), size);
  }

  const std::vector<uint8_t> bytes_ = std::vector<uint8_t>(30);
  const std::vector<PageRecord> records_ = {{Lsn(0x500000100), PostgresRecord{false, bytes_}},
                                            {Lsn(0x500000200), PostgresRecord{false, bytes_}}};
};

TEST_F(AttemptTest, ItsLsnIsTheImagesOrARecords) {
  std::vector<uint8_t> page(kBlockSize, 7);
  EXPECT_FALSE(Plausible(0x500000050, page));
  for (const uint64_t lsn : {0x500000050, 0x500000100, 0x500000200}) {
    SetLsn(&page, lsn);
    EXPECT_TRUE(Plausible(0x500000050, page));
    EXPECT_TRUE(Plausible(0x500000050, page, Attempt::kHeadSize));
  }
  SetLsn(&page, 0x500000150);
  EXPECT_FALSE(Plausible(0x500000050, page));
}

// A page's free space is zeroes, and a page that was never logged has the LSN 0.
TEST_F(AttemptTest, TheFreeSpaceOfAnotherPageIsNoAnswer) {
  std::vector<uint8_t> page(kBlockSize);
  EXPECT_TRUE(Plausible(0, page)) << "a new page";
  EXPECT_FALSE(Plausible(0x500000050, page));
  page[5000] = 1;
  EXPECT_FALSE(Plausible(0, page));
  page[18] = 4;
  page[19] = 0x20;
  EXPECT_TRUE(Plausible(0, page)) << "initialised: 8192 bytes, version 4";
}

}  // namespace
}  // namespace neon_redo
