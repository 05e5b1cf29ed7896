#include "neon_redo/ingest.h"

#include <fmt/format.h>

#include <iterator>

#include "cpp_core/pg/record_layout.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

std::vector<uint32_t> Xids(const Change& change) {
  std::vector<uint32_t> xids;
  if (change.number != 0) xids.push_back(change.number);
  for (size_t at = 0; at + 4 <= change.payload.size(); at += 4)
    xids.push_back(LoadNative<uint32_t>(change.payload.data() + at));
  return xids;
}

std::vector<MultixactMember> Members(const Change& change) {
  std::vector<MultixactMember> members;
  for (size_t at = 0; at + 8 <= change.payload.size(); at += 8) {
    const auto member = LoadNative<layout::multixact::Member>(change.payload.data() + at);
    members.push_back({member.xid, member.status});
  }
  return members;
}

std::optional<uint32_t> BlockOrNone(uint32_t block) {
  return block == kNoBlock ? std::nullopt : std::optional<uint32_t>(block);
}

std::string Text(const Change& change) {
  return {reinterpret_cast<const char*>(change.payload.data()), change.payload.size()};
}

std::string DescribeRelation(const Change& change, bool with_fork) {
  const PageKey& k = change.key;
  return fmt::format("{}/{}/{}{}", k.field2, k.field3, k.field4,
                     with_fork ? fmt::format(" ({} fork)", ForkName(k.field5)) : "");
}

// What the change is done to and with.
std::string Values(const Change& c) {
  using enum ChangeKind;
  switch (c.kind) {
    case kRecord:
      return fmt::format("{}{}", c.key.Describe(), c.whole ? ", makes it whole" : "");
    case kImage:
      return fmt::format("{}, {} bytes", c.key.Describe(), c.payload.size());
    case kZeroSlruPage:
      return c.key.Describe();
    case kTruncateSlru:
      return fmt::format("{} before page {}", SlruKindName(static_cast<SlruKind>(c.key.field2)),
                         c.number);
    case kDropSlruSegments:
      return fmt::format("{} segments {:04X} up to {:04X}",
                         SlruKindName(static_cast<SlruKind>(c.key.field2)), c.number, c.number2);
    case kDropSlru:
      return SlruKindName(static_cast<SlruKind>(c.key.field2));
    case kCommitTs:
      return fmt::format("{}, {} transactions, origin {}", c.key.Describe(), Xids(c).size(),
                         c.number2);
    case kCreateFork:
      return DescribeRelation(c, true);
    case kTruncateFork:
      return fmt::format("{} to {} blocks", DescribeRelation(c, true), c.number);
    case kDropRelation:
      return DescribeRelation(c, false);
    case kCopyDatabase:
      return fmt::format("{}/{} from {}/{}", c.key.field2, c.key.field3, c.number, c.number2);
    case kCreateDatabase:
    case kDropDatabase:
    case kRelationMap:
      return fmt::format("{}/{}", c.key.field2, c.key.field3);
    case kCreateTablespace:
      return fmt::format("{} at \"{}\"", c.number, Printable(Text(c)));
    case kTimeline:
      return fmt::format("{} after {}", c.number, c.number2);
    case kRestorePoint:
      return fmt::format("\"{}\"", Printable(Text(c)));
    case kFullPageWrites:
      return c.flags ? "on" : "off";
    case kCheckpoint:
      return c.flags ? "shutdown" : "online";
    case kBackupEnd:
    case kOverwritten:
      return Lsn(static_cast<uint64_t>(c.time)).ToString();
    case kDropTablespace:
    case kPrepare:
    case kFinishPrepared:
    case kNextOid:
      return std::to_string(c.number);
    default:
      return "";
  }
}

}  // namespace

const char* ChangeKindName(ChangeKind kind) {
  static constexpr const char* kNames[] = {"record",
                                           "image",
                                           "clear_visibility",
                                           "truncate_visibility",
                                           "zero_slru_page",
                                           "clog_committed",
                                           "clog_aborted",
                                           "multixact_offset",
                                           "multixact_members",
                                           "commit_ts",
                                           "truncate_slru",
                                           "drop_slru_segments",
                                           "drop_slru",
                                           "create_fork",
                                           "truncate_fork",
                                           "drop_relation",
                                           "create_database",
                                           "copy_database",
                                           "drop_database",
                                           "relation_map",
                                           "create_tablespace",
                                           "drop_tablespace",
                                           "prepare",
                                           "finish_prepared",
                                           "checkpoint",
                                           "timeline",
                                           "next_oid",
                                           "parameters",
                                           "full_page_writes",
                                           "segment_switch",
                                           "backup_end",
                                           "restore_point",
                                           "overwritten"};
  static_assert(std::size(kNames) == kChangeKinds);
  return kNames[static_cast<int>(kind)];
}

Result<PageServerRecord> ToPageServerRecord(const Change& c) {
  switch (c.kind) {
    case ChangeKind::kClearVisibility:
      return ClearVisibilityMapFlags{BlockOrNone(c.number), BlockOrNone(c.number2), c.flags};
    case ChangeKind::kTruncateVisibility:
      return TruncateVisibilityMap{c.number, c.flags};
    case ChangeKind::kClogCommitted:
      return ClogSetCommitted{Xids(c), c.time};
    case ChangeKind::kClogAborted:
      return ClogSetAborted{Xids(c)};
    case ChangeKind::kMultixactOffset:
      return MultixactOffsetCreate{c.number, c.number2};
    case ChangeKind::kMultixactMembers:
      return MultixactMembersCreate{c.number, Members(c)};
    default:
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("a change of kind {} has no record of the page server",
                                   ChangeKindName(c.kind)));
  }
}

std::string DescribeChange(const Change& change) {
  std::string text = ChangeKindName(change.kind);
  if (const Result<PageServerRecord> native = ToPageServerRecord(change)) {
    text += " " + change.key.Describe() + ": " + DescribePageServerRecord(*native);
  } else if (const std::string values = Values(change); !values.empty()) {
    text += " " + values;
  }
  return text;
}

}  // namespace neon_redo
