// The position is what makes this exact: it moves only over WAL that has been handed over, every
// message must begin at it, and every new connection asks for it. A walsender can start at any byte
// (StartReplication in replication/walsender.c takes the position as it is), so nothing has to be
// fetched twice.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <random>

#include "cpp_core/base/backoff.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_client/fork.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

using std::chrono::milliseconds;

// The public functions are those of WalStream.
class WalStream::Impl {
 public:
  Impl(StreamOptions options, const CancelSignal& cancel);
  Result<SystemIdentity> Connect();
  Status StartPhysical(std::optional<std::string> slot, Lsn start, uint32_t timeline);
  Status StartLogical(std::string slot, Lsn start, PluginOptions options);
  Result<Step> Next(MessageBatch* batch, std::chrono::milliseconds max_wait);
  Lsn position() const { return position_; }
  uint32_t timeline() const { return timeline_; }
  const TimelineHistory& history() const { return history_; }
  Lsn server_end() const { return server_end_; }
  ReplicationTime last_sent() const { return last_sent_; }
  uint64_t reconnects() const { return reconnects_; }
  bool connected() const { return streaming_; }
  WalReceiver& receiver() { return receiver_; }
  Status End();

 private:
  using Clock = std::chrono::steady_clock;

  Result<SystemIdentity> ConnectOnce();
  Status Begin();
  bool Transient(const Error& error) const;
  Status Lost(const Error& error);
  Status Pause(Clock::time_point until) const;
  Status Resume(Clock::time_point deadline, bool* resumed);
  Status Advance(const MessageBatch& batch);
  Status FollowTimeline();
  Status CheckFork(const SystemIdentity& server);

  const StreamOptions options_;
  const CancelSignal& cancel_;
  WalReceiver receiver_;
  std::mt19937_64 random_{std::random_device{}()};

  uint64_t system_identifier_ = 0;
  std::optional<std::string> slot_;
  PluginOptions plugin_options_;
  Lsn position_;
  Lsn server_end_;
  ReplicationTime last_sent_{};
  uint32_t timeline_ = 0;
  TimelineHistory history_;

  bool streaming_ = false;
  uint64_t reconnects_ = 0;
  Backoff backoff_;
  Clock::time_point next_attempt_{};
};

WalStream::Impl::Impl(StreamOptions options, const CancelSignal& cancel)
    : options_(std::move(options)),
      cancel_(cancel),
      receiver_(options_.receiver, cancel),
      backoff_(options_.backoff_first, options_.backoff_cap) {}

Result<SystemIdentity> WalStream::Impl::ConnectOnce() {
  RETURN_IF_ERROR(receiver_.Connect());
  auto identity = receiver_.IdentifySystem();
  if (!identity) return identity;
  if (system_identifier_ != 0 && identity->system_identifier != system_identifier_)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the server is another one: its system identifier is {}, that of "
                                 "the WAL so far is {}",
                                 identity->system_identifier, system_identifier_));
  server_end_ = identity->flushed;
  return identity;
}

Result<SystemIdentity> WalStream::Impl::Connect() {
  for (;;) {
    auto identity = ConnectOnce();
    if (identity) {
      system_identifier_ = identity->system_identifier;
      backoff_.Reset();
      return identity;
    }
    if (!receiver_.server_error().transient()) return identity;
    Status waited = Lost(identity.error());
    if (waited) waited = Pause(next_attempt_);
    if (!waited) return tl::unexpected(waited.error());
  }
}

Status WalStream::Impl::StartPhysical(std::optional<std::string> slot, Lsn start,
                                      uint32_t timeline) {
  slot_ = std::move(slot);
  position_ = start;
  timeline_ = timeline;
  const Status begun = Begin();
  return begun ? begun : Lost(begun.error());
}

Status WalStream::Impl::StartLogical(std::string slot, Lsn start, PluginOptions options) {
  slot_ = std::move(slot);
  position_ = start;
  plugin_options_ = std::move(options);
  const Status begun = Begin();
  return begun ? begun : Lost(begun.error());
}

Status WalStream::Impl::Begin() {
  const bool logical = options_.receiver.connect.logical;
  Status begun;
  if (logical) {
    const Lsn written = receiver_.positions().written;
    begun = receiver_.StartLogical(*slot_, std::max(position_, written), plugin_options_);
  } else {
    begun = receiver_.StartPhysical(slot_, position_, timeline_);
  }
  streaming_ = begun.has_value();
  return begun;
}

bool WalStream::Impl::Transient(const Error& error) const {
  if (error.code == ErrorCode::kTimeout) return true;
  if (error.code == ErrorCode::kInvalidArgument) return false;
  const ServerError& said = receiver_.server_error();
  if (!said.sqlstate.empty()) {
    // A standby that restarts first replays what it already had: it is behind, not wrong.
    const bool behind = said.sqlstate == "XX000" && server_end_ < position_;
    return said.transient() || behind;
  }
  return error.code == ErrorCode::kIo;
}

// Plans the next attempt, or returns the error if another attempt cannot help. Then the connection
// stays as it is, so that End can still send the last positions.
Status WalStream::Impl::Lost(const Error& error) {
  if (error.code == ErrorCode::kCancelled || !Transient(error)) return tl::unexpected(error);
  streaming_ = false;
  receiver_.Disconnect();
  const milliseconds pause = backoff_.Next(std::uniform_real_distribution<double>()(random_));
  next_attempt_ = Clock::now() + pause;
  options_.on_event(
      fmt::format("{}; next attempt in {:.1f} s", error.message, pause.count() / 1000.0));
  return {};
}

Status WalStream::Impl::Pause(Clock::time_point until) const {
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  pollfd fd{cancel_.fd(), POLLIN, 0};
  if (poll(&fd, 1, static_cast<int>(std::max<int64_t>(left, 0))) > 0)
    return MakeError(ErrorCode::kCancelled, "cancelled");
  return {};
}

Status WalStream::Impl::Resume(Clock::time_point deadline, bool* resumed) {
  *resumed = false;
  RETURN_IF_ERROR(Pause(std::min(deadline, next_attempt_)));
  if (Clock::now() < next_attempt_) return {};
  const auto identity = ConnectOnce();
  if (!identity) return Lost(identity.error());
  const Status continues = CheckFork(*identity);
  if (!continues) return Lost(continues.error());
  const Status begun = Begin();
  if (!begun) return Lost(begun.error());
  reconnects_++;
  *resumed = true;
  options_.on_event(fmt::format("streaming again from {}", position_.ToString()));
  return {};
}

// What was returned cannot be taken back, so a failover that lost some of it ends the stream.
Status WalStream::Impl::CheckFork(const SystemIdentity& server) {
  if (options_.receiver.connect.logical) return {};
  ASSIGN_OR_RETURN(const auto fork, FindEarlierFork(&receiver_, server, timeline_, position_));
  if (!fork) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "the server left timeline {} at {} for timeline {}, but WAL of timeline {} was "
          "received up to {}: the failover lost WAL; a new start continues with timeline {}",
          timeline_, fork->start.ToString(), fork->timeline, timeline_, position_.ToString(),
          fork->timeline));
}

// What arrived moves the position; WAL must arrive without a gap and without overlap.
Status WalStream::Impl::Advance(const MessageBatch& batch) {
  const bool logical = options_.receiver.connect.logical;
  for (const ServerMessage& message : batch.messages()) {
    if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
      server_end_ = std::max(server_end_, keepalive->server_end);
      last_sent_ = keepalive->sent;
      continue;
    }
    const XLogData& data = std::get<XLogData>(message);
    server_end_ = std::max(server_end_, data.server_end);
    last_sent_ = data.sent;
    if (logical) continue;
    if (data.start != position_)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("replication protocol: WAL from {} came where {} was due",
                                   data.start.ToString(), position_.ToString()));
    position_ = data.end();
  }
  return {};
}

Status WalStream::Impl::FollowTimeline() {
  const auto next = receiver_.next_timeline();
  if (next.start != position_ || next.timeline <= timeline_)
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("timeline {} was to go on as {} from {}, but WAL was received "
                    "up to {}",
                    timeline_, next.timeline, next.start.ToString(), position_.ToString()));
  ASSIGN_OR_RETURN(auto history, receiver_.ReadTimelineHistory(next.timeline));
  history_ = std::move(history);
  options_.on_event(fmt::format("timeline {} ended at {}; going on with timeline {}", timeline_,
                                position_.ToString(), next.timeline));
  timeline_ = next.timeline;
  return {};
}

Result<WalStream::Step> WalStream::Impl::Next(MessageBatch* batch, milliseconds max_wait) {
  const Clock::time_point deadline = Clock::now() + max_wait;
  batch->Clear();
  if (!streaming_) {
    bool resumed;
    RETURN_IF_ERROR(Resume(deadline, &resumed));
    return resumed && options_.receiver.connect.logical ? Step::kReconnected : Step::kIdle;
  }
  const auto state = receiver_.Receive(batch, max_wait);
  if (!state) {
    RETURN_IF_ERROR(Lost(state.error()));
    return Step::kIdle;
  }
  if (*state == WalReceiver::State::kTimelineEnded) {
    Status followed = FollowTimeline();
    const bool switched = followed.has_value();
    if (switched) followed = Begin();
    if (!followed) {
      RETURN_IF_ERROR(Lost(followed.error()));
    }
    return switched ? Step::kTimelineSwitch : Step::kIdle;
  }
  if (*state == WalReceiver::State::kServerDone) {
    RETURN_IF_ERROR(Lost({ErrorCode::kIo, "the server has shut down"}));
    return Step::kIdle;
  }
  if (batch->empty()) return Step::kIdle;
  backoff_.Reset();
  RETURN_IF_ERROR(Advance(*batch));
  return Step::kMessages;
}

Status WalStream::Impl::End() {
  if (!streaming_) return {};
  streaming_ = false;
  const Status ended = receiver_.End();
  receiver_.Disconnect();
  return ended;
}

WalStream::WalStream(StreamOptions options, const CancelSignal& cancel)
    : impl_(new Impl(std::move(options), cancel)) {}
WalStream::~WalStream() = default;

Result<SystemIdentity> WalStream::Connect() { return impl_->Connect(); }
Status WalStream::StartPhysical(std::optional<std::string> slot, Lsn start, uint32_t timeline) {
  return impl_->StartPhysical(std::move(slot), start, timeline);
}
Status WalStream::StartLogical(std::string slot, Lsn start, PluginOptions options) {
  return impl_->StartLogical(std::move(slot), start, std::move(options));
}
Result<WalStream::Step> WalStream::Next(MessageBatch* batch, milliseconds max_wait) {
  return impl_->Next(batch, max_wait);
}
Lsn WalStream::position() const { return impl_->position(); }
uint32_t WalStream::timeline() const { return impl_->timeline(); }
const TimelineHistory& WalStream::history() const { return impl_->history(); }
Lsn WalStream::server_end() const { return impl_->server_end(); }
ReplicationTime WalStream::last_sent() const { return impl_->last_sent(); }
uint64_t WalStream::reconnects() const { return impl_->reconnects(); }
bool WalStream::connected() const { return impl_->connected(); }
WalReceiver& WalStream::receiver() { return impl_->receiver(); }
Status WalStream::End() { return impl_->End(); }

}  // namespace neon_redo
