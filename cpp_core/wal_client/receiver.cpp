// Receive has two halves that alternate: take every complete message out of libpq's buffer (under
// the mutex), and, when there is none, wait for the socket (without it) and read it once. Both the
// consumer's thread and the feedback thread may write; nobody blocks in a write: what the socket
// does not take stays in libpq's buffer for the next turn of either.
//
// Whether a silent connection is alive cannot be told from the silence: a server that has nothing
// to send and hears our statuses sends nothing at all. So half-way to stall_timeout a status asks
// for a reply, and only a server that does not answer that is stalled.
#include "cpp_core/wal_client/receiver_impl.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cpp_core/base/try.h"

namespace neon_redo {

using std::chrono::milliseconds;

namespace {
// An end in order is a courtesy; the positions reach the server before it.
constexpr milliseconds kEndTimeout{5'000};
// Something is unread and the consumer elsewhere: it may be a request for a status, so one goes out
// this often.
constexpr milliseconds kBusyInterval{100};
// See Poll.
constexpr std::chrono::microseconds kNap{100};
constexpr size_t kSmallMessage = 1024;
}  // namespace

void MessageBatch::Clear() {
  for (char* buffer : buffers_) PQfreemem(buffer);
  buffers_.clear();
  messages_.clear();
}

WalReceiver::Impl::Impl(ReceiverOptions options, const CancelSignal& cancel)
    : options_(std::move(options)), cancel_(cancel) {}

WalReceiver::Impl::~Impl() { Disconnect(); }

void WalReceiver::Impl::Disconnect() {
  StopFeedback();
  const std::lock_guard lock(mutex_);
  connection_.reset();
  phase_ = Phase::kIdle;
  failure_.reset();
  read_failed_ = copy_ended_ = false;
}

// Taking messages in.

Result<WalReceiver::State> WalReceiver::Impl::Receive(MessageBatch* batch, milliseconds max_wait) {
  batch->Clear();
  if (!connection_ || phase_ == Phase::kIdle)
    return MakeError(ErrorCode::kInvalidArgument, "not streaming");
  const Clock::time_point deadline = Clock::now() + max_wait;
  for (bool waited = false;; waited = true) {
    {
      const std::lock_guard lock(mutex_);
      drains_++;
      const Status drained = Drain(batch);
      if (!drained) {
        phase_ = Phase::kFailed;
        failure_ = drained.error();
      }
    }
    if (!batch->empty()) return State::kStreaming;
    if (phase_ == Phase::kFailed) return tl::unexpected(*failure_);
    if (phase_ == Phase::kTimelineEnded) return State::kTimelineEnded;
    if (phase_ == Phase::kServerDone) return State::kServerDone;
    if (waited && Clock::now() >= deadline) return State::kStreaming;
    RETURN_IF_ERROR(CheckStall());
    RETURN_IF_ERROR(Wait(deadline));
  }
}

// Every complete message in libpq's buffer. What ends the stream is kept for the next call when
// messages came before it.
Status WalReceiver::Impl::Drain(MessageBatch* batch) {
  if (phase_ == Phase::kFailed) return tl::unexpected(*failure_);
  if (phase_ != Phase::kStreaming) return {};
  if (copy_ended_) return ReadEnd();
  bool reply = false;
  while (MessagesOf(batch).size() < kMaxBatch) {
    char* buffer = nullptr;
    const int length = PQgetCopyData(connection_->handle(), &buffer, 1);
    if (length > 0) {
      RETURN_IF_ERROR(Take(batch, buffer, static_cast<size_t>(length)));
      const auto* keepalive = std::get_if<Keepalive>(&MessagesOf(batch).back());
      reply = reply || (keepalive && keepalive->reply_requested);
      continue;
    }
    if (length == -2) return Failed("the connection to the server was lost");
    if (length == -1) {
      copy_ended_ = true;
      if (batch->empty()) return ReadEnd();
    } else if (read_failed_ && batch->empty()) {
      return Failed("the connection to the server was lost");
    }
    break;
  }
  return reply && !copy_ended_ ? PutStatus(false) : Status{};
}

Status WalReceiver::Impl::Take(MessageBatch* batch, char* buffer, size_t length) {
  BuffersOf(batch).push_back(buffer);
  bytes_received_ += length;
  if (length > options_.max_message_bytes)
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("the server sent a message of {} bytes, above the limit of {} bytes", length,
                    options_.max_message_bytes));
  ASSIGN_OR_RETURN(auto message,
                   DecodeServerMessage(Bytes(reinterpret_cast<const uint8_t*>(buffer), length)));
  MessagesOf(batch).push_back(message);
  taken_++;
  return {};
}

// One read of the socket. TLS can hold back the rest of a record that found libpq's buffer almost
// full, and poll does not see it; a second call takes it.
void WalReceiver::Impl::ReadSocket() {
  for (int i = encrypted_ ? 2 : 1; i > 0 && !read_failed_; i--)
    read_failed_ = !PQconsumeInput(connection_->handle());
}

// poll, behind a nap where small messages come in a flood. A walsender sends each change of a
// logical stream by itself, and waking a sleeper costs its core as much as the sending. Nobody is
// woken by what comes during the nap. A flood is four messages a nap since the last wait, so one
// that comes alone is never held up. Large ones would fill the socket before the nap is over.
int WalReceiver::Impl::Poll(std::span<pollfd> fds, Clock::time_point now,
                            Clock::time_point deadline) {
  const bool small = bytes_received_ - bytes_at_wait_ <= kSmallMessage * taken_;
  const bool flood = small && now - last_wait_ < kNap / 4 * taken_;
  bytes_at_wait_ = bytes_received_;
  last_wait_ = now;
  taken_ = 0;
  if (flood) {
    const int n = poll(fds.data(), fds.size(), 0);
    if (n != 0) return n;
    std::this_thread::sleep_for(kNap);
  }
  const auto left = std::chrono::ceil<milliseconds>(deadline - now).count();
  return poll(fds.data(), fds.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 60'000)));
}

Status WalReceiver::Impl::Wait(Clock::time_point deadline) {
  short events = POLLIN;
  int socket;
  {
    const std::lock_guard lock(mutex_);
    socket = connection_->socket();
    if (socket < 0) return Failed("the connection to the server was lost");
    if (output_pending_) events |= POLLOUT;
  }
  std::array<pollfd, 3> fds{
      {{socket, events, 0}, {cancel_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}}};
  const Clock::time_point began = Clock::now();
  if (options_.stall_timeout.count() > 0)
    deadline = std::min(deadline, began + options_.stall_timeout / 8);
  const int n = Poll(fds, began, deadline);
  if (n < 0 && errno != EINTR)
    return MakeError(ErrorCode::kIo, fmt::format("could not wait: {}", strerror(errno)));
  if (n > 0 && fds[1].revents) return MakeError(ErrorCode::kCancelled, "cancelled");
  if (n > 0 && fds[2].revents) wake_.Clear();
  const int seen = n > 0 ? fds[0].revents : 0;
  if (!(seen & ~POLLOUT)) silence_ += Clock::now() - began;
  if (!seen) return {};
  const std::lock_guard lock(mutex_);
  if (seen & POLLOUT) output_pending_ = PQflush(connection_->handle()) > 0;
  if (seen & ~POLLOUT) {
    silence_ = {};
    asked_for_life_ = false;
    ReadSocket();
  }
  return {};
}

Status WalReceiver::Impl::CheckStall() {
  if (options_.stall_timeout.count() == 0) return {};
  if (silence_ >= options_.stall_timeout)
    return MakeError(
        ErrorCode::kTimeout,
        fmt::format("stalled: no byte from the server for {} s, nor an answer to a request for one",
                    std::chrono::duration<double>(options_.stall_timeout).count()));
  if (silence_ < options_.stall_timeout / 2 || asked_for_life_) return {};
  asked_for_life_ = true;
  const std::lock_guard lock(mutex_);
  return PutStatus(true);
}

// The end of streaming.

// The server has ended the copy: the timeline is over, the server is, or an error came.
Status WalReceiver::Impl::ReadEnd() {
  const Clock::time_point deadline = Clock::now() + options_.command_timeout;
  auto result = connection_->NextResult(deadline);
  if (!result) return tl::unexpected(result.error());
  if (*result && PQresultStatus(result->get()) == PGRES_COPY_IN) {
    if (PQputCopyEnd(connection_->handle(), nullptr) < 0 || PQflush(connection_->handle()) < 0)
      return Failed("could not end streaming");
    result = connection_->NextResult(deadline);
    if (!result) return tl::unexpected(result.error());
  }
  return ReadEndResults(std::move(*result), deadline);
}

// A row with the next timeline and where it starts, if this one is over; then the command's end.
Status WalReceiver::Impl::ReadEndResults(Connection::PgResult result, Clock::time_point deadline) {
  phase_ = Phase::kServerDone;
  while (result) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK && PQntuples(result.get()) == 1 && PQnfields(result.get()) >= 2) {
      ASSIGN_OR_RETURN(const auto start, Lsn::Parse(PQgetvalue(result.get(), 0, 1)));
      const auto timeline = strtoul(PQgetvalue(result.get(), 0, 0), nullptr, 10);
      next_timeline_ = {static_cast<uint32_t>(timeline), start};
      phase_ = Phase::kTimelineEnded;
    } else if (status != PGRES_COMMAND_OK) {
      return Failed("the server ended the stream", result.get());
    }
    auto next = connection_->NextResult(deadline);
    // A server that shuts down closes the connection behind its last word.
    if (!next && phase_ == Phase::kServerDone) return {};
    if (!next) return tl::unexpected(next.error());
    result = std::move(*next);
    if (result && phase_ == Phase::kServerDone && PQstatus(connection_->handle()) == CONNECTION_BAD)
      return {};
  }
  return {};
}

tl::unexpected<Error> WalReceiver::Impl::Failed(std::string_view doing, const pg_result* result) {
  auto error = connection_->Fail(doing, result);
  server_error_ = connection_->server_error();
  return error;
}

Status WalReceiver::Impl::End() {
  StopFeedback();
  // After a message that could not be taken the connection is as good as before.
  if (!connection_ || (phase_ != Phase::kStreaming && phase_ != Phase::kFailed)) return {};
  const std::lock_guard lock(mutex_);
  const Clock::time_point deadline = Clock::now() + kEndTimeout;
  phase_ = Phase::kIdle;
  RETURN_IF_ERROR(PutStatus(false));
  PGconn* handle = connection_->handle();
  if (PQputCopyEnd(handle, nullptr) < 0) return connection_->Fail("could not end streaming");
  // The server sends what it was about to, then its own CopyDone.
  for (;;) {
    const int left = PQflush(handle);
    if (left < 0) return connection_->Fail("could not end streaming");
    char* buffer = nullptr;
    int length;
    while ((length = PQgetCopyData(handle, &buffer, 1)) > 0) PQfreemem(buffer);
    if (length == -2) return connection_->Fail("could not end streaming");
    if (length == -1) break;
    pollfd fd{connection_->socket(), static_cast<short>(left ? POLLIN | POLLOUT : POLLIN), 0};
    if (Clock::now() >= deadline)
      return MakeError(ErrorCode::kTimeout, "the server did not end the stream in time");
    if (poll(&fd, 1, 100) > 0 && !PQconsumeInput(handle))
      return connection_->Fail("could not end streaming");
  }
  ASSIGN_OR_RETURN(auto result, connection_->NextResult(deadline));
  Status ended = ReadEndResults(std::move(result), deadline);
  phase_ = Phase::kIdle;
  return ended;
}

// Sending.

Status WalReceiver::Impl::Put(const uint8_t* bytes, size_t length) {
  PGconn* handle = connection_->handle();
  const int put =
      PQputCopyData(handle, reinterpret_cast<const char*>(bytes), static_cast<int>(length));
  if (put < 0) return connection_->Fail("could not send to the server");
  const int left = put == 0 ? 1 : PQflush(handle);
  if (left < 0) return connection_->Fail("could not send to the server");
  output_pending_ = left > 0;
  return {};
}

Status WalReceiver::Impl::PutStatus(bool request_reply) {
  last_status_ = Clock::now();
  const auto bytes = Encode(StandbyStatus{positions_.written, positions_.flushed,
                                          positions_.applied, ReplicationNow(), request_reply});
  Status put = Put(bytes.data(), bytes.size());
  if (put) statuses_sent_++;
  return put;
}

Status WalReceiver::Impl::SendStatus(bool request_reply) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return {};
  return PutStatus(request_reply);
}

Status WalReceiver::Impl::SendFeedback(const HotStandbyFeedback& feedback) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return {};
  const auto bytes = Encode(feedback);
  return Put(bytes.data(), bytes.size());
}

void WalReceiver::Impl::SetPositions(const Positions& positions) {
  const std::lock_guard lock(mutex_);
  positions_.written = std::max(positions_.written, positions.written);
  positions_.flushed = std::max(positions_.flushed, positions.flushed);
  positions_.applied = std::max(positions_.applied, positions.applied);
}

Positions WalReceiver::Impl::positions() const {
  const std::lock_guard lock(mutex_);
  return positions_;
}

uint64_t WalReceiver::Impl::statuses_sent() const {
  const std::lock_guard lock(mutex_);
  return statuses_sent_;
}

// The feedback thread.

void WalReceiver::Impl::StartFeedback() {
  feedback_stop_ = false;
  feedback_ = std::thread([this] { FeedbackLoop(); });
}

void WalReceiver::Impl::StopFeedback() {
  if (!feedback_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    feedback_stop_ = true;
  }
  feedback_wake_.notify_all();
  feedback_.join();
}

void WalReceiver::Impl::FeedbackLoop() {
  milliseconds interval = options_.status_interval;
  // Half of what the server grants, as it counts from our last message.
  if (sender_timeout_.count() > 0)
    interval = interval.count() > 0 ? std::min(interval, sender_timeout_ / 2) : sender_timeout_ / 2;
  std::unique_lock lock(mutex_);
  while (!feedback_stop_) {
    const Clock::time_point now = Clock::now();
    const auto due = interval.count() > 0 ? last_status_ + interval : Clock::time_point::max();
    const uint64_t drains = drains_;
    if (now < due) {
      feedback_wake_.wait_until(lock, std::min(due, now + kBusyInterval));
      if (feedback_stop_) return;
    }
    if (phase_ != Phase::kStreaming) return;
    if (Clock::now() < due && !(drains == drains_ && Unread())) continue;
    // A failure shows to Receive, which owns the outcome. So does input that libpq had to read to
    // get its output out.
    static_cast<void>(PutStatus(false));
    last_status_ = Clock::now();
    wake_.Set();
  }
}

// Whether the socket has something. libpq does not show what it is without taking it, which is the
// consumer's to do.
bool WalReceiver::Impl::Unread() const {
  pollfd fd{connection_->socket(), POLLIN, 0};
  return poll(&fd, 1, 0) > 0;
}

WalReceiver::WalReceiver(ReceiverOptions options, const CancelSignal& cancel)
    : impl_(new Impl(std::move(options), cancel)) {}
WalReceiver::~WalReceiver() = default;

Status WalReceiver::Connect() { return impl_->Connect(); }
void WalReceiver::Disconnect() { impl_->Disconnect(); }
bool WalReceiver::connected() const { return impl_->connected(); }
Result<SystemIdentity> WalReceiver::IdentifySystem() { return impl_->IdentifySystem(); }
Result<TimelineHistory> WalReceiver::ReadTimelineHistory(uint32_t timeline) {
  return impl_->ReadTimelineHistory(timeline);
}
Result<std::string> WalReceiver::Show(const std::string& setting) { return impl_->Show(setting); }
Result<uint32_t> WalReceiver::ReadSegmentSize() { return impl_->ReadSegmentSize(); }
Result<CreatedSlot> WalReceiver::CreateSlot(const SlotSpec& spec) {
  return impl_->CreateSlot(spec);
}
Result<std::optional<SlotPosition>> WalReceiver::ReadSlot(const std::string& name) {
  return impl_->ReadSlot(name);
}
Status WalReceiver::DropSlot(const std::string& name, bool wait) {
  return impl_->DropSlot(name, wait);
}
Result<std::vector<std::string>> WalReceiver::FindMissingPublications(
    const std::vector<std::string>& names) {
  return impl_->FindMissingPublications(names);
}
Status WalReceiver::StartPhysical(const std::optional<std::string>& slot, Lsn start,
                                  uint32_t timeline) {
  return impl_->StartPhysical(slot, start, timeline);
}
Status WalReceiver::StartLogical(const std::string& slot, Lsn start, const PluginOptions& options) {
  return impl_->StartLogical(slot, start, options);
}
Result<WalReceiver::State> WalReceiver::Receive(MessageBatch* batch, milliseconds max_wait) {
  return impl_->Receive(batch, max_wait);
}
WalReceiver::TimelineSwitch WalReceiver::next_timeline() const { return impl_->next_timeline(); }
void WalReceiver::SetPositions(const Positions& positions) { impl_->SetPositions(positions); }
Positions WalReceiver::positions() const { return impl_->positions(); }
Status WalReceiver::SendStatus(bool request_reply) { return impl_->SendStatus(request_reply); }
Status WalReceiver::SendFeedback(const HotStandbyFeedback& feedback) {
  return impl_->SendFeedback(feedback);
}
Status WalReceiver::End() { return impl_->End(); }
int WalReceiver::server_version() const { return impl_->server_version(); }
const ServerError& WalReceiver::server_error() const { return impl_->server_error(); }
uint64_t WalReceiver::bytes_received() const { return impl_->bytes_received(); }
uint64_t WalReceiver::statuses_sent() const { return impl_->statuses_sent(); }

}  // namespace neon_redo
