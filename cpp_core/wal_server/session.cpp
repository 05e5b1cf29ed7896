// Input is collected until a whole message is there, which is then handled in one go; a client that
// asks much and reads nothing is not listened to until it has read (Process stops, wants_input
// turns false). What may come depends on the phase: startup packets first, then queries, then, once
// START_REPLICATION is in effect, CopyData and CopyDone (ProcessStartupPacket in
// postmaster/postmaster.c, PostgresMain in tcop/postgres.c, ProcessRepliesIfAny in
// replication/walsender.c).
#include "cpp_core/wal_server/session.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "neon_redo/bytes.h"

namespace neon_redo {

const char* SenderStateName(SenderState state) {
  switch (state) {
    case SenderState::kStartup:
      return "startup";
    case SenderState::kCatchup:
      return "catchup";
    case SenderState::kStreaming:
      return "streaming";
    case SenderState::kStopping:
      return "stopping";
  }
  return "unknown";
}

Session::Session(const SessionHost& host, uint32_t id, uint32_t cancel_key, Peer peer,
                 Clock::time_point now)
    : host_(host),
      id_(id),
      cancel_key_(cancel_key),
      peer_(std::move(peer)),
      start_(now),
      now_(now) {
  statistics_.backend_start = std::chrono::system_clock::now();
}

// Temporary slots go with the session.
Session::~Session() {
  ReleaseSlot();
  std::vector<std::string> own;
  for (const auto& [name, slot] : host_.slots->slots()) {
    if (slot.temporary && slot.active == id_) own.push_back(name);
  }
  for (const std::string& name : own) static_cast<void>(host_.slots->Drop(name));
}

void Session::Feed(std::string_view bytes, Clock::time_point now) {
  if (closing_) return;
  now_ = now;
  inbox_.append(bytes);
  Process();
}

void Session::Process() {
  if (waits_for_turn_ && !turn_over()) Retry();
  while (!closing_ && !waiting_ && !turn_over() && output_.buffered() < kMaxOutput) {
    if (phase_ == Phase::kNegotiation ? !HandleStartup() : !HandleMessage()) break;
    if (starting_tls_) break;
  }
  DropHandledInput();
}

// Once for all messages of a turn: to move the rest to the front for each would be quadratic.
void Session::DropHandledInput() {
  inbox_.erase(0, std::exchange(inbox_at_, 0));
  if (inbox_.empty() && inbox_.capacity() > 1024) inbox_.shrink_to_fit();
}

bool Session::Continue(Clock::time_point now) {
  if (closing_) return false;
  now_ = now;
  if (!inbox().empty() || waits_for_turn_) Process();
  if (!output_.empty() || closing_) return !output_.empty();
  return phase_ == Phase::kStreaming && SendWal();
}

void Session::Break(const std::string& why) {
  if (!why.empty()) host_.log(id_, why);
  closing_ = broken_ = true;
}

void Session::Fail(Severity severity, const ServerErrorMessage& error) {
  PutError(output_.bytes(), severity, error);
  if (severity == Severity::kFatal) {
    host_.log(id_, "FATAL: " + error.message);
    closing_ = true;
    return;
  }
  host_.log(id_, "ERROR: " + error.message);
  if (phase_ == Phase::kStreaming) {
    ReleaseSlot();
    CloseSegments();
    statistics_.state = SenderState::kStartup;
    caught_up_ = false;
  }
  phase_ = Phase::kCommands;
  if (!skip_to_sync_) PutReadyForQuery(output_.bytes());
}

void Session::Retry() {
  waits_for_turn_ = false;
  const ReplicationCommand command = *std::exchange(waiting_, std::nullopt);
  std::visit([this](const auto& c) { Execute(c); }, command);
}

void Session::Cancel() {
  if (waiting_) {
    waiting_.reset();
    waits_for_turn_ = false;
    Fail(Severity::kError, {"57014", "canceling statement due to user request"});
  }
  if (phase_ == Phase::kStreaming && output_.range_free())
    Fail(Severity::kError, {"57014", "canceling statement due to user request"});
}

void Session::GiveUp(const std::shared_ptr<SegmentFile>& file) {
  if (output_.range().file == file && !output_.TakeInRange())
    Break(fmt::format("could not read what was decompressed of file \"{}\"", file->segment.path));
}

// One message: its type, its length, its body.
bool Session::HandleMessage() {
  const std::string_view inbox = this->inbox();
  if (inbox.size() < 5) return false;
  const char type = inbox[0];
  const uint32_t length = LoadBe32(inbox.data() + 1);
  if (length < 4 || length > kMaxMessage - 1) {
    Fail(Severity::kFatal, {"08P01", "invalid message length"});
    return false;
  }
  if (inbox.size() < 1 + size_t{length}) return false;
  const std::string body(inbox.substr(5, length - 4));
  inbox_at_ += 1 + size_t{length};
  turn_work_ -= type == 'Q' ? kCommandWork : 1;
  last_message_ = now_;
  if (phase_ == Phase::kPassword)
    HandlePasswordMessage(type, body);
  else if (phase_ == Phase::kStreaming)
    HandleStreamMessage(type, body);
  else
    HandleCommandMessage(type, body);
  return true;
}

void Session::HandleCommandMessage(char type, std::string_view body) {
  if (type == 'X') return Break("");
  // What a client sends of a stream that we have already ended.
  if (type == 'd' || type == 'c' || type == 'f') return;
  if (type == 'S') {
    skip_to_sync_ = false;
    return PutReadyForQuery(output_.bytes());
  }
  if (skip_to_sync_ || type == 'H') return;
  if (type == 'Q') return HandleQuery(body);
  if (type == 'F')
    return Refuse("08P01", "fastpath function calls not supported in a replication connection");
  if (std::string_view("PBEDC").find(type) == std::string_view::npos)
    return Fail(Severity::kFatal,
                {"08P01", fmt::format("invalid frontend message type {}",
                                      static_cast<unsigned>(static_cast<unsigned char>(type)))});
  skip_to_sync_ = true;
  Refuse("08P01", "extended query protocol not supported in a replication connection");
}

void Session::Tick(Clock::time_point now) {
  if (closing_) return;
  now_ = now;
  if (!statistics_.authenticated) {
    if (host_.login_timeout.count() > 0 && now - start_ >= host_.login_timeout)
      Break("could not log the client in: timeout");
    return;
  }
  if (waiting_ && !waits_for_turn_) {
    Retry();
    Process();
  }
  if (closing_ || host_.sender_timeout.count() == 0) return;
  if (phase_ != Phase::kStreaming) {
    // A command that waits for a slot keeps its client waiting too.
    if (!waiting_ && now - last_message_ >= host_.sender_timeout)
      Fail(Severity::kFatal, {"57P05", "terminating connection due to idle-session timeout"});
    return;
  }
  if (now - last_reply_ >= host_.sender_timeout)
    return Break("terminating walsender process due to replication timeout");
  if (!waiting_for_reply_ && now - last_reply_ >= host_.sender_timeout / 2)
    PutKeepaliveMessage(true);
}

void Session::Stop(Clock::time_point now) {
  if (closing_) return;
  stopping_ = true;
  waiting_.reset();
  waits_for_turn_ = false;
  if (phase_ != Phase::kStreaming || done_sending_) {
    if (!statistics_.authenticated) return Break("");
    return Fail(Severity::kFatal, {"57P01", "terminating connection due to administrator command"});
  }
  statistics_.state = SenderState::kStopping;
  // What was asked before does not count as an answer to this.
  waiting_for_reply_ = false;
  static_cast<void>(Continue(now));
}

}  // namespace neon_redo
