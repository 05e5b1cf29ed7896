#include "cpp_core/wal/commit_time.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cpp_core/pg/rmgr.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

// Transactions that end at these times, in this order, with a record of another kind after each.
class CommitTimes : public testing::Test {
 protected:
  void Write(const std::vector<WalTime>& times) {
    for (const WalTime time : times) {
      std::string data(sizeof(time), '\0');
      std::memcpy(data.data(), &time, sizeof(time));
      commits_.push_back(wal_.AppendData(kRmXact, 0, data));
      wal_.Append(10, 0, 100);
    }
    wal_.Save(dir_.path());
  }

  // The times whose records the range has.
  std::vector<WalTime> Between(std::optional<WalTime> after, std::optional<WalTime> before) {
    auto reader = WalReader::Open({{dir_.path()}, {}, {}, {}});
    EXPECT_TRUE(reader);
    const auto range = FindTimeRange(reader->get(), {after, before});
    EXPECT_TRUE(range);
    std::vector<WalTime> out;
    for (const auto& commit : commits_) {
      if ((range->from && commit.start < *range->from) || (range->to && commit.end > *range->to))
        continue;
      WalTime time;
      std::memcpy(&time, commit.bytes.data() + commit.bytes.size() - sizeof(time), sizeof(time));
      out.push_back(time);
    }
    return out;
  }

  using Times = std::vector<WalTime>;
  TempDirectory dir_;
  WalWriter wal_;
  std::vector<WalWriter::Written> commits_;
};

TEST_F(CommitTimes, CutTheWal) {
  Write({10, 20, 30, 40});
  EXPECT_EQ(Between({}, {}), (Times{10, 20, 30, 40}));
  EXPECT_EQ(Between(20, {}), (Times{20, 30, 40}));
  EXPECT_EQ(Between(15, {}), (Times{20, 30, 40}));
  EXPECT_EQ(Between(5, {}), (Times{10, 20, 30, 40}));
  EXPECT_EQ(Between(50, {}), Times());
  EXPECT_EQ(Between({}, 30), (Times{10, 20}));
  EXPECT_EQ(Between({}, 10), Times());
  EXPECT_EQ(Between({}, 50), (Times{10, 20, 30, 40}));
  EXPECT_EQ(Between(20, 40), (Times{20, 30}));
  EXPECT_EQ(Between(20, 20), Times());
  EXPECT_EQ(Between(40, 20), Times());
}

// Each transaction is in one of the two parts, whichever way times and records are ordered.
TEST_F(CommitTimes, NothingIsLostWhereTimesAreOutOfOrder) {
  const Times times = {10, 30, 20, 40, 35, 50};
  Write(times);
  EXPECT_EQ(Between(25, {}), (Times{30, 20, 40, 35, 50}));
  EXPECT_EQ(Between({}, 25), (Times{10}));
  for (WalTime cut = 5; cut <= 55; cut += 5) {
    Times both = Between({}, cut);
    for (const WalTime time : Between(cut, {})) both.push_back(time);
    EXPECT_EQ(both, times) << cut;
  }
}

TEST(WalTimes, OnlyTimesThatExist) {
  for (const char* text :
       {"2024-02-31 12:00Z", "2023-02-29 12:00Z", "2024-05-31 12:30:61Z", "2024-05-31 12:30+99",
        "2024-05-31 12:30+05:99", "24-05-31 12:30Z", "2024-05-31 12:30:00.",
        "2024-05-31 12:30:00.Z", "2024-05-31 12:30 CEST", "2024-02-31 12:00"})
    EXPECT_FALSE(ParseWalTime(text)) << text;
  const auto noon = ParseWalTime("2024-02-29 12:00:00Z");
  ASSERT_TRUE(noon);
  for (const char* text : {"2024-02-29 12:00 UTC", "2024-02-29 12:00:00.000 GMT",
                           "2024-02-29T14:00+02", "2024-02-29 11:59:60Z"}) {
    const auto same = ParseWalTime(text);
    ASSERT_TRUE(same) << text;
    EXPECT_EQ(*same, *noon) << text;
  }
}

}  // namespace
}  // namespace neon_redo
