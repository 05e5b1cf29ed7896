// Places that recovery may stop at, in WAL written by hand.
#include "cpp_core/index/find.h"

#include <gtest/gtest.h>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/index/heap_lines.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr RelFileNode kRel{1663, 5, 100};

std::string Bytes64(std::initializer_list<int64_t> numbers) {
  std::string out;
  for (const int64_t n : numbers) out.append(reinterpret_cast<const char*>(&n), sizeof(n));
  return out;
}

class FindTest : public ::testing::Test {
 protected:
  // A commit or abort at this time, which drops the relation if that is wanted.
  Lsn End(int64_t time, bool drops = false, bool commits = true) {
    std::string data = Bytes64({time});
    uint8_t info = commits ? layout::xact::kCommit : layout::xact::kAbort;
    if (drops) {
      const uint32_t rest[] = {4, 1, kRel.spc, kRel.db, kRel.rel};
      data.append(reinterpret_cast<const char*>(rest), sizeof(rest));
      info |= layout::xact::kHasInfo;
    }
    return wal_.AppendData(kRmXact, info, data).start;
  }
  Lsn RestorePoint(int64_t time, const std::string& name) {
    std::string data = Bytes64({time}) + name;
    data.resize(8 + 64);
    return wal_.AppendData(kRmXlog, layout::xlog::kRestorePoint, data).start;
  }
  WalIndex* Index() {
    wal_.Save(directory_.path());
    const auto set = WalSet::Open(directory_.path());
    EXPECT_TRUE(set) << set.error().message;
    auto index = WalIndex::Open(*set, {}, {.directory = files_.path() + "/i"});
    EXPECT_TRUE(index) << index.error().message;
    index_ = std::move(*index);
    return index_.get();
  }
  EventSink Sink() {
    events_.clear();
    return [this](const Event& event) -> Status {
      events_.push_back(event);
      return {};
    };
  }
  std::vector<Lsn> Starts() const {
    std::vector<Lsn> out;
    for (const Event& event : events_) out.push_back(event.start);
    return out;
  }

  WalWriter wal_;
  TempDirectory directory_, files_;
  std::unique_ptr<WalIndex> index_;
  std::vector<Event> events_;
};

TEST_F(FindTest, ATimeIsGivenWhereRecoveryToItStopsThere) {
  End(10);
  End(30);  // recovery to 30 has the next one, too
  End(20);  // recovery to 20 stops before the commit of 30
  End(40);
  End(40);  // recovery to 40 has both
  End(50);
  ASSERT_EQ(*FindEvents(Index(), {.commits = true}, Sink()), 6u);
  std::vector<std::optional<int64_t>> times;
  for (const Event& event : events_) times.push_back(event.stop.time);
  EXPECT_EQ(times, (std::vector<std::optional<int64_t>>{10, std::nullopt, std::nullopt,
                                                        std::nullopt, 40, 50}));
}

TEST_F(FindTest, RangesAndLimits) {
  const Lsn a = End(10), b = RestorePoint(15, "one"), c = End(20, false, false), d = End(30);
  const Lsn e = RestorePoint(35, "two's");
  WalIndex* index = Index();
  const FindOptions all{.commits = true, .aborts = true, .restore_points = true};
  const auto find = [&](auto change) {
    FindOptions options = all;
    change(&options);
    const uint64_t count = *FindEvents(index, options, Sink());
    EXPECT_EQ(count, events_.size());
    return Starts();
  };
  using L = std::vector<Lsn>;
  EXPECT_EQ(find([](FindOptions*) {}), (L{a, b, c, d, e}));
  EXPECT_EQ(find([](FindOptions* o) { o->limit = 2; }), (L{d, e}));
  EXPECT_EQ(find([](FindOptions* o) { o->after = 15, o->before = 35; }), (L{b, c, d}));
  EXPECT_EQ(find([](FindOptions* o) { o->before = 30, o->limit = 2; }), (L{b, c}));
  EXPECT_EQ(find([&](FindOptions* o) { o->to = d + 8; }), (L{a, b, c}));
  EXPECT_EQ(find([&](FindOptions* o) { o->from = b, o->to = d; }), (L{b, c}));
  EXPECT_EQ(
      find([](FindOptions* o) { o->restore_point = "two's", o->commits = o->aborts = false; }),
      (L{e}));
  EXPECT_EQ(events_[0].stop.name, "two's");
}

TEST_F(FindTest, TheLastCommitBeforeADrop) {
  const Lsn a = End(10);
  End(20, true, false);  // what an aborted transaction made
  const Lsn b = End(30);
  End(40, false, false);
  const Lsn drop = End(50, true);
  const Lsn again = End(60, true);
  WalIndex* index = Index();
  ASSERT_EQ(*FindDrops(index, {kRel}, {}, Sink()), 2u);
  EXPECT_EQ(events_[0].start, b);
  EXPECT_EQ(events_[0].cause, drop);
  EXPECT_EQ(events_[0].stop.lsn, b);
  EXPECT_TRUE(events_[0].stop.inclusive);
  EXPECT_EQ(events_[0].stop.time, 30);
  EXPECT_EQ(events_[1].start, drop);
  EXPECT_EQ(events_[1].cause, again);
  EXPECT_EQ(*FindDrops(index, {{1663, 5, 101}}, {}, Sink()), 0u);
  EXPECT_EQ(*FindDrops(index, {kRel}, {.to = again}, Sink()), 1u);
  EXPECT_EQ(*FindDrops(index, {kRel}, {.to = again + 8}, Sink()), 1u);
  EXPECT_NE(a, b);
}

TEST_F(FindTest, ADropBeforeWhichThereIsNoCommit) {
  const Lsn drop = End(10, true);
  ASSERT_EQ(*FindDrops(Index(), {kRel}, {}, Sink()), 1u);
  EXPECT_EQ(events_[0].stop.lsn, drop);
  EXPECT_FALSE(events_[0].stop.inclusive);
}

}  // namespace
}  // namespace neon_redo
