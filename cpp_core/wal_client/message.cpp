// Every message is one kind byte and big-endian fields at fixed places; only XLogData has a tail of
// any length. So decoding is one length check, then loads.
#include "cpp_core/wal_client/message.h"

#include <fmt/format.h>

namespace neon_redo {

namespace {

// 2000-01-01 minus 1970-01-01.
constexpr std::chrono::seconds kPostgresEpoch{946684800};

Lsn LoadLsn(const uint8_t* p) { return Lsn(LoadBe64(p)); }

ReplicationTime LoadTime(const uint8_t* p) {
  return FromPostgresTime(static_cast<int64_t>(LoadBe64(p)));
}

void StoreTime(uint8_t* p, ReplicationTime time) {
  StoreBe64(p, static_cast<uint64_t>(ToPostgresTime(time)));
}

tl::unexpected<Error> BadLength(const char* what, size_t length, size_t expected) {
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("replication protocol: a {} message of {} bytes, which has {}", what,
                               length, expected));
}

tl::unexpected<Error> BadKind(Bytes payload, const char* side) {
  if (payload.empty())
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("replication protocol: an empty message from the {}", side));
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("replication protocol: a message of unknown kind 0x{:02x} from the {}",
                  payload[0], side));
}

}  // namespace

ReplicationTime FromPostgresTime(int64_t microseconds_since_2000) {
  // Wraps for nonsense from the wire rather than overflow a signed number.
  const auto epoch = std::chrono::microseconds(kPostgresEpoch).count();
  const uint64_t sum =
      static_cast<uint64_t>(microseconds_since_2000) + static_cast<uint64_t>(epoch);
  return ReplicationTime(std::chrono::microseconds(static_cast<int64_t>(sum)));
}

int64_t ToPostgresTime(ReplicationTime time) {
  const auto epoch = std::chrono::microseconds(kPostgresEpoch).count();
  return static_cast<int64_t>(static_cast<uint64_t>(time.time_since_epoch().count()) -
                              static_cast<uint64_t>(epoch));
}

ReplicationTime ReplicationNow() {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

Result<ServerMessage> DecodeServerMessage(Bytes payload) {
  const uint8_t kind = payload.empty() ? 0 : payload[0];
  const uint8_t* p = payload.data();
  if (kind == 'w') {
    if (payload.size() < kXLogDataHeaderSize)
      return BadLength("WAL data", payload.size(), kXLogDataHeaderSize);
    return XLogData{LoadLsn(p + 1), LoadLsn(p + 9), LoadTime(p + 17),
                    payload.subspan(kXLogDataHeaderSize)};
  }
  if (kind == 'k') {
    if (payload.size() != kKeepaliveSize)
      return BadLength("keepalive", payload.size(), kKeepaliveSize);
    return Keepalive{LoadLsn(p + 1), LoadTime(p + 9), p[17] != 0};
  }
  return BadKind(payload, "server");
}

Result<ClientMessage> DecodeClientMessage(Bytes payload) {
  const uint8_t kind = payload.empty() ? 0 : payload[0];
  const uint8_t* p = payload.data();
  if (kind == 'r') {
    if (payload.size() != kStandbyStatusSize)
      return BadLength("standby status", payload.size(), kStandbyStatusSize);
    return StandbyStatus{LoadLsn(p + 1), LoadLsn(p + 9), LoadLsn(p + 17), LoadTime(p + 25),
                         p[33] != 0};
  }
  if (kind == 'h') {
    if (payload.size() != kHotStandbyFeedbackSize)
      return BadLength("hot standby feedback", payload.size(), kHotStandbyFeedbackSize);
    return HotStandbyFeedback{LoadTime(p + 1), LoadBe32(p + 9), LoadBe32(p + 13), LoadBe32(p + 17),
                              LoadBe32(p + 21)};
  }
  return BadKind(payload, "client");
}

std::array<uint8_t, kXLogDataHeaderSize> EncodeXLogDataHeader(const XLogData& message) {
  std::array<uint8_t, kXLogDataHeaderSize> out;
  out[0] = 'w';
  StoreBe64(&out[1], message.start.value);
  StoreBe64(&out[9], message.server_end.value);
  StoreTime(&out[17], message.sent);
  return out;
}

std::array<uint8_t, kKeepaliveSize> Encode(const Keepalive& message) {
  std::array<uint8_t, kKeepaliveSize> out;
  out[0] = 'k';
  StoreBe64(&out[1], message.server_end.value);
  StoreTime(&out[9], message.sent);
  out[17] = message.reply_requested ? 1 : 0;
  return out;
}

std::array<uint8_t, kStandbyStatusSize> Encode(const StandbyStatus& message) {
  std::array<uint8_t, kStandbyStatusSize> out;
  out[0] = 'r';
  StoreBe64(&out[1], message.written.value);
  StoreBe64(&out[9], message.flushed.value);
  StoreBe64(&out[17], message.applied.value);
  StoreTime(&out[25], message.sent);
  out[33] = message.reply_requested ? 1 : 0;
  return out;
}

std::array<uint8_t, kHotStandbyFeedbackSize> Encode(const HotStandbyFeedback& message) {
  std::array<uint8_t, kHotStandbyFeedbackSize> out;
  out[0] = 'h';
  StoreTime(&out[1], message.sent);
  StoreBe32(&out[9], message.xmin);
  StoreBe32(&out[13], message.xmin_epoch);
  StoreBe32(&out[17], message.catalog_xmin);
  StoreBe32(&out[21], message.catalog_xmin_epoch);
  return out;
}

}  // namespace neon_redo
