// The messages of streaming replication: what travels as CopyData payload while START_REPLICATION
// is in effect, both directions (PostgreSQL documentation, "Streaming Replication Protocol").
// Pure functions over bytes; libpq does the framing below them.
#ifndef NEON_REDO_WAL_CLIENT_MESSAGE_H_
#define NEON_REDO_WAL_CLIENT_MESSAGE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <variant>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// A moment with the resolution of TimestampTz, whose own epoch is 2000-01-01 UTC.
using ReplicationTime = std::chrono::sys_time<std::chrono::microseconds>;
ReplicationTime FromPostgresTime(int64_t microseconds_since_2000);
int64_t ToPostgresTime(ReplicationTime time);
ReplicationTime ReplicationNow();

// Server to client: WAL (physical) or one message of an output plug-in (logical).
struct XLogData {
  Lsn start;       // of the first byte of data
  Lsn server_end;  // the server's current end of WAL, by its own view
  ReplicationTime sent;
  Bytes data;  // a view of the bytes that were decoded

  Lsn end() const { return start + data.size(); }
  // Bytes of WAL that the server has beyond this message; physical streams only.
  uint64_t byte_lag() const { return server_end > end() ? server_end - end() : 0; }
};

// Server to client.
struct Keepalive {
  Lsn server_end;  // physical: the position sent up to; logical: decoded up to
  ReplicationTime sent;
  bool reply_requested;  // the server closes the connection unless it hears from us soon
};

using ServerMessage = std::variant<XLogData, Keepalive>;

// Client to server: how far the client is. An invalid LSN (0) claims nothing.
struct StandbyStatus {
  Lsn written;
  Lsn flushed;
  Lsn applied;
  ReplicationTime sent{};
  bool reply_requested = false;

  bool operator==(const StandbyStatus&) const = default;
};

// Client to server: the oldest transactions that the client's own queries still need.
struct HotStandbyFeedback {
  ReplicationTime sent{};
  uint32_t xmin = 0;  // 0: the client has none to report (any more)
  uint32_t xmin_epoch = 0;
  uint32_t catalog_xmin = 0;
  uint32_t catalog_xmin_epoch = 0;

  bool operator==(const HotStandbyFeedback&) const = default;
};

using ClientMessage = std::variant<StandbyStatus, HotStandbyFeedback>;

inline constexpr size_t kXLogDataHeaderSize = 25;
inline constexpr size_t kKeepaliveSize = 18;
inline constexpr size_t kStandbyStatusSize = 34;
inline constexpr size_t kHotStandbyFeedbackSize = 25;

// Reads one whole payload. kCorrupt: empty, an unknown kind, or a length that the kind cannot have.
// (libpqrcv's caller, XLogWalRcvProcessMsg in replication/walreceiver.c, draws the same lines.)
Result<ServerMessage> DecodeServerMessage(Bytes payload);
Result<ClientMessage> DecodeClientMessage(Bytes payload);

std::array<uint8_t, kXLogDataHeaderSize> EncodeXLogDataHeader(const XLogData& message);
std::array<uint8_t, kKeepaliveSize> Encode(const Keepalive& message);
std::array<uint8_t, kStandbyStatusSize> Encode(const StandbyStatus& message);
std::array<uint8_t, kHotStandbyFeedbackSize> Encode(const HotStandbyFeedback& message);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_MESSAGE_H_
