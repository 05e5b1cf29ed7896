#include "cpp_core/wal_server/metrics.h"

#include <algorithm>
#include <string>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

struct Figure {
  const char* name;
  const char* help;
};
constexpr Figure kFigures[] = {
    {"neon_redo_wal_sender_sent_lsn", "Position sent, as a number of bytes"},
    {"neon_redo_wal_sender_flush_lsn", "Position the client has flushed; 0: it reports none"},
    {"neon_redo_wal_sender_replay_lsn", "Position the client has replayed; 0: it reports none"},
    {"neon_redo_wal_sender_bytes_behind", "Valid WAL that is not sent"},
    {"neon_redo_wal_sender_reply_age_seconds", "Since the client's last status; -1: none yet"},
    {"neon_redo_wal_sender_bytes_sent", "WAL sent on this connection"},
    {"neon_redo_wal_sender_streaming", "1: streaming, and nothing left to send"},
};

std::vector<double> Values(const Session& session, const WalSource& source,
                           Session::Clock::time_point now) {
  const Session::Statistics& s = session.statistics();
  auto number = [](Lsn lsn) { return static_cast<double>(lsn.value); };
  const double age =
      s.status_received ? std::chrono::duration<double>(now - *s.status_received).count() : -1;
  const uint64_t behind = s.sent.valid() && source.end() > s.sent ? source.end() - s.sent : 0;
  return {number(s.sent),
          number(s.status.flushed),
          number(s.status.applied),
          static_cast<double>(behind),
          age,
          static_cast<double>(s.bytes_sent),
          session.caught_up() ? 1.0 : 0.0};
}

}  // namespace

Result<std::unique_ptr<WalServerMetrics>> WalServerMetrics::Open(const std::string& address) {
  ASSIGN_OR_RETURN(auto exposer, MetricsExposer::Open(address));
  auto out = std::make_unique<WalServerMetrics>();
  out->exposer_ = std::move(exposer);
  prometheus::Registry& registry = PrometheusRegistry(*out->exposer_->registry());
  auto family = [&registry](const Figure& figure) -> Gauges& {
    return prometheus::BuildGauge().Name(figure.name).Help(figure.help).Register(registry);
  };
  out->end_ = &family({"neon_redo_wal_end_lsn", "End of valid WAL, as a number of bytes"}).Add({});
  out->clients_ = &family({"neon_redo_wal_senders", "Clients logged in"}).Add({});
  for (const Figure& figure : kFigures) out->families_.push_back(&family(figure));
  return out;
}

void WalServerMetrics::Update(const std::vector<const Session*>& sessions, const WalSource& source,
                              Session::Clock::time_point now) {
  end_->Set(static_cast<double>(source.end().value));
  clients_->Set(static_cast<double>(sessions.size()));
  std::map<uint32_t, std::vector<prometheus::Gauge*>> kept;
  for (const Session* session : sessions) {
    auto& gauges = kept[session->id()];
    gauges.swap(of_session_[session->id()]);
    if (gauges.empty()) {
      const Session::Statistics& s = session->statistics();
      const prometheus::Labels labels = {{"pid", std::to_string(session->id())},
                                         {"application_name", s.application_name},
                                         {"usename", s.user}};
      for (Gauges* family : families_) gauges.push_back(&family->Add(labels));
    }
    const std::vector<double> values = Values(*session, source, now);
    for (size_t i = 0; i < values.size(); i++) gauges[i]->Set(values[i]);
  }
  for (const auto& [id, gauges] : of_session_) {
    for (size_t i = 0; i < gauges.size(); i++) families_[i]->Remove(gauges[i]);
  }
  of_session_ = std::move(kept);
}

}  // namespace neon_redo
