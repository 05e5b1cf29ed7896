// Where a restore ends: what the option means, and where recovery stops.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/restore/target.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using Kind = RestoreTarget::Kind;

RestoreTarget Parsed(const std::string& text) {
  const auto target = ParseRestoreTarget(text);
  EXPECT_TRUE(target) << text << ": " << target.error().message;
  return target.value_or(RestoreTarget{});
}

TEST(RestoreTargetTest, EachKindIsToldByItsText) {
  EXPECT_EQ(Parsed("latest").kind, Kind::kLatest);
  EXPECT_EQ(Parsed("16/B374D848").kind, Kind::kLsn);
  EXPECT_EQ(Parsed("16/B374D848").lsn, Lsn(0x16B374D848));
  EXPECT_EQ(Parsed("742").kind, Kind::kXid);
  EXPECT_EQ(Parsed("742").xid, 742u);
  EXPECT_EQ(Parsed("2024-05-31 14:00:00+02").kind, Kind::kTime);
  EXPECT_EQ(Parsed("before_upgrade").kind, Kind::kName);
  EXPECT_EQ(Parsed("before_upgrade").name, "before_upgrade");
}

TEST(RestoreTargetTest, APrefixSaysWhichIsMeant) {
  EXPECT_EQ(Parsed("name:742").kind, Kind::kName);
  EXPECT_EQ(Parsed("name:742").name, "742");
  EXPECT_EQ(Parsed("name:latest").kind, Kind::kName);
  EXPECT_EQ(Parsed("xid:742").kind, Kind::kXid);
  EXPECT_EQ(Parsed("lsn:0/10").lsn, Lsn(0x10));
  EXPECT_EQ(Parsed("time:2024-05-31 14:00Z").kind, Kind::kTime);
}

TEST(RestoreTargetTest, WhatIsNothingOfTheKindIsRefused) {
  for (const char* text : {"", "2", "4294967296", "xid:12a", "lsn:0/", "time:noon", "2024-05-31",
                           "2024-13-31 10:00", "name:"}) {
    const auto target = ParseRestoreTarget(text);
    ASSERT_FALSE(target) << text;
    EXPECT_EQ(target.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(ParseRestoreTarget(std::string(63, 'a')));
  EXPECT_FALSE(ParseRestoreTarget(std::string(64, 'a')));
}

TEST(RestoreTargetTest, TheSettingsMeanTheSame) {
  using Settings = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(Parsed("latest").Settings(), Settings());
  EXPECT_EQ(Parsed("2024-05-31 14:00:00.25+02").Settings(),
            (Settings{{"recovery_target_time", "2024-05-31 12:00:00.250000+00"},
                      {"recovery_target_inclusive", "on"}}));
  EXPECT_EQ(Parsed("1999-12-31 23:59:59.5Z").Settings()[0].second, "1999-12-31 23:59:59.500000+00");
  RestoreTarget xid = Parsed("742");
  xid.inclusive = false;
  EXPECT_EQ(xid.Settings(),
            (Settings{{"recovery_target_xid", "742"}, {"recovery_target_inclusive", "off"}}));
  EXPECT_EQ(Parsed("a'b").Settings()[0].second, "a'b");
}

// A record of Transaction with nothing but its time, or of another resource manager.
struct Written {
  std::vector<uint8_t> bytes;
  WalRecord record;
  RecordView view{kPg15};

  Written(uint8_t rmid, uint8_t info, uint32_t xid, int64_t time, Lsn start) {
    bytes.resize(sizeof(RecordHeader) + 2 + sizeof(time));
    RecordHeader header{};
    header.total_length = static_cast<uint32_t>(bytes.size());
    header.xid = xid;
    header.info = info;
    header.rmid = rmid;
    std::memcpy(bytes.data(), &header, sizeof(header));
    bytes[sizeof(header)] = 255;  // XLR_BLOCK_ID_DATA_SHORT
    bytes[sizeof(header) + 1] = sizeof(time);
    std::memcpy(bytes.data() + sizeof(header) + 2, &time, sizeof(time));
    record = {start, Lsn(start.value + 100), bytes};
    EXPECT_FALSE(view.Parse(bytes));
  }
};

struct Stops {
  bool before, after;
  bool operator==(const Stops&) const = default;
};

Stops At(const RestoreTarget& target, const Written& record, const ChangeList& changes = {}) {
  TargetSearch search(target);
  const bool before = search.StopsBefore(record.record, record.view, changes);
  return {before, search.StopsAfter(record.record, record.view, changes)};
}

constexpr Stops kNot{false, false}, kBefore{true, false}, kAfter{false, true};

TEST(TargetSearchTest, AnLsn) {
  RestoreTarget target{.kind = Kind::kLsn, .lsn = Lsn(1000)};
  const Written before(kRmHeap, 0, 7, 0, Lsn(900)), at(kRmHeap, 0, 7, 0, Lsn(1000));
  EXPECT_EQ(At(target, before), kNot);
  EXPECT_EQ(At(target, at), kAfter);
  target.inclusive = false;
  EXPECT_EQ(At(target, before), kNot);
  EXPECT_EQ(At(target, at), kBefore);
}

TEST(TargetSearchTest, ATime) {
  RestoreTarget target{.kind = Kind::kTime, .time = 50};
  const auto commit = [](int64_t time) {
    return Written(kRmXact, layout::xact::kCommit, 7, time, Lsn(900));
  };
  EXPECT_EQ(At(target, commit(49)), kNot);
  EXPECT_EQ(At(target, commit(50)), kNot);
  EXPECT_EQ(At(target, commit(51)), kBefore);
  EXPECT_EQ(At(target, Written(kRmXact, layout::xact::kAbort, 7, 51, Lsn(900))), kBefore);
  EXPECT_EQ(At(target, Written(kRmXact, layout::xact::kPrepare, 7, 51, Lsn(900))), kNot);
  EXPECT_EQ(At(target, Written(kRmHeap, 0, 7, 51, Lsn(900))), kNot);
  target.inclusive = false;
  EXPECT_EQ(At(target, commit(49)), kNot);
  EXPECT_EQ(At(target, commit(50)), kBefore);
}

TEST(TargetSearchTest, ATransaction) {
  RestoreTarget target{.kind = Kind::kXid, .xid = 7};
  const Written other(kRmXact, layout::xact::kCommit, 8, 1, Lsn(900));
  const Written commit(kRmXact, layout::xact::kCommit, 7, 1, Lsn(900));
  const Written insert(kRmHeap, 0, 7, 1, Lsn(900));
  EXPECT_EQ(At(target, other), kNot);
  EXPECT_EQ(At(target, insert), kNot);
  EXPECT_EQ(At(target, commit), kAfter);
  target.inclusive = false;
  EXPECT_EQ(At(target, commit), kBefore);
  // COMMIT PREPARED is of a transaction of its own; the prepared one counts.
  Change finish{};
  finish.kind = ChangeKind::kFinishPrepared;
  finish.number = 7;
  const Written prepared(kRmXact, layout::xact::kCommitPrepared, 0, 1, Lsn(900));
  EXPECT_EQ(At(target, prepared, {finish}), kBefore);
  finish.number = 6;
  EXPECT_EQ(At(target, prepared, {finish}), kNot);
}

TEST(TargetSearchTest, ARestorePoint) {
  const RestoreTarget target{.kind = Kind::kName, .name = "here"};
  const Written point(kRmXlog, layout::xlog::kRestorePoint, 0, 1, Lsn(900));
  const std::string names[] = {"here", "her", "here1"};
  for (const std::string& name : names) {
    Change change{};
    change.kind = ChangeKind::kRestorePoint;
    change.payload = Bytes(reinterpret_cast<const uint8_t*>(name.data()), name.size());
    EXPECT_EQ(At(target, point, {change}), name == "here" ? kAfter : kNot) << name;
  }
}

TEST(TargetSearchTest, TheLastTransactionIsTheOneBeforeTheStop) {
  TargetSearch search({.kind = Kind::kTime, .time = 50});
  const Written first(kRmXact, layout::xact::kCommit, 7, 40, Lsn(900));
  const Written second(kRmXact, layout::xact::kCommit, 8, 60, Lsn(1000));
  EXPECT_FALSE(search.StopsBefore(first.record, first.view, {}));
  EXPECT_TRUE(search.StopsBefore(second.record, second.view, {}));
  EXPECT_EQ(search.last_transaction(), 40);
}

}  // namespace
}  // namespace neon_redo
