// Changes that follow from several records: pages of pg_commit_ts.
#include <gtest/gtest.h>

#include <cstring>

#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/record_layout.h"
#include "tests/unit/index_fixture.h"

namespace neon_redo {
namespace {

class IndexedChangesTest : public IndexTest {};

// Files of pg_commit_ts go when the setting is turned off, however often that record is read.
TEST_F(IndexedChangesTest, TimestampsThatAreNoLongerKept) {
  WalWriter wal(kSize);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  layout::xlog::ParameterChange off{};
  off.wal_level = 1;
  wal.AppendData(kRmXlog, layout::xlog::kParameterChange,
                 std::string(reinterpret_cast<const char*>(&off), sizeof(off)));
  wal.AppendData(kRmClog, 0x00, Numbers({2}));
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index);
  IndexedChanges changes(index->get(), Lsn(), true);
  ASSERT_TRUE(changes.CheckWalLevel(Lsn(wal.position())));
  for (int round = 0; round < 2; round++) {
    const auto got = changes.Get(SlruKey(SlruKind::kCommitTs), Lsn(wal.position()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->size(), 1u);
  }
}

// A promotion comes without a checkpoint before it: transactions have gone on since the last one.
TEST_F(IndexedChangesTest, TimestampsThatAreKeptSinceAPromotion) {
  WalWriter wal(kSize);
  const auto& at = kPg15.checkpoint;
  std::string checkpoint(at.size, '\0');
  const uint64_t next_xid = 701, redo = wal.position();
  std::memcpy(checkpoint.data(), &redo, sizeof(redo));
  checkpoint[8] = checkpoint[12] = 1;  // timelines
  std::memcpy(checkpoint.data() + at.next_xid, &next_xid, sizeof(next_xid));
  wal.AppendData(kRmXlog, layout::xlog::kCheckpointOnline, checkpoint);
  wal.set_xid(2000);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  wal.set_xid(0);
  layout::xlog::ParameterChange on{};
  on.wal_level = 1;
  on.track_commit_timestamp = 1;
  wal.AppendData(kRmXlog, layout::xlog::kParameterChange,
                 std::string(reinterpret_cast<const char*>(&on), sizeof(on)));
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index);
  IndexedChanges changes(index->get(), Lsn(), false);
  for (const uint32_t xid : {701u, 2000u}) {
    const SlruBlock block{SlruKind::kCommitTs, 0, xid / 819};
    const auto got = changes.Get(PageKey::OfSlruBlock(block), Lsn(wal.position()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->size(), xid == 2000 ? 1u : 0u) << xid;
  }
}

}  // namespace
}  // namespace neon_redo
