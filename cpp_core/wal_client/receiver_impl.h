// The inside of WalReceiver (neon_redo/receiver.h). One mutex guards the libpq connection; it is
// not held while waiting for the stream.
#ifndef NEON_REDO_WAL_CLIENT_RECEIVER_IMPL_H_
#define NEON_REDO_WAL_CLIENT_RECEIVER_IMPL_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cpp_core/wal_client/connection.h"
#include "cpp_core/wal_client/message.h"
#include "neon_redo/receiver.h"

struct pollfd;

namespace neon_redo {

// A setting's value with its unit, as SHOW prints wal_sender_timeout: "1min", "500ms", "0". No
// setting is above INT_MAX milliseconds; a server that says more is not believed (0).
std::chrono::milliseconds ParseSettingTime(const std::string& text);

// The public functions are those of WalReceiver.
class WalReceiver::Impl {
 public:
  Impl(ReceiverOptions options, const CancelSignal& cancel);
  ~Impl();
  Status Connect();
  void Disconnect();
  bool connected() const { return connection_ != nullptr; }
  Result<SystemIdentity> IdentifySystem();
  Result<TimelineHistory> ReadTimelineHistory(uint32_t timeline);
  Result<std::string> Show(const std::string& setting);
  Result<uint32_t> ReadSegmentSize();
  Result<CreatedSlot> CreateSlot(const SlotSpec& spec);
  Result<std::optional<SlotPosition>> ReadSlot(const std::string& name);
  Status DropSlot(const std::string& name, bool wait);
  Result<std::vector<std::string>> FindMissingPublications(const std::vector<std::string>& names);
  Status StartPhysical(const std::optional<std::string>& slot, Lsn start, uint32_t timeline);
  Status StartLogical(const std::string& slot, Lsn start, const PluginOptions& options);
  Result<State> Receive(MessageBatch* batch, std::chrono::milliseconds max_wait);
  const TimelineSwitch& next_timeline() const { return next_timeline_; }
  void SetPositions(const Positions& positions);
  Positions positions() const;
  Status SendStatus(bool request_reply = false);
  Status SendFeedback(const HotStandbyFeedback& feedback);
  Status End();
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

#endif  // NEON_REDO_WAL_CLIENT_RECEIVER_IMPL_H_
