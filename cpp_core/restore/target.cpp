#include "cpp_core/restore/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/xid.h"
#include "neon_redo/bytes.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

constexpr size_t kMaxName = 64;  // MAXFNAMELEN in access/xlog_internal.h, with the zero

// As the server reads it in any time zone.
std::string InUtc(WalTime time) {
  constexpr int64_t kMicroseconds = 1'000'000, kEpoch = 946'684'800;  // 2000-01-01 as Unix time
  int64_t seconds = time / kMicroseconds, fraction = time % kMicroseconds;
  if (fraction < 0) fraction += kMicroseconds, seconds--;
  const time_t unix_time = seconds + kEpoch;
  struct tm fields {};
  gmtime_r(&unix_time, &fields);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00", fields.tm_year + 1900,
                     fields.tm_mon + 1, fields.tm_mday, fields.tm_hour, fields.tm_min,
                     fields.tm_sec, fraction);
}

Result<RestoreTarget> ParseXid(std::string_view text) {
  RestoreTarget out{.kind = RestoreTarget::Kind::kXid};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.xid);
  if (error == std::errc() && end == text.data() + text.size() && out.xid >= kFirstNormalXid)
    return out;
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" is no number of a transaction", text));
}

Result<RestoreTarget> ParseLsn(std::string_view text) {
  ASSIGN_OR_RETURN(const Lsn lsn, Lsn::Parse(text));
  return RestoreTarget{.kind = RestoreTarget::Kind::kLsn, .lsn = lsn};
}

Result<RestoreTarget> ParseTime(std::string_view text) {
  ASSIGN_OR_RETURN(const WalTime time, ParseWalTime(text));
  return RestoreTarget{.kind = RestoreTarget::Kind::kTime, .time = time};
}

Result<RestoreTarget> ParseName(std::string_view text) {
  if (!text.empty() && text.size() < kMaxName)
    return RestoreTarget{.kind = RestoreTarget::Kind::kName, .name = std::string(text)};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the name of a restore point has 1 to {} bytes", kMaxName - 1));
}

}  // namespace

Result<RestoreTarget> ParseRestoreTarget(std::string_view text) {
  if (text == "latest") return RestoreTarget{};
  using Parse = Result<RestoreTarget> (*)(std::string_view);
  constexpr std::pair<std::string_view, Parse> kPrefixes[] = {
      {"lsn:", ParseLsn}, {"time:", ParseTime}, {"xid:", ParseXid}, {"name:", ParseName}};
  for (const auto& [prefix, parse] : kPrefixes)
    if (text.starts_with(prefix)) return parse(text.substr(prefix.size()));
  if (Lsn::Parse(text)) return ParseLsn(text);
  if (!text.empty() && text.find_first_not_of("0123456789") == text.npos) return ParseXid(text);
  // "2024-05-31 …" that is no time is a mistake, and not a name.
  if (text.find_first_not_of("0123456789") == 4 && text[4] == '-') return ParseTime(text);
  return ParseName(text);
}

std::string RestoreTarget::Text() const {
  const char* before = inclusive ? "" : "before ";
  switch (kind) {
    case Kind::kLatest:
      return "the end of WAL";
    case Kind::kLsn:
      return before + lsn.ToString();
    case Kind::kTime:
      return before + TimestampText(time);
    case Kind::kXid:
      return fmt::format("{}transaction {}", before, xid);
    case Kind::kName:
      return fmt::format("restore point \"{}\"", Printable(name));
  }
  return "";
}

std::vector<std::pair<std::string, std::string>> RestoreTarget::Settings() const {
  std::vector<std::pair<std::string, std::string>> out;
  switch (kind) {
    case Kind::kLatest:
      return out;
    case Kind::kLsn:
      out.emplace_back("recovery_target_lsn", lsn.ToString());
      break;
    case Kind::kTime:
      out.emplace_back("recovery_target_time", InUtc(time));
      break;
    case Kind::kXid:
      out.emplace_back("recovery_target_xid", std::to_string(xid));
      break;
    case Kind::kName:
      out.emplace_back("recovery_target_name", name);
      break;
  }
  out.emplace_back("recovery_target_inclusive", inclusive ? "on" : "off");
  return out;
}

// The transaction that the record ends, as recovery compares it: its own, or the prepared one.
bool TargetSearch::IsXid(const RecordView& view, const ChangeList& changes) const {
  const auto prepared = std::find_if(changes.begin(), changes.end(), [](const Change& change) {
    return change.kind == ChangeKind::kFinishPrepared;
  });
  return (prepared != changes.end() ? prepared->number : view.header().xid) == target_.xid;
}

bool TargetSearch::StopsBefore(const WalRecord& record, const RecordView& view,
                               const ChangeList& changes) {
  using Kind = RestoreTarget::Kind;
  if (target_.kind == Kind::kLsn && !target_.inclusive && record.start >= target_.lsn) return true;
  if (LoadNative<RecordHeader>(record.bytes.data()).rmid != kRmXact) return false;
  const auto ended = TransactionEnd(view);
  if (!ended) return false;
  if (target_.kind == Kind::kTime &&
      (target_.inclusive ? *ended > target_.time : *ended >= target_.time))
    return true;
  if (target_.kind == Kind::kXid && !target_.inclusive && IsXid(view, changes)) return true;
  last_transaction_ = ended;
  return false;
}

bool TargetSearch::StopsAfter(const WalRecord& record, const RecordView& view,
                              const ChangeList& changes) const {
  using Kind = RestoreTarget::Kind;
  const uint8_t rmid = LoadNative<RecordHeader>(record.bytes.data()).rmid;
  switch (target_.kind) {
    case Kind::kLsn:
      return target_.inclusive && record.start >= target_.lsn;
    case Kind::kXid:
      return target_.inclusive && rmid == kRmXact && TransactionEnd(view) && IsXid(view, changes);
    case Kind::kName:
      return rmid == kRmXlog && std::any_of(changes.begin(), changes.end(), [&](const Change& c) {
               return c.kind == ChangeKind::kRestorePoint &&
                      std::equal(c.payload.begin(), c.payload.end(), target_.name.begin(),
                                 target_.name.end());
             });
    default:
      return false;
  }
}

}  // namespace neon_redo
