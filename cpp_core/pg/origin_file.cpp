// A magic number, the states, and the CRC-32C of both (CheckPointReplicationOrigin).
#include "cpp_core/pg/origin_file.h"

#include <fmt/format.h>

#include <cstring>

#include "cpp_core/base/crc32c.h"
#include "neon_redo/bytes.h"

namespace neon_redo::pg {

namespace {

constexpr uint32_t kMagic = 0x1257DADE;  // REPLICATION_STATE_MAGIC

struct State {  // ReplicationStateOnDisk
  uint16_t origin;
  uint64_t remote_lsn;
};

template <typename T>
void Append(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

Bytes BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

Result<Origins> ParseOriginFile(std::string_view content, const std::string& what) {
  constexpr size_t kFrame = sizeof(kMagic) + sizeof(uint32_t);
  const Bytes bytes = BytesOf(content);
  if (bytes.size() < kFrame || (bytes.size() - kFrame) % sizeof(State) != 0 ||
      LoadNative<uint32_t>(bytes.data()) != kMagic ||
      LoadNative<uint32_t>(bytes.data() + bytes.size() - sizeof(uint32_t)) !=
          Crc32c(bytes.first(bytes.size() - sizeof(uint32_t))))
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("{} is damaged: no server starts with it; take another backup", what));
  Origins out;
  for (size_t at = sizeof(kMagic); at + sizeof(uint32_t) < bytes.size(); at += sizeof(State)) {
    const auto state = LoadNative<State>(bytes.data() + at);
    out[state.origin] = Lsn(state.remote_lsn);
  }
  return out;
}

std::string OriginFileOf(const Origins& origins) {
  std::string out;
  Append(kMagic, &out);
  for (const auto& [origin, remote] : origins) {
    State state;
    std::memset(static_cast<void*>(&state), 0, sizeof(state));  // padding, too
    state.origin = origin;
    state.remote_lsn = remote.value;
    Append(state, &out);
  }
  const uint32_t crc = Crc32c(BytesOf(out));
  Append(crc, &out);
  return out;
}

}  // namespace neon_redo::pg
