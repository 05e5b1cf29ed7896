#include "cpp_core/wal/commit_time.h"

#include <cmath>
#include <cstring>
#include <ctime>
#include <string>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr int64_t kMicroseconds = 1'000'000;
constexpr int64_t kEpoch = 946'684'800;  // 2000-01-01 00:00:00 UTC as Unix time

tl::unexpected<Error> NoTime() {
  return MakeError(ErrorCode::kInvalidArgument,
                   "it must be a time, such as \"2024-05-31 12:30:00\" or "
                   "\"2024-05-31 12:30:00+02\"");
}

// "Z", "+02", "-0530", "+05:30" in seconds east of Greenwich.
std::optional<int64_t> ParseZone(const std::string& text) {
  if (text == "Z" || text == "z" || text == "UTC" || text == "GMT") return 0;
  std::string digits;
  for (const char c : text.substr(1)) {
    if (c == ':' && digits.size() == 2) continue;
    if (c < '0' || c > '9') return std::nullopt;
    digits += c;
  }
  if ((text[0] != '+' && text[0] != '-') || (digits.size() != 2 && digits.size() != 4))
    return std::nullopt;
  if (digits.size() == 2) digits += "00";
  const int hours = (digits[0] - '0') * 10 + (digits[1] - '0');
  const int minutes = (digits[2] - '0') * 10 + (digits[3] - '0');
  // As in the server (MAX_TZDISP_HOUR in datatype/timestamp.h).
  if (hours > 15 || minutes > 59) return std::nullopt;
  const int64_t seconds = hours * int64_t{3600} + minutes * int64_t{60};
  return text[0] == '-' ? -seconds : seconds;
}

}  // namespace

WalTime FromUnixTime(int64_t seconds) { return (seconds - kEpoch) * kMicroseconds; }

Result<WalTime> ParseWalTime(std::string_view text) {
  std::string copy(text);
  if (copy.find_first_not_of("0123456789") != 4) return NoTime();  // the year
  if (copy.size() > 10 && copy[10] == 'T') copy[10] = ' ';
  std::tm fields{};
  const char* rest = strptime(copy.c_str(), "%Y-%m-%d %H:%M", &fields);
  if (rest == nullptr) return NoTime();
  int64_t fraction = 0;
  if (*rest == ':') {
    if ((rest = strptime(rest, ":%S", &fields)) == nullptr) return NoTime();
    if (*rest == '.') {
      if (rest[1] < '0' || rest[1] > '9') return NoTime();
      int64_t unit = kMicroseconds / 10;
      for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
        fraction += (*rest - '0') * unit;
    }
  }
  while (*rest == ' ') ++rest;
  if (fields.tm_sec > 60) return NoTime();
  fraction += std::exchange(fields.tm_sec, 0) * kMicroseconds;  // 60 is the next minute
  fields.tm_isdst = -1;
  const std::tm parsed = fields;
  int64_t seconds;
  if (*rest == 0) {
    seconds = std::mktime(&fields);
  } else {
    const auto zone = ParseZone(rest);
    if (!zone) return NoTime();
    seconds = timegm(&fields) - *zone;
  }
  // A day that the month does not have, or an hour that summer time skips.
  if (fields.tm_mday != parsed.tm_mday || fields.tm_mon != parsed.tm_mon ||
      fields.tm_hour != parsed.tm_hour)
    return NoTime();
  return FromUnixTime(seconds) + fraction;
}

std::optional<WalTime> TransactionEnd(const RecordView& record) {
  if (record.rmid() != kRmXact || record.main_data().size() < sizeof(WalTime)) return std::nullopt;
  namespace xact = layout::xact;
  const uint8_t operation = record.info() & layout::kOperationMask;
  if (operation != xact::kCommit && operation != xact::kAbort &&
      operation != xact::kCommitPrepared && operation != xact::kAbortPrepared)
    return std::nullopt;
  // xact_time, the first member of xl_xact_commit and of xl_xact_abort.
  return LoadNative<WalTime>(record.main_data().data());
}

Result<TimeRangeLsns> FindTimeRange(WalReader* reader, const TimeRange& times) {
  TimeRangeLsns out;
  RecordView view(reader->version());
  WalRecord record;
  std::optional<Lsn> last_end;  // of a transaction
  bool has_begun = !times.after;
  while (reader->Next(&record)) {
    if (LoadNative<RecordHeader>(record.bytes.data()).rmid != kRmXact) continue;
    RETURN_IF_ERROR(ParseRecord(record, &view));
    const auto time = TransactionEnd(view);
    if (!time) continue;
    if (!has_begun && *time >= *times.after) {
      has_begun = true;
      out.from = last_end;
    }
    if (times.before && *time >= *times.before) {
      out.to = last_end.value_or(record.start);
      if (!has_begun) out.from = out.to;
      return out;
    }
    if (has_begun && !times.before) return out;
    last_end = record.end;
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  if (!has_begun) out.from = last_end;
  return out;
}

}  // namespace neon_redo
