// A client at the other end of a Session, without sockets: says what it is told to, takes
// everything the session has to say and splits it into messages.
#ifndef NEON_REDO_TESTS_UNIT_SESSION_CLIENT_H_
#define NEON_REDO_TESTS_UNIT_SESSION_CLIENT_H_

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/wal_client/message.h"
#include "cpp_core/wal_server/session.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

inline std::string Int32(uint32_t value) {
  std::string out(4, '\0');
  StoreBe32(out.data(), value);
  return out;
}

// A message after startup.
inline std::string ClientMessageBytes(char type, const std::string& body) {
  return type + Int32(static_cast<uint32_t>(body.size() + 4)) + body;
}

inline std::string StartupPacket(const std::string& parameters, uint32_t code = 3 << 16) {
  return Int32(static_cast<uint32_t>(parameters.size() + 8)) + Int32(code) + parameters;
}

inline std::string Query(const std::string& text) {
  return ClientMessageBytes('Q', text + std::string(1, '\0'));
}

struct ServerSays {
  char type;
  std::string body;
};

class SessionClient {
 public:
  explicit SessionClient(const SessionHost& host, Peer peer = {}, uint32_t id = 1001)
      : session(host, id, 0x12345678, peer, Session::Clock::now()) {}

  void Send(const std::string& bytes) { session.Feed(bytes, Session::Clock::now()); }
  void LogIn() {
    using namespace std::string_literals;
    Send(StartupPacket("user\0u\0replication\0true\0\0"s));
  }

  // Takes what is to be sent, up to about `limit` bytes; the files' ranges are read.
  void Take(size_t limit = ~size_t{0}) {
    Output& output = session.output();
    for (size_t taken = 0; taken < limit;) {
      if (output.empty() && !session.Continue(Session::Clock::now())) return;
      const std::string_view head = output.head();
      if (!head.empty()) {
        taken += head.size();
        raw_.append(head);
        output.ConsumeHead(head.size());
      } else if (output.range().length > 0) {
        const Output::Range range = output.range();
        std::string bytes(range.length, '\0');
        const ssize_t n = pread(range.file->fd.get(), bytes.data(), bytes.size(),
                                static_cast<off_t>(range.offset));
        if (n != static_cast<ssize_t>(bytes.size())) std::abort();
        taken += bytes.size();
        raw_ += bytes;
        output.ConsumeRange(range.length);
      }
    }
  }

  // The whole messages among what was taken.
  std::vector<ServerSays> Messages() {
    std::vector<ServerSays> out;
    size_t at = 0;
    while (raw_.size() - at >= 5) {
      const uint32_t length = LoadBe32(raw_.data() + at + 1);
      if (raw_.size() - at < 1 + size_t{length}) break;
      out.push_back({raw_[at], raw_.substr(at + 5, length - 4)});
      at += 1 + size_t{length};
    }
    raw_.erase(0, at);
    return out;
  }
  // What was taken and is no whole message yet.
  std::string TakeRaw() {
    Take();
    return std::exchange(raw_, {});
  }
  std::vector<ServerSays> TakeMessages() {
    Take();
    return Messages();
  }

  Session session;

 private:
  std::string raw_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_SESSION_CLIENT_H_
