// WalStream: replication that goes on. It reconnects after what is transient, follows timeline
// switches, and hands every byte of WAL to the consumer once and in order.
#ifndef NEON_REDO_WAL_CLIENT_STREAM_H_
#define NEON_REDO_WAL_CLIENT_STREAM_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "cpp_core/base/backoff.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

struct StreamOptions {
  ReceiverOptions receiver;
  // The pauses before new attempts (backoff.h).
  std::chrono::milliseconds backoff_first{100};
  std::chrono::milliseconds backoff_cap{10'000};
  // What happened to the connection, one line for a person: lost, why, next attempt.
  std::function<void(const std::string&)> on_event = [](const std::string&) {};
};

// Not thread-safe, but for what receiver() allows.
class WalStream {
 public:
  // `cancel` outlives the stream.
  WalStream(StreamOptions options, const CancelSignal& cancel);

  // Makes the first connection, and asks who is there. A failure is not retried, unless the server
  // says itself that it is starting up or full.
  Result<SystemIdentity> Connect();

  // Streams WAL from `start`, any byte, on `timeline`.
  Status StartPhysical(std::optional<std::string> slot, Lsn start, uint32_t timeline);
  // Streams changes from `start`, or from where the slot is confirmed (0). After a reconnection the
  // server sends again what follows the written position that SetPositions gave, which is not to be
  // ahead of the last whole transaction handed over.
  Status StartLogical(std::string slot, Lsn start, PluginOptions options);

  enum class Step {
    kMessages,        // the batch has some
    kIdle,            // nothing came within max_wait
    kTimelineSwitch,  // what follows is of timeline(), from position() on; history() describes it
    kReconnected,     // logical: open transactions begin again
  };
  // Waits up to max_wait; attempts to reconnect happen in here. Errors are final: cancelled
  // (kShutdown), another system than at first (kInvalidArgument), a slot or WAL that is gone
  // (kNotFound), or whatever else the server refused; server_error() has its words.
  Result<Step> Next(MessageBatch* batch, std::chrono::milliseconds max_wait);

  // End of what was handed over; where a physical stream goes on.
  Lsn position() const { return position_; }
  uint32_t timeline() const { return timeline_; }
  const TimelineHistory& history() const { return history_; }
  // The server's end of WAL as last heard.
  Lsn server_end() const { return server_end_; }
  // When the server sent its last message, by its clock; the epoch: none came yet.
  ReplicationTime last_sent() const { return last_sent_; }
  uint64_t reconnects() const { return reconnects_; }
  bool connected() const { return streaming_; }

  // For commands before the start, and for positions and feedback.
  WalReceiver& receiver() { return receiver_; }

  // Ends in order, as far as the connection allows.
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

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_STREAM_H_
