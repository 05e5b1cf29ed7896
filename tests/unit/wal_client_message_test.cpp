// The messages of streaming replication: there and back, and every length that is wrong.
#include "cpp_core/wal_client/message.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace neon_redo {
namespace {

using Buffer = std::vector<uint8_t>;

template <typename A>
Buffer ToBuffer(const A& array) {
  return Buffer(array.begin(), array.end());
}

TEST(ReplicationMessage, TimesAreMicrosecondsSince2000) {
  EXPECT_EQ(FromPostgresTime(0).time_since_epoch(), std::chrono::seconds(946684800));
  EXPECT_EQ(ToPostgresTime(FromPostgresTime(-5)), -5);
  for (int64_t extreme : {INT64_MIN, INT64_MAX})
    EXPECT_EQ(ToPostgresTime(FromPostgresTime(extreme)), extreme);
}

TEST(ReplicationMessage, WalDataOfEveryLength) {
  const XLogData sent{Lsn(0x123456789abcdef0), Lsn(0x123456789abd0000), FromPostgresTime(77), {}};
  Buffer bytes = ToBuffer(EncodeXLogDataHeader(sent));
  for (int tail = 0; tail < 64; tail++) {
    const auto decoded = DecodeServerMessage(bytes);
    ASSERT_TRUE(decoded);
    const auto& wal = std::get<XLogData>(*decoded);
    EXPECT_EQ(wal.start, sent.start);
    EXPECT_EQ(wal.server_end, sent.server_end);
    EXPECT_EQ(wal.sent, sent.sent);
    EXPECT_EQ(wal.data.data(), bytes.data() + kXLogDataHeaderSize) << "a copy was made";
    EXPECT_EQ(wal.data.size(), static_cast<size_t>(tail));
    EXPECT_EQ(wal.byte_lag(), 0x2110 - static_cast<uint64_t>(tail));
    bytes.push_back(static_cast<uint8_t>(tail));
  }
  // A server that is behind itself is no negative lag.
  const XLogData ahead{Lsn(100), Lsn(50), {}, {}};
  EXPECT_EQ(ahead.byte_lag(), 0u);
}

TEST(ReplicationMessage, ThereAndBack) {
  const Keepalive keepalive{Lsn(0xffffffffffffffff), FromPostgresTime(-1), true};
  const auto k = DecodeServerMessage(ToBuffer(Encode(keepalive)));
  ASSERT_TRUE(k);
  EXPECT_EQ(std::get<Keepalive>(*k).server_end, keepalive.server_end);
  EXPECT_EQ(std::get<Keepalive>(*k).sent, keepalive.sent);
  EXPECT_TRUE(std::get<Keepalive>(*k).reply_requested);

  const StandbyStatus status{Lsn(3), Lsn(2), Lsn(1), FromPostgresTime(9), true};
  EXPECT_EQ(std::get<StandbyStatus>(*DecodeClientMessage(ToBuffer(Encode(status)))), status);
  const HotStandbyFeedback feedback{FromPostgresTime(5), 700, 1, 650, 2};
  EXPECT_EQ(std::get<HotStandbyFeedback>(*DecodeClientMessage(ToBuffer(Encode(feedback)))),
            feedback);
}

// Every prefix of every message, and every message with one byte too many.
TEST(ReplicationMessage, EveryWrongLengthIsRefused) {
  const Buffer wal = ToBuffer(EncodeXLogDataHeader({}));
  for (size_t n = 0; n < wal.size(); n++)
    EXPECT_FALSE(DecodeServerMessage(Bytes(wal).first(n))) << n;
  Buffer keepalive = ToBuffer(Encode(Keepalive{}));
  for (size_t n = 0; n < keepalive.size(); n++)
    EXPECT_FALSE(DecodeServerMessage(Bytes(keepalive).first(n))) << n;
  keepalive.push_back(0);
  EXPECT_FALSE(DecodeServerMessage(keepalive));
  for (Buffer b : {ToBuffer(Encode(StandbyStatus{})), ToBuffer(Encode(HotStandbyFeedback{}))}) {
    for (size_t n = 0; n < b.size(); n++) EXPECT_FALSE(DecodeClientMessage(Bytes(b).first(n))) << n;
    b.push_back(0);
    EXPECT_FALSE(DecodeClientMessage(b));
  }
}

TEST(ReplicationMessage, EveryUnknownKindIsRefused) {
  for (int kind = 0; kind < 256; kind++) {
    const Buffer bytes(64, static_cast<uint8_t>(kind));
    const auto server = DecodeServerMessage(bytes);
    EXPECT_EQ(server.has_value(), kind == 'w') << kind;
    if (!server) {
      EXPECT_EQ(server.error().code, ErrorCode::kCorrupt);
    }
    EXPECT_FALSE(DecodeClientMessage(bytes)) << kind;
  }
}

#ifdef __SANITIZE_ADDRESS__  // only a sanitizer can find a fault here
TEST(ReplicationMessage, RandomBytesDoNoHarm) {
  std::mt19937 random(20261121);
  for (int i = 0; i < 100000; i++) {
    Buffer bytes(random() % 80);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    if (!bytes.empty() && random() % 2) bytes[0] = "wkrh"[random() % 4];
    static_cast<void>(DecodeServerMessage(bytes));
    static_cast<void>(DecodeClientMessage(bytes));
  }
}
#endif

}  // namespace
}  // namespace neon_redo
