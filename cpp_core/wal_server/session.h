// The server's side of one client's connection: a state machine that takes bytes and gives bytes.
#ifndef NEON_REDO_WAL_SERVER_SESSION_H_
#define NEON_REDO_WAL_SERVER_SESSION_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/wal_client/message.h"
#include "cpp_core/wal_server/command.h"
#include "cpp_core/wal_server/output.h"
#include "cpp_core/wal_server/scram.h"
#include "cpp_core/wal_server/server_message.h"
#include "cpp_core/wal_server/slots.h"
#include "cpp_core/wal_server/wal_source.h"

namespace neon_redo {

// Who is at the other end, as far as the transport knows.
struct Peer {
  bool local = true;      // a Unix socket
  std::string address;    // of TCP
  int port = -1;          // of TCP
  bool permitted = true;  // a local peer's user id is ours
};

// WalSndState and what comes before it.
enum class SenderState { kStartup, kCatchup, kStreaming, kStopping };
const char* SenderStateName(SenderState state);

// What the sessions of one server share. Outlives them.
struct SessionHost {
  WalSource* source = nullptr;
  SlotStore* slots = nullptr;
  const ScramUsers* users = nullptr;                 // of clients by TCP; null: there are none
  bool tls = false;                                  // the transport can
  std::chrono::milliseconds sender_timeout{60'000};  // wal_sender_timeout; 0: none
  // authentication_timeout, which is a minute in PostgreSQL: there a process waits for each.
  std::chrono::milliseconds login_timeout{10'000};
  size_t max_connections = 100;
  size_t max_replication_slots = 10;
  // There are no more places for clients like that peer.
  std::function<bool(const Peer& peer)> too_many = [](const Peer&) { return false; };
  // A command may now make the slots' file be written, which waits for the disk. False: it may in a
  // later turn.
  std::function<bool()> may_write_slots = [] { return true; };
  // A CancelRequest for that session.
  std::function<void(uint32_t id, uint32_t key)> cancel = [](uint32_t, uint32_t) {};
  // That role has all the connections it may have, beside the one that asks.
  std::function<bool(const std::string& user)> too_many_for_user = [](const std::string&) {
    return false;
  };
  // A line for the log about a session.
  std::function<void(uint32_t id, const std::string&)> log = [](uint32_t, const std::string&) {};
  // The server's part of an exchange's nonce.
  std::function<Result<std::string>()> make_nonce = MakeScramNonce;
  // The statistics of all sessions, as JSON.
  std::function<std::string()> status = [] { return std::string(); };
};

// Not thread-safe; no call blocks but on files. The transport feeds it what it received and sends
// what output() has; when that is empty it asks for WAL. Memory is bounded: what is not taken in
// stays in the socket (wants_input), and no more answers are made than fit kMaxOutput.
class Session {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kMaxMessage = 16 * 1024;  // a client's, without its type and length
  static constexpr size_t kMaxOutput = 64 * 1024;
  // A page less than MAX_SEND_SIZE in replication/walsender.c: with its header the message fits
  // into a buffer of a power of two (libpq's), and there is little of the next one to be moved in
  // it.
  static constexpr uint32_t kMaxSend = 120 * 1024;

  // What a turn may do: a message counts 1, a command kCommandWork.
  static constexpr int kTurnWork = 256;
  static constexpr int kCommandWork = 16;

  Session(const SessionHost& host, uint32_t id, uint32_t cancel_key, Peer peer,
          Clock::time_point now);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Without a call ever, turns have no end.
  void BeginTurn() { turn_work_ = kTurnWork; }
  bool turn_over() const { return turn_work_ <= 0; }
  // The turn ended before all that the client has said was handled: it needs another one, of which
  // its socket will not say anything.
  bool wants_turn() const {
    return !closing_ && (waits_for_turn_ || (turn_over() && !waiting_ && !inbox().empty())) &&
           output_.buffered() < kMaxOutput;
  }

  void Feed(std::string_view bytes, Clock::time_point now);
  bool wants_input() const {
    return !closing_ && !starting_tls_ && !waiting_ && inbox().size() < kMaxMessage;
  }

  Output& output() { return output_; }
  const Output& output() const { return output_; }
  // The output is empty, or nearly so: takes on what was left waiting, and appends WAL. False:
  // there is nothing to send now.
  bool Continue(Clock::time_point now);

  // Time has passed: timeouts, keepalives.
  void Tick(Clock::time_point now);

  // The connection ends, once the output is sent (closing), or at once (broken).
  bool closing() const { return closing_; }
  bool broken() const { return broken_; }

  // 'S' is the last byte of the output: once it is sent, the client starts TLS.
  bool starting_tls() const { return starting_tls_; }
  // channel_binding: TlsStream's.
  void TlsEstablished(const std::string& channel_binding);

  // The server shuts down: what WAL there is goes out, then the connection ends.
  void Stop(Clock::time_point now);
  // Ends with this error.
  void Fail(Severity severity, const ServerErrorMessage& error);
  // A client's CancelRequest for this session.
  void Cancel();
  // The file will be closed: what is under way of it is read first.
  void GiveUp(const std::shared_ptr<SegmentFile>& file);

  uint32_t id() const { return id_; }
  uint32_t cancel_key() const { return cancel_key_; }
  bool streaming() const { return phase_ == Phase::kStreaming; }
  // Streaming, and all WAL there is has been sent.
  bool caught_up() const { return caught_up_; }
  // It had nothing to send because a segment was being decompressed, and that is over.
  bool segment_has_come() const { return awaits_segment_ && segment_ && !segment_->waits; }

  struct Statistics {
    std::chrono::system_clock::time_point backend_start;
    SenderState state = SenderState::kStartup;
    bool authenticated = false;
    std::string user;
    std::string application_name;
    Lsn sent;
    StandbyStatus status;  // as last reported
    HotStandbyFeedback feedback;
    std::optional<Clock::time_point> status_received;
    std::string slot;
    uint32_t timeline = 0;
    uint64_t bytes_sent = 0;  // of WAL
    Clock::time_point stream_start;
  };
  const Statistics& statistics() const { return statistics_; }
  const Peer& peer() const { return peer_; }
  bool encrypted() const { return encrypted_; }
  // How far the client is on its way to logging in; grows with each step of it.
  int login_step() const {
    return (ssl_asked_ ? 1 : 0) + (gss_asked_ ? 1 : 0) + (encrypted_ ? 1 : 0) +
           (phase_ == Phase::kNegotiation ? 0 : 1) + (scram_ ? 1 : 0);
  }

 private:
  enum class Phase { kNegotiation, kPassword, kCommands, kStreaming };

  // session_login.cpp
  bool HandleStartup();
  void HandleStartupPacket(std::string_view body);
  void RefuseEarlyBytes(const char* request);
  bool ReadParameters(std::string_view parameters, uint32_t protocol);
  void HandlePasswordMessage(char type, std::string_view body);
  void BeginScram(std::string_view body);
  void FailScram(const Error& error);
  void Welcome();

  // session.cpp
  void Process();
  void Retry();
  std::string_view inbox() const { return std::string_view(inbox_).substr(inbox_at_); }
  void DropHandledInput();
  bool HandleMessage();
  void HandleCommandMessage(char type, std::string_view body);
  void Break(const std::string& why);

  // session_commands.cpp
  void HandleQuery(std::string_view text);
  void Execute(const command::IdentifySystem&);
  void Execute(const command::Show& show);
  void Execute(const command::TimelineHistory& history);
  void Execute(const command::ReadSlot& read);
  void Execute(const command::CreateSlot& create);
  void Execute(const command::DropSlot& drop);
  void Execute(const command::StartPhysical& start);
  void Execute(const command::BaseBackup&);
  void Execute(const command::Logical&);
  void Execute(const command::Sql&);
  void Complete(std::string_view tag);
  void Refuse(std::string sqlstate, std::string message, std::string detail = {},
              std::string hint = {});
  void RefuseWith(const Error& error);
  bool MayUse(const std::string& slot);
  bool WaitToWriteSlots(ReplicationCommand command);
  std::string ServerVersion() const;

  // session_stream.cpp
  bool ChooseTimeline(const command::StartPhysical& start);
  bool AcquireSlot(const std::string& name);
  void ReleaseSlot();
  void HandleStreamMessage(char type, std::string_view body);
  void HandleStatus(const StandbyStatus& status);
  bool SendWal();
  bool FollowTimeline();
  Lsn SendLimit() const;
  uint32_t TimelineOfSegment(uint64_t number) const;
  bool OpenSegmentFor(Lsn lsn);
  enum class Opened { kReady, kWaits, kFailed };
  Opened PrepareSegment(Lsn lsn);
  void DecompressAhead(Lsn limit);
  void CloseSegments();
  void EndOfTimeline();
  void FinishStreaming();
  void FinishStopping();
  void PutKeepaliveMessage(bool reply_requested);

  const SessionHost& host_;
  const uint32_t id_;
  const uint32_t cancel_key_;
  const Peer peer_;
  const Clock::time_point start_;
  Clock::time_point now_;  // as last told

  std::string inbox_;
  size_t inbox_at_ = 0;  // what stands before it has been handled
  int turn_work_ = std::numeric_limits<int>::max();
  Output output_;
  Phase phase_ = Phase::kNegotiation;
  bool ssl_asked_ = false;
  bool gss_asked_ = false;
  bool starting_tls_ = false;
  bool encrypted_ = false;
  std::string channel_binding_;
  std::unique_ptr<ScramExchange> scram_;  // begun
  SlotRights slot_rights_;                // of a client by TCP: from BeginScram on
  bool skip_to_sync_ = false;
  bool closing_ = false;
  bool broken_ = false;
  bool stopping_ = false;
  // A command that waits: for the next turn (waits_for_turn_), or DROP_REPLICATION_SLOT … WAIT of a
  // slot in use. What the client says meanwhile waits too.
  std::optional<ReplicationCommand> waiting_;
  bool waits_for_turn_ = false;

  // While streaming.
  uint32_t timeline_ = 0;
  bool historic_ = false;  // the timeline ends at valid_until_, next_timeline_ follows
  Lsn valid_until_;
  uint32_t next_timeline_ = 0;
  std::shared_ptr<SegmentFile> segment_;
  uint64_t segment_number_ = 0;
  bool awaits_segment_ = false;
  bool opened_again_ = false;           // its file had another name
  std::shared_ptr<SegmentFile> ahead_;  // the one after it, which is decompressed ahead
  uint64_t ahead_number_ = 0;           // that was asked for last
  bool done_sending_ = false;
  bool done_receiving_ = false;
  bool caught_up_ = false;
  bool waiting_for_reply_ = false;
  Clock::time_point last_reply_{};

  Clock::time_point last_message_{};  // of any kind, since login

  Statistics statistics_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SESSION_H_
