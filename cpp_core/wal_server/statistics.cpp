// A lag is the age of the oldest WAL that a client lacks, as far as this server knows it: since its
// end of WAL moved past the client's position, or since the stream began.
#include "cpp_core/wal_server/statistics.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace neon_redo {

using nlohmann::json;

namespace {

json LsnOrNull(Lsn lsn) { return lsn.valid() ? json(lsn.ToString()) : json(nullptr); }

json TextOrNull(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

// A client may tell any time; system_clock's own resolution would not hold all of them.
std::string FormatTimestamp(ReplicationTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(static_cast<std::time_t>(seconds.time_since_epoch().count())),
                     (time - seconds).count());
}

double Seconds(Session::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

json DescribeSession(const Session& session, const WalSource& source,
                     Session::Clock::time_point now) {
  const Session::Statistics& s = session.statistics();
  json row;
  row["pid"] = session.id();
  row["kind"] = "physical";
  row["application_name"] = s.application_name;
  row["usesysid"] = nullptr;
  row["usename"] = s.user;
  row["client_addr"] = TextOrNull(session.peer().address);
  row["client_hostname"] = nullptr;
  row["client_port"] = session.peer().port;
  row["encrypted"] = session.encrypted();
  row["backend_start"] =
      FormatTimestamp(std::chrono::time_point_cast<std::chrono::microseconds>(s.backend_start));
  row["state"] = SenderStateName(s.state);
  const struct {
    const char* name;
    Lsn lsn;
  } positions[] = {{"sent", session.streaming() ? s.sent : Lsn()},
                   {"write", s.status.written},
                   {"flush", s.status.flushed},
                   {"replay", s.status.applied}};
  for (const auto& [name, lsn] : positions) {
    row[fmt::format("{}_lsn", name)] = LsnOrNull(lsn);
    json behind = nullptr;
    if (lsn.valid()) behind = source.end() > lsn ? source.end() - lsn : 0;
    row[fmt::format("{}_bytes_behind", name)] = behind;
    if (std::string_view(name) == "sent") continue;
    json lag = nullptr;
    if (lsn.valid() && lsn < source.end())
      lag = Seconds(now - std::max(s.stream_start, source.KnownSince(lsn)));
    row[fmt::format("{}_lag", name)] = lag;
  }
  row["sync_priority"] = 0;
  row["sync_state"] = "async";
  row["reply_time"] = nullptr;
  row["reply_age"] = nullptr;
  if (s.status_received) {
    row["reply_time"] = FormatTimestamp(s.status.sent);
    row["reply_age"] = Seconds(now - *s.status_received);
  }
  row["slot_name"] = TextOrNull(s.slot);
  for (const char* name : {"slot_wal_status", "slot_retained_bytes", "slot_safe_wal_size"})
    row[name] = nullptr;  // a slot here holds nothing back
  row["caught_up"] = session.caught_up();
  row["bytes_sent"] = s.bytes_sent;
  row["timeline"] = s.timeline == 0 ? json(nullptr) : json(s.timeline);
  return row;
}

json DescribeServer(const std::vector<const Session*>& sessions, const WalSource& source,
                    const SlotStore& slots, Session::Clock::time_point now) {
  json out;
  out["system_identifier"] = std::to_string(source.system_identifier());
  out["timeline"] = source.timeline();
  out["end_lsn"] = source.end().ToString();
  out["wal_senders"] = json::array();
  for (const Session* session : sessions)
    out["wal_senders"].push_back(DescribeSession(*session, source, now));
  out["slots"] = json::array();
  for (const auto& [name, slot] : slots.slots()) {
    out["slots"].push_back({{"slot_name", name},
                            {"restart_lsn", LsnOrNull(slot.restart)},
                            {"temporary", slot.temporary},
                            {"active", slot.active != 0}});
  }
  return out;
}

}  // namespace neon_redo
