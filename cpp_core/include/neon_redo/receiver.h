// WalReceiver: the client's end of streaming replication, over one connection. It follows neither a
// lost connection nor a timeline switch: WalStream (stream.h) does.
#ifndef NEON_REDO_RECEIVER_H_
#define NEON_REDO_RECEIVER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpp_core/wal_client/connection.h"
#include "cpp_core/wal_client/message.h"
#include "neon_redo/cancel.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

struct pollfd;

namespace neon_redo {

struct ReceiverOptions {
  ConnectOptions connect;
  // A status goes out at least this often; 0: only as often as the server's wal_sender_timeout and
  // its own requests demand.
  std::chrono::milliseconds status_interval{10'000};
  // A connection from which no byte came for this long is stalled. Half-way the server is asked for
  // a sign of life, which an idle server gives. 0: never.
  std::chrono::milliseconds stall_timeout{60'000};
  // For a command's answer; creating a logical slot has no limit.
  std::chrono::milliseconds command_timeout{30'000};
  size_t max_message_bytes = size_t{128} << 20;
};

// IDENTIFY_SYSTEM
struct SystemIdentity {
  uint64_t system_identifier;
  uint32_t timeline;
  Lsn flushed;           // the server's end of WAL
  std::string database;  // empty: none
};

// TIMELINE_HISTORY
struct TimelineHistory {
  std::string file_name;
  std::string content;
};

// CREATE_REPLICATION_SLOT
struct SlotSpec {
  std::string name;
  bool temporary = false;
  bool reserve_wal = true;  // physical: keep WAL from now on, not from the first status on
  std::string plugin;       // logical: the output plug-in; empty makes the slot physical
  bool two_phase = false;   // logical
  // Logical: what becomes of the snapshot at the consistent point.
  enum class Snapshot { kNothing, kExport, kUse } snapshot = Snapshot::kNothing;
};
struct CreatedSlot {
  std::string name;
  Lsn consistent_point;  // 0 for a physical slot
  std::string snapshot;  // name of the exported snapshot, or empty
};

// READ_REPLICATION_SLOT: physical slots only. restart is 0 while the slot holds no WAL.
struct SlotPosition {
  Lsn restart;
  uint32_t timeline;
};

// Name and value of an output plug-in's option.
using PluginOptions = std::vector<std::pair<std::string, std::string>>;

// How far the consumer is. Each position only moves forward; 0 claims nothing.
struct Positions {
  Lsn written;
  Lsn flushed;
  Lsn applied;
};

// What one Receive brought, in order. Owns the payloads that the messages view, until Clear, the
// next Receive into it, or destruction.
class MessageBatch {
 public:
  MessageBatch() = default;
  ~MessageBatch() { Clear(); }
  MessageBatch(const MessageBatch&) = delete;
  MessageBatch& operator=(const MessageBatch&) = delete;

  std::span<const ServerMessage> messages() const { return messages_; }
  bool empty() const { return messages_.empty(); }
  void Clear();

 private:
  friend class WalReceiver;
  std::vector<ServerMessage> messages_;
  std::vector<char*> buffers_;  // of PQgetCopyData
};

// One thread calls Connect … Disconnect. SetPositions, SendStatus and SendFeedback may come from
// any thread. A thread of the receiver's own sends the status updates that fall due, whatever the
// consumer does between two calls of Receive, and ten a second while the consumer leaves something
// unread, which may be a request for one. One mutex guards the libpq connection, and it is not
// held while waiting for the stream.
class WalReceiver {
 public:
  static constexpr size_t kMaxBatch = 4096;

  // `cancel` outlives the receiver. Once it is set every call returns kShutdown within moments;
  // Receive first hands over what has already been read from the socket.
  WalReceiver(ReceiverOptions options, const CancelSignal& cancel);
  ~WalReceiver();  // as Disconnect
  WalReceiver(const WalReceiver&) = delete;
  WalReceiver& operator=(const WalReceiver&) = delete;

  Status Connect();
  void Disconnect();
  bool connected() const { return connection_ != nullptr; }

  // Commands: while connected and not streaming. A refusal is kIo, or kNotFound where a slot, a
  // timeline or WAL is missing; server_error() has what the server said.
  Result<SystemIdentity> IdentifySystem();
  Result<TimelineHistory> ReadTimelineHistory(uint32_t timeline);
  Result<std::string> Show(const std::string& setting);
  Result<uint32_t> ReadSegmentSize();  // wal_segment_size, in bytes
  Result<CreatedSlot> CreateSlot(const SlotSpec& spec);
  // nullopt: there is no such slot. Logical slots are refused. PostgreSQL 15 and later.
  Result<std::optional<SlotPosition>> ReadSlot(const std::string& name);
  Status DropSlot(const std::string& name, bool wait);

  // Starts streaming at `start`, any byte. timeline 0: the server's current one. Should that
  // timeline have nothing after `start`, the first Receive says so.
  Status StartPhysical(const std::optional<std::string>& slot, Lsn start, uint32_t timeline);
  // start 0: where the slot is confirmed.
  Status StartLogical(const std::string& slot, Lsn start, const PluginOptions& options);

  enum class State {
    kStreaming,      // the batch may be empty: nothing came within max_wait
    kTimelineEnded,  // physical: next_timeline() says where it goes on
    kServerDone,     // the server has sent all it had and shuts down
  };
  // Waits up to max_wait for the first message, then takes every complete message at hand, up to
  // kMaxBatch: one read of the socket a call. A keepalive that asks for a reply has been answered
  // with the positions as they are; it is handed over all the same, so that the consumer can flush
  // and send better ones (a server that shuts down waits for those).
  // kIo: the connection is lost or the server gave up. kTimeout: stalled. kCorrupt: a message that
  // the protocol does not have. kShutdown: cancelled.
  Result<State> Receive(MessageBatch* batch, std::chrono::milliseconds max_wait);

  struct TimelineSwitch {
    uint32_t timeline;
    Lsn start;
  };
  const TimelineSwitch& next_timeline() const { return next_timeline_; }

  // Positions for the next status.
  void SetPositions(const Positions& positions);
  Positions positions() const;
  // Sends a status now.
  Status SendStatus(bool request_reply = false);
  Status SendFeedback(const HotStandbyFeedback& feedback);

  // Ends streaming in order: the last positions, CopyDone, and the server's answer. Messages that
  // were still on their way are dropped. After it commands can be run again.
  Status End();

  // PQserverVersion: 150020. 0 while not connected.
  int server_version() const { return connection_ ? connection_->server_version() : 0; }
  const ServerError& server_error() const { return server_error_; }
  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t statuses_sent() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { kIdle, kStreaming, kTimelineEnded, kServerDone, kFailed };

  Result<std::vector<CommandRow>> Command(const std::string& command, size_t columns,
                                          std::chrono::milliseconds timeout);
  Status Start(const std::string& command);

  // Callers hold mutex_.
  Status Drain(MessageBatch* batch);
  Status Take(MessageBatch* batch, char* buffer, size_t length);
  Status ReadEnd();
  Status ReadEndResults(Connection::PgResult result, Clock::time_point deadline);
  Status Put(const uint8_t* bytes, size_t length);
  Status PutStatus(bool request_reply);
  void ReadSocket();
  tl::unexpected<Error> Failed(std::string_view doing, const pg_result* result = nullptr);

  int Poll(std::span<pollfd> fds, Clock::time_point now, Clock::time_point deadline);
  Status Wait(Clock::time_point deadline);
  Status CheckStall();
  void StartFeedback();
  void StopFeedback();
  void FeedbackLoop();
  bool Unread() const;

  const ReceiverOptions options_;
  const CancelSignal& cancel_;
  CancelSignal wake_;  // ends a Receive's poll; unlike a cancellation it is drained

  mutable std::mutex mutex_;  // the connection, and what is below
  std::unique_ptr<Connection> connection_;
  ServerError server_error_;
  Positions positions_;
  bool output_pending_ = false;
  bool encrypted_ = false;
  uint64_t statuses_sent_ = 0;
  Clock::time_point last_status_{};
  uint64_t drains_ = 0;  // calls of Drain

  Phase phase_ = Phase::kIdle;
  std::optional<Error> failure_;  // found behind messages that are handed over first
  TimelineSwitch next_timeline_{};
  uint64_t bytes_received_ = 0;
  bool logical_ = false;
  bool asked_for_life_ = false;
  bool read_failed_ = false;
  bool copy_ended_ = false;    // by the server; its answer is still to be read
  Clock::duration silence_{};  // time waited for the socket since its last byte
  std::chrono::milliseconds sender_timeout_{0};
  Clock::time_point last_wait_{};
  uint32_t taken_ = 0;  // messages since then
  uint64_t bytes_at_wait_ = 0;

  std::thread feedback_;
  std::condition_variable feedback_wake_;
  bool feedback_stop_ = false;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RECEIVER_H_
