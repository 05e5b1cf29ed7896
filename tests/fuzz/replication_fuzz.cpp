// What a server sends in replication: the messages of the protocol, those of pgoutput, and the
// lines made of them. Input: messages, each with its length before it (2 bytes, little-endian).
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cpp_core/wal_client/logical_lines.h"
#include "cpp_core/wal_client/message.h"
#include "cpp_core/wal_client/pgoutput.h"

using namespace neon_redo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pgoutput::Decoder decoder;
  LogicalLines json(LogicalLines::Format::kPgoutputJson);
  LogicalLines plain(LogicalLines::Format::kText);
  std::string lines;
  std::string text;
  while (size >= 2) {
    const size_t length = std::min<size_t>(data[0] | data[1] << 8, size - 2);
    // A copy of its own: AddressSanitizer sees a step over either end.
    const std::vector<uint8_t> message(data + 2, data + 2 + length);
    data += 2 + length;
    size -= 2 + length;
    (void)DecodeClientMessage(message);
    (void)decoder.Decode(message);
    const auto server = DecodeServerMessage(message);
    if (!server) continue;
    if (const auto* keepalive = std::get_if<Keepalive>(&*server)) {
      json.Add(*keepalive);
    } else {
      (void)json.Add(std::get<XLogData>(*server), &lines);
      (void)plain.Add(std::get<XLogData>(*server), &text);
    }
  }
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    if (!nlohmann::json::accept(line)) std::abort();
  }
  return 0;
}
