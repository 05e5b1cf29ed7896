// WAL over the network: the client's side of PostgreSQL's streaming replication, physical and
// logical. Three classes, each made of the one before:
//
//   WalReceiver  one connection: replication commands, messages, status updates
//   WalStream    keeps a stream going over lost connections and timeline switches
//   WalArchive   writes a physical stream to a directory of segments, as `neon-redo receive` does
//
// Source: the PostgreSQL documentation, "Streaming Replication Protocol"; replication/walreceiver.c
// and bin/pg_basebackup/pg_receivewal.c do the same work in the server and in its tools.
//
//   neon_redo::CancelSignal stop;
//   neon_redo::ArchiveOptions options;
//   options.stream.receiver.connect.conninfo = "host=db1 user=replicator";
//   options.directory = "/archive/wal";
//   auto archive = neon_redo::WalArchive::Open(options, stop);
//   if (!archive) return Report(archive.error());
//   for (;;) {
//     neon_redo::Result<bool> done = (*archive)->Step(std::chrono::milliseconds(500));
//     if (!done || *done) break;
//   }
//   (*archive)->Close();
#ifndef NEON_REDO_RECEIVER_H_
#define NEON_REDO_RECEIVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/cancel.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Messages.

// A moment with the resolution of TimestampTz, whose own epoch is 2000-01-01 UTC.
using ReplicationTime = std::chrono::sys_time<std::chrono::microseconds>;
ReplicationTime ReplicationNow();

// From the server: WAL of a physical stream, or one message of a logical stream's output plug-in.
struct XLogData {
  Lsn start;       // of the first byte of data
  Lsn server_end;  // the server's current end of WAL, by its own view
  ReplicationTime sent;
  Bytes data;  // valid as long as the MessageBatch

  Lsn end() const { return start + data.size(); }
  // Bytes of WAL that the server has beyond this message; physical streams only.
  uint64_t byte_lag() const { return server_end > end() ? server_end - end() : 0; }
};

// From the server.
struct Keepalive {
  Lsn server_end;  // physical: sent up to here; logical: decoded up to here
  ReplicationTime sent;
  bool reply_requested;  // the server closes the connection unless a status follows soon
};

using ServerMessage = std::variant<XLogData, Keepalive>;

// To the server: the oldest transactions that the client's own queries still need.
struct HotStandbyFeedback {
  ReplicationTime sent{};
  uint32_t xmin = 0;  // 0: the client has none to report
  uint32_t xmin_epoch = 0;
  uint32_t catalog_xmin = 0;
  uint32_t catalog_xmin_epoch = 0;

  bool operator==(const HotStandbyFeedback&) const = default;
};

// What the server said when it refused something. All are empty when it said nothing: the
// connection broke, or was never made.
struct ServerError {
  std::string sqlstate;  // five characters
  std::string message;   // primary message
  std::string detail;
  std::string hint;

  // Another attempt may succeed without any change: the server is starting, stopping or short of
  // something, or a process that is ending still holds the slot. A missing slot, removed WAL, a
  // missing permission or a wrong password are not transient.
  bool transient() const;
};

// One connection.

struct ConnectOptions {
  std::string conninfo;  // libpq's: keywords and values, or a URI; service files and .pgpass count
  bool logical = false;  // replication=database instead of replication=true
  std::string application_name = "neon_redo";  // unless conninfo or PGAPPNAME has another
  std::chrono::milliseconds connect_timeout{30'000};
  // The server must run as this user or as root, and be reached by a Unix socket. Another one is
  // sent nothing (kInvalidArgument).
  bool own_server = false;
};

struct ReceiverOptions {
  ConnectOptions connect;
  // A status goes out at least this often. 0: only as often as the server's wal_sender_timeout and
  // its requests demand.
  std::chrono::milliseconds status_interval{10'000};
  // A connection from which no byte came for this long is stalled. After half of it the server is
  // asked for a reply, which an idle server sends. 0: never.
  std::chrono::milliseconds stall_timeout{60'000};
  // For a command's answer; creating a logical slot has no limit.
  std::chrono::milliseconds command_timeout{30'000};
  size_t max_message_bytes = size_t{128} << 20;  // what is longer is refused
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
  // Logical: what the server does with the snapshot of the consistent point.
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

// The client's positions for status updates. Each only moves forward; 0 claims nothing.
struct Positions {
  Lsn written;
  Lsn flushed;
  Lsn applied;
};

// The messages of one Receive, in order. Owns the payloads that the messages view, until Clear, the
// next Receive into the batch, or destruction.
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
  std::vector<char*> buffers_;  // libpq's
};

// One connection. It follows neither a lost connection nor a timeline switch; WalStream does.
//
// One thread calls Connect … Disconnect. SetPositions, SendStatus and SendFeedback may come from
// any thread. A thread of the receiver's own sends the status updates that fall due, whatever the
// consumer does between two calls of Receive. While the consumer leaves something unread, which may
// be a request for a status, ten a second go out.
class WalReceiver {
 public:
  static constexpr size_t kMaxBatch = 4096;

  // `cancel` must outlive the receiver. Once it is set every call returns kCancelled within moments;
  // Receive first returns the messages that had been read from the socket.
  WalReceiver(ReceiverOptions options, const CancelSignal& cancel);
  ~WalReceiver();  // as Disconnect
  WalReceiver(const WalReceiver&) = delete;
  WalReceiver& operator=(const WalReceiver&) = delete;

  Status Connect();
  void Disconnect();
  bool connected() const;

  // Commands: while connected and not streaming. A refusal is kIo, or kNotFound where a slot, a
  // timeline or WAL is missing; server_error() has the server's words.
  Result<SystemIdentity> IdentifySystem();
  Result<TimelineHistory> ReadTimelineHistory(uint32_t timeline);
  Result<std::string> Show(const std::string& setting);
  Result<uint32_t> ReadSegmentSize();  // wal_segment_size, in bytes
  Result<CreatedSlot> CreateSlot(const SlotSpec& spec);
  // nullopt: there is no such slot. Logical slots are refused. PostgreSQL 15 and later.
  Result<std::optional<SlotPosition>> ReadSlot(const std::string& name);
  Status DropSlot(const std::string& name, bool wait);
  // Those of the publications that the database does not have. With ConnectOptions::logical only.
  Result<std::vector<std::string>> FindMissingPublications(const std::vector<std::string>& names);

  // Starts streaming at `start`, any byte. timeline 0: the server's current one. If that timeline
  // has nothing after `start`, the first Receive returns kTimelineEnded.
  Status StartPhysical(const std::optional<std::string>& slot, Lsn start, uint32_t timeline);
  // start 0: the slot's confirmed position.
  Status StartLogical(const std::string& slot, Lsn start, const PluginOptions& options);

  enum class State {
    kStreaming,      // the batch is empty when nothing came within max_wait
    kTimelineEnded,  // physical: next_timeline() is the timeline that follows
    kServerDone,     // the server has sent everything and shuts down
  };
  // Waits up to max_wait for the first message, then takes every complete message at hand, up to
  // kMaxBatch: one read of the socket a call. A keepalive that asks for a reply has been answered
  // with the current positions. It is in the batch all the same, so that the consumer can flush and
  // send newer positions (a server that shuts down waits for those).
  // kIo: the connection is lost or the server gave up. kTimeout: stalled. kCorrupt: a message that
  // the protocol does not have. kUnsupported: one above max_message_bytes. kCancelled: cancelled.
  Result<State> Receive(MessageBatch* batch, std::chrono::milliseconds max_wait);

  struct TimelineSwitch {
    uint32_t timeline;
    Lsn start;
  };
  TimelineSwitch next_timeline() const;

  // Positions for the next status.
  void SetPositions(const Positions& positions);
  Positions positions() const;
  // Sends a status now.
  Status SendStatus(bool request_reply = false);
  Status SendFeedback(const HotStandbyFeedback& feedback);

  // Ends streaming in order: the last positions, CopyDone, and the server's answer. Messages still
  // under way are dropped. Commands are allowed afterwards.
  Status End();

  // PQserverVersion: 150020. 0 while not connected.
  int server_version() const;
  const ServerError& server_error() const;
  uint64_t bytes_received() const;
  uint64_t statuses_sent() const;

 private:
  class Impl;
  static std::vector<ServerMessage>& MessagesOf(MessageBatch* batch) { return batch->messages_; }
  static std::vector<char*>& BuffersOf(MessageBatch* batch) { return batch->buffers_; }

  const std::unique_ptr<Impl> impl_;
};

// A stream that is kept going.

struct StreamOptions {
  ReceiverOptions receiver;
  // The pauses before new attempts: the first, doubled each time up to the cap, less a random part.
  std::chrono::milliseconds backoff_first{100};
  std::chrono::milliseconds backoff_cap{10'000};
  // What happened to the connection, one line for a person: lost, why, next attempt. Called on the
  // thread that calls the stream.
  std::function<void(const std::string&)> on_event = [](const std::string&) {};
};

// Reconnects after transient failures, follows timeline switches, and returns every byte of WAL to
// the consumer once and in order. Not thread-safe, but for what receiver() allows.
class WalStream {
 public:
  // `cancel` must outlive the stream.
  WalStream(StreamOptions options, const CancelSignal& cancel);
  ~WalStream();
  WalStream(const WalStream&) = delete;
  WalStream& operator=(const WalStream&) = delete;

  // Makes the first connection and identifies the server. A failure is not retried, unless the
  // server says itself that it is starting up or full.
  Result<SystemIdentity> Connect();

  // Streams WAL from `start`, any byte, on `timeline`.
  Status StartPhysical(std::optional<std::string> slot, Lsn start, uint32_t timeline);
  // Streams changes from `start`, or from the slot's confirmed position (0). After a reconnection
  // the server sends again what follows the written position of SetPositions, which must not be
  // ahead of the last whole transaction returned.
  Status StartLogical(std::string slot, Lsn start, PluginOptions options);

  enum class Step {
    kMessages,        // the batch has some
    kIdle,            // nothing came within max_wait
    kTimelineSwitch,  // what follows is of timeline(), from position() on; history() describes it
    kReconnected,     // logical: open transactions begin again
  };
  // Waits up to max_wait; reconnects within this call. Errors are final: cancelled (kCancelled),
  // another system than at first (kInvalidArgument), a slot or WAL that is gone (kNotFound), or
  // another refusal of the server; receiver().server_error() has its words.
  Result<Step> Next(MessageBatch* batch, std::chrono::milliseconds max_wait);

  // The end of what was returned: a physical stream continues there.
  Lsn position() const;
  uint32_t timeline() const;
  const TimelineHistory& history() const;
  // The server's end of WAL, by its last message.
  Lsn server_end() const;
  // When the server sent its last message, by its clock; the epoch when none came yet.
  ReplicationTime last_sent() const;
  uint64_t reconnects() const;
  bool connected() const;

  // For commands before the start, and for positions and feedback.
  WalReceiver& receiver();

  // Ends in order, as far as the connection allows.
  Status End();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

// A stream written to segment files.

enum class Compression {
  kNone,
  kLz4,   // NAME.lz4, as pg_receivewal names them
  kZstd,  // NAME.zst
};

struct ArchiveOptions {
  StreamOptions stream;
  std::string directory;                         // must exist
  std::optional<std::string> slot;               // a physical replication slot
  bool create_slot = false;                      // unless it exists
  bool synchronous = false;                      // flush and report after every batch
  Compression compression = Compression::kNone;  // of complete segments
  std::optional<Lsn> until;
  // All segments of the directory that end here or before are complete and on disk. Called by Step once it has
  // completed some, and by Open if there are any. It must not wait: receiving waits for it.
  std::function<void(Lsn end)> on_complete{};
};

struct ArchiveCounts {
  uint64_t segments = 0;  // completed
  uint64_t flushes = 0;
  std::chrono::steady_clock::duration flush_time{};
};

// Not thread-safe. One process at a time writes into a directory: the archive holds a lock on it.
//
// It starts after the complete segments of the directory, else at the slot's position, else at the
// server's end of WAL, always from the start of a segment. The flush position is reported with a
// slot or when synchronous, as pg_receivewal does, so that a server with
// synchronous_standby_names = '*' does not wait for an archive that flushes seldom.
//
// The segment being written is NAME.partial, of full size from the start, with zeroes after the
// WAL. A complete segment is flushed and renamed to NAME.
class WalArchive {
 public:
  // Connects, checks that the server's system identifier is that of the WAL in the directory, and
  // starts streaming. `cancel` must outlive the archive.
  // kNotFound: no such directory or slot. kInvalidArgument: WAL of another system. Else as
  // WalStream::Connect and WalStream::StartPhysical.
  static Result<std::unique_ptr<WalArchive>> Open(ArchiveOptions options,
                                                  const CancelSignal& cancel);
  ~WalArchive();
  WalArchive(const WalArchive&) = delete;
  WalArchive& operator=(const WalArchive&) = delete;

  // One round: waits up to max_wait for WAL, writes it, flushes and reports what is due. Returns
  // whether `until` is reached. Errors are final (WalStream::Next, and kIo for the files).
  Result<bool> Step(std::chrono::milliseconds max_wait);

  // Flushes, reports, ends the stream in order and waits for the compression.
  Status Close();

  Lsn start() const;    // where streaming began
  Lsn written() const;  // handed to the operating system up to here
  Lsn flushed() const;  // on disk up to here
  ArchiveCounts counts() const;
  WalStream& stream();

 private:
  class Impl;
  explicit WalArchive(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RECEIVER_H_
