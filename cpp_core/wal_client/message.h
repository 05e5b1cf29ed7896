// The messages of streaming replication: what travels as CopyData payload while START_REPLICATION
// is in effect, both directions (PostgreSQL documentation, "Streaming Replication Protocol").
// Pure functions over bytes; libpq does the framing below them. The messages that a consumer sees
// are in neon_redo/receiver.h.
#ifndef NEON_REDO_WAL_CLIENT_MESSAGE_H_
#define NEON_REDO_WAL_CLIENT_MESSAGE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <variant>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

ReplicationTime FromPostgresTime(int64_t microseconds_since_2000);
int64_t ToPostgresTime(ReplicationTime time);

// Client to server: how far the client is. An invalid LSN (0) claims nothing.
struct StandbyStatus {
  Lsn written;
  Lsn flushed;
  Lsn applied;
  ReplicationTime sent{};
  bool reply_requested = false;

  bool operator==(const StandbyStatus&) const = default;
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
