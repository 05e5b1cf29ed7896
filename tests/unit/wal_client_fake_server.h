// A walsender made of bytes: enough of the server side of the protocol for a WalReceiver to start
// streaming, after which the test writes whatever bytes it likes, in whatever pieces.
#ifndef NEON_REDO_TESTS_REPLICATION_FAKE_SERVER_H_
#define NEON_REDO_TESTS_REPLICATION_FAKE_SERVER_H_

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cpp_core/wal_client/message.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

inline std::string Be(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift));
  return out;
}

// One message of protocol 3: kind, length that counts itself, payload.
inline std::string Frame(char kind, const std::string& payload) {
  return kind + Be(payload.size() + 4, 4) + payload;
}

inline std::string WalFrame(Lsn start, Lsn server_end, const std::string& data) {
  const auto header = EncodeXLogDataHeader({start, server_end, ReplicationTime{}, {}});
  return Frame('d', std::string(header.begin(), header.end()) + data);
}

inline std::string KeepaliveFrame(Lsn server_end, bool reply) {
  const auto bytes = Encode(Keepalive{server_end, ReplicationTime{}, reply});
  return Frame('d', std::string(bytes.begin(), bytes.end()));
}

// What the client sent once streaming: one entry a CopyData payload.
class FakeServer {
 public:
  using Script = std::function<void(FakeServer*)>;

  // Serves one connection on a thread: `script` runs once START_REPLICATION was answered.
  FakeServer(Script script, std::string wal_sender_timeout = "1min")
      : script_(std::move(script)), wal_sender_timeout_(std::move(wal_sender_timeout)) {
    char name[] = "/tmp/neon_redo.XXXXXX";
    directory_ = mkdtemp(name);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/.s.PGSQL.5432";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    thread_ = std::thread([this] { Serve(); });
  }

  ~FakeServer() {
    stop_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    std::filesystem::remove_all(directory_);
  }

  std::string conninfo() const {
    return "host=" + directory_ + " port=5432 user=u sslmode=disable";
  }

  // For the script.
  void Send(const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }
  // Sends two pieces so that the client reads them apart.
  void SendSplit(const std::string& bytes, size_t at) {
    Send(bytes.substr(0, at));
    int unread = 1;
    while (!stop_ && ioctl(fd_, SIOCOUTQ, &unread) == 0 && unread > 0) std::this_thread::yield();
    Send(bytes.substr(at));
  }
  // The next CopyData payload of the client; empty when it closed or the time is up.
  std::string NextFromClient(std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!stop_ && std::chrono::steady_clock::now() < deadline) {
      if (in_.size() >= 5) {
        const size_t length = LoadBe32(in_.data() + 1);
        if (in_.size() >= 1 + length) {
          const std::string payload = in_.substr(5, length - 4);
          const char kind = in_[0];
          in_.erase(0, 1 + length);
          if (kind == 'd') return payload;
          continue;
        }
      }
      if (!ReadMore(10)) return "";
    }
    return "";
  }
  // Keeps the connection open until the test is over.
  void HoldOpen() {
    while (!stop_) NextFromClient(std::chrono::milliseconds(10));
  }
  bool stopping() const { return stop_; }

 private:
  bool ReadMore(int timeout_ms) {
    pollfd fd{fd_, POLLIN, 0};
    if (poll(&fd, 1, timeout_ms) <= 0) return true;
    char buffer[4096];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    in_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  // One query message of the client; empty when it is gone.
  std::string NextQuery() {
    while (!stop_) {
      if (in_.size() >= 5 && in_.size() >= 1 + LoadBe32(in_.data() + 1)) {
        const size_t length = LoadBe32(in_.data() + 1);
        std::string text = in_.substr(5, length - 5);
        in_.erase(0, 1 + length);
        return text;
      }
      if (!ReadMore(10)) return "";
    }
    return "";
  }

  void Serve() {
    fd_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd_ < 0) return;
    while (!stop_ && (in_.size() < 4 || in_.size() < LoadBe32(in_.data()))) ReadMore(10);
    in_.clear();
    const std::string ready = Frame('Z', "I");
    Send(Frame('R', Be(0, 4)) +
         Frame('S', std::string("server_version\0"
                                "15.0\0",
                                20)) +
         ready);
    for (;;) {
      const std::string query = NextQuery();
      if (query.empty()) break;
      if (query.starts_with("SHOW")) {
        Send(Frame('T', Be(1, 2) + std::string("s\0", 2) + Be(0, 6) + Be(25, 4) + Be(0xffff, 2) +
                            Be(0xffffffff, 4) + Be(0, 2)) +
             Frame('D', Be(1, 2) + Be(wal_sender_timeout_.size(), 4) + wal_sender_timeout_) +
             Frame('C', std::string("SHOW\0", 5)) + ready);
        continue;
      }
      Send(Frame('W', std::string("\0\0\0", 3)));
      script_(this);
      break;
    }
    close(fd_);
  }

  const Script script_;
  const std::string wal_sender_timeout_;
  std::string directory_;
  int listener_ = -1;
  int fd_ = -1;
  std::string in_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_REPLICATION_FAKE_SERVER_H_
