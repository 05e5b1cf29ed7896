#include "cpp_core/pg/wal_page.h"

#include <gtest/gtest.h>

#include "cpp_core/pg/wal_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegmentSize = 1 << 20;

TEST(WalPageTest, EachFaultHasItsName) {
  const Lsn lsn(5 * kSegmentSize + 3 * kWalPageSize);
  const WalPagePlace place{lsn, kSegmentSize, kPg15.wal_magic, 2, 4};
  const WalPageHeader good{kPg15.wal_magic, kPageFirstIsContrecord, 2, lsn.value, 100};
  const auto check = [&](auto change) {
    WalPageHeader h = good;
    change(&h);
    EXPECT_TRUE(!IsPlainWalPage(h, place) || CheckWalPageHeader(h, place) == WalPageFault::kNone);
    return CheckWalPageHeader(h, place);
  };
  EXPECT_TRUE(IsPlainWalPage(good, place));
  EXPECT_EQ(check([](WalPageHeader*) {}), WalPageFault::kNone);
  EXPECT_EQ(check([](WalPageHeader* h) { h->timeline = 4; }), WalPageFault::kNone);
  EXPECT_EQ(check([](WalPageHeader* h) { h->magic = 0x1234; }), WalPageFault::kUnknownMagic);
  EXPECT_EQ(check([](WalPageHeader* h) { h->info = 0x10; }), WalPageFault::kFlags);
  EXPECT_EQ(check([](WalPageHeader* h) { h->info = kPageLongHeader; }), WalPageFault::kHeaderKind);
  EXPECT_EQ(check([](WalPageHeader* h) { h->timeline = 1; }), WalPageFault::kEarlierTimeline);
  EXPECT_EQ(check([](WalPageHeader* h) { h->timeline = 5; }), WalPageFault::kLaterTimeline);
  EXPECT_EQ(check([](WalPageHeader* h) { h->address -= kSegmentSize; }), WalPageFault::kOlderPage);
  EXPECT_EQ(check([](WalPageHeader* h) { h->address -= 8; }), WalPageFault::kAddress);
  EXPECT_EQ(check([](WalPageHeader* h) { h->address += kWalPageSize; }), WalPageFault::kAddress);

  // The same page of a WAL whose version has another magic number.
  WalPagePlace other = place;
  other.magic = 0x1234;
  EXPECT_EQ(CheckWalPageHeader(good, other), WalPageFault::kOtherVersion);
  other.magic = 0;
  EXPECT_EQ(CheckWalPageHeader(good, other), WalPageFault::kNone);
}

TEST(WalPageTest, FlagsAreThoseOfTheVersion) {
  const Lsn lsn(5 * kSegmentSize + 3 * kWalPageSize);
  const auto check = [&](const pg::Version& version, uint16_t flags) {
    return CheckWalPageHeader({version.wal_magic, flags, 1, lsn.value, 0}, {lsn, kSegmentSize});
  };
  EXPECT_EQ(kPg18.overwrite_contrecord, 8);
  EXPECT_EQ(kPg19.overwrite_contrecord, kPageBackupRemovable);
  EXPECT_EQ(check(kPg18, 8), WalPageFault::kNone);
  EXPECT_EQ(check(kPg19, kPageBackupRemovable), WalPageFault::kNone);
  EXPECT_EQ(check(kPg19, 8), WalPageFault::kFlags);
}

TEST(WalPageTest, ASegmentsFirstPageHasTheLongHeader) {
  const Lsn lsn(5 * kSegmentSize);
  const WalPagePlace place{lsn, kSegmentSize};
  WalPageHeader h{kPg15.wal_magic, kPageLongHeader, 1, lsn.value, 0};
  EXPECT_EQ(CheckWalPageHeader(h, place), WalPageFault::kNone);
  h.info = 0;
  EXPECT_EQ(CheckWalPageHeader(h, place), WalPageFault::kHeaderKind);

  const WalLongPageHeader l{77, kSegmentSize, kWalPageSize};
  EXPECT_EQ(CheckWalLongPageHeader(l, 77, kSegmentSize), WalPageFault::kNone);
  EXPECT_EQ(CheckWalLongPageHeader(l, 78, kSegmentSize), WalPageFault::kSystemIdentifier);
  EXPECT_EQ(CheckWalLongPageHeader(l, 77, 2 * kSegmentSize), WalPageFault::kSegmentSize);
  EXPECT_EQ(CheckWalLongPageHeader({77, kSegmentSize, 4096}, 77, kSegmentSize),
            WalPageFault::kPageSize);
}

TEST(WalRecordTest, HeaderChecks) {
  RecordHeader h{};
  h.rmid = kRmHeap;
  h.prev_lsn = 100;
  EXPECT_EQ(CheckRecordHeader(h, Lsn(200), Lsn(100)), RecordHeaderFault::kNone);
  EXPECT_EQ(CheckRecordHeader(h, Lsn(200), Lsn(104)), RecordHeaderFault::kPrevious);
  EXPECT_EQ(CheckRecordHeader(h, Lsn(200), Lsn()), RecordHeaderFault::kNone);
  EXPECT_EQ(CheckRecordHeader(h, Lsn(100), Lsn()), RecordHeaderFault::kPrevious);
  h.rmid = kMaxBuiltinRmgr + 1;
  EXPECT_EQ(CheckRecordHeader(h, Lsn(200), Lsn(100)), RecordHeaderFault::kResourceManager);
  h.rmid = kMinCustomRmgr;
  EXPECT_EQ(CheckRecordHeader(h, Lsn(200), Lsn(100)), RecordHeaderFault::kNone);
}

}  // namespace
}  // namespace neon_redo
