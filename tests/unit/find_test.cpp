// Places that recovery may stop at, in WAL written by hand.
#include "cpp_core/index/find.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/index/heap_lines.h"
#include "cpp_core/index/indexed_changes.h"
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

// recovery_target_name stops at the first point of a name.
TEST_F(FindTest, OnlyTheFirstPointOfANameIsFoundByIt) {
  const Lsn first = RestorePoint(10, "one");
  RestorePoint(20, "two");
  const Lsn again = RestorePoint(30, "one");
  WalIndex* index = Index();
  const FindOptions named{.restore_points = true, .restore_point = "one"};
  ASSERT_EQ(*FindEvents(index, named, Sink()), 2u);
  EXPECT_EQ(Starts(), (std::vector<Lsn>{first, again}));
  EXPECT_EQ(events_[0].stop.name, "one");
  EXPECT_EQ(events_[1].stop.name, std::nullopt);
  EXPECT_NE(events_[1].what.find("one, a name that the one at " + first.ToString() + " has"),
            std::string::npos);
  // Also where it is not one of those that are asked for.
  ASSERT_EQ(*FindEvents(index, {.from = again, .restore_points = true}, Sink()), 1u);
  EXPECT_EQ(events_[0].stop.name, std::nullopt);
}

// The index reads a damaged file up to the damage, and then another one from its beginning.
TEST_F(FindTest, ADamagedFileMakesNoPlaceTwice) {
  constexpr int64_t kCommits = 20'000;
  for (int64_t i = 0; i < kCommits; i++) End(i * 1000 + i * 7919 % 1000);
  size_t damaged = 0;
  for (const int tenth : {3, 4, 5, 6, 7, 8}) {
    WalIndex* index = Index();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(files_.path())) {
      if (!entry.is_regular_file()) continue;
      std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(static_cast<std::streamoff>(entry.file_size() / 10) * tenth);
      file.write("damaged", 7);
    }
    ASSERT_EQ(*FindEvents(index, {.commits = true}, Sink()), uint64_t{kCommits});
    for (const Event& event : events_) ASSERT_TRUE(event.stop.time) << event.start.ToString();
    damaged += !index->TakeNotes().empty();
  }
  EXPECT_GT(damaged, 2u);
}

class LinesTest : public FindTest {
 protected:
  static constexpr BlockTag kTag{kRel, kMainFork, 7};

  Lsn Insert(uint16_t line, bool initialises) {
    const std::string tuple("\x01\0\0\x08\x18\0datadata", 14);  // infomasks, t_hoff, data
    const std::string main{static_cast<char>(line), 0, 0};
    const uint8_t init = initialises ? layout::heap::kInitPage : 0;
    return wal_.AppendBlock(kRmHeap, layout::heap::kInsert | init, kTag, initialises, tuple, main)
        .start;
  }
  Lsn Delete(uint32_t xid, uint16_t line) {
    wal_.set_xid(xid);
    std::string main(reinterpret_cast<const char*>(&xid), 4);
    main += {static_cast<char>(line), 0, 0, 0};
    return wal_.AppendBlock(kRmHeap, layout::heap::kDelete, kTag, false, "", main).start;
  }
  Lsn Truncate() {
    const uint32_t numbers[] = {kTag.block, kRel.spc, kRel.db, kRel.rel, 7};
    return wal_
        .AppendData(kRmSmgr, 0x20,
                    std::string(reinterpret_cast<const char*>(numbers), sizeof(numbers)))
        .start;
  }
  // Of heap2, without a change that is looked at.
  void Append(uint8_t operation) {
    wal_.AppendBlock(kRmHeap2, operation, kTag, false, "", std::string(8, '\0'));
  }
  Result<Removals> Find(WalIndex* index, uint32_t line, const FindOptions& options = {},
                        const BasePage& base = {}) {
    IndexedChanges changes(index, Lsn(), false);
    WorkerOptions worker;
    worker.version = &kPg15;
    PageReader reader(&changes, base, worker);
    return FindRemovals(index, &reader, {kTag, line}, options, Sink());
  }
};

TEST_F(LinesTest, TimesAreThoseOfTheTransaction) {
  Insert(1, true);
  const Lsn first = Delete(701, 1);
  End(10);
  const Lsn second = Delete(702, 1);
  End(20);
  Delete(703, 1);  // does not commit
  WalIndex* index = Index();
  using L = std::vector<Lsn>;
  ASSERT_EQ(Find(index, 1)->found, 3u);
  ASSERT_EQ(Find(index, 1, {.before = 15, .limit = 1})->found, 1u);
  EXPECT_EQ(Starts(), (L{first}));
  ASSERT_EQ(Find(index, 1, {.after = 10, .limit = 1})->found, 1u);
  EXPECT_EQ(Starts(), (L{second}));
  ASSERT_EQ(Find(index, 1, {.after = 21})->found, 0u);
}

TEST_F(LinesTest, AfterATruncationThePageIsAnother) {
  Insert(1, true);
  Insert(2, false);
  const Lsn cut = Truncate();
  Insert(1, true);
  Truncate();  // of a page without this line pointer
  WalIndex* index = Index();
  ASSERT_EQ(Find(index, 2)->found, 1u);
  EXPECT_EQ(Starts(), (std::vector<Lsn>{cut}));
  EXPECT_EQ(Find(index, 1)->found, 2u);
}

TEST_F(LinesTest, OnlyWhatPrunesIsUnknown) {
  Append(layout::heap2::kLockUpdated);
  Append(layout::heap2::kPrune);
  Append(layout::heap2::kFreezePage);
  const auto removals = Find(Index(), 1);
  ASSERT_TRUE(removals) << removals.error().message;
  EXPECT_EQ(removals->found, 0u);
  EXPECT_EQ(removals->unknown, 1u);
}

TEST_F(LinesTest, APageThatCannotBeReadIsAnError) {
  Delete(701, 1);
  const auto removals = Find(Index(), 1, {}, [](const PageKey&, uint8_t*) -> Result<bool> {
    return MakeError(ErrorCode::kIo, "it cannot be read");
  });
  ASSERT_FALSE(removals);
  EXPECT_EQ(removals.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace neon_redo
