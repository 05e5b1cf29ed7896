// libFuzzer target: a client by TCP against TLS and the session behind it, over a socket.
//
// Input: a byte that says how far the client gets first (no handshake, TLS 1.3, TLS 1.2, logged in
// with TLS 1.3), then steps, each a byte for what to do (Step), a byte of length and that many
// bytes. After each step the server has turns, of the functions that server_connection.cpp calls
// too, until it waits for the client. Whatever comes, a turn takes no more from the socket than its
// reads may, the server comes to wait or to an end after few turns, more key updates than are
// allowed and a request for renegotiation end the connection, an end of the client's is noticed,
// and nobody logs in who has not the password. Seeds: tests/fuzz/session_seeds.py SESSION-DIR TLS-DIR.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/wal_server/turn.h"
#include "tests/fuzz/scram_client.h"
#include "tests/fuzz/scratch.h"
#include "tests/unit/tls_credentials.h"
#include "tests/unit/wal_writer.h"

namespace {

using namespace neon_redo;

enum Step { kData, kKeyUpdate, kRaw, kRecord, kRenegotiate, kHalfClose, kRead, kByByte, kSteps };

constexpr int kMostTurns = 2000;  // some bytes each, of what fits a socket
constexpr size_t kMostRecord = (16 << 10) + 512;

void Require(bool fact) {
  if (!fact) std::abort();
}

struct World {
  World() {
    while (wal.position() < (uint64_t{4} << 20) + 20'000) wal.Append(10, 0, 9000);
    wal.Save(ScratchDirectory());
    auto opened = WalSource::Open(ScratchDirectory());
    auto stored = SlotStore::Open(ScratchDirectory() + "/slots");
    const std::string line = std::string("u:") + kScramVerifier;
    const ScratchFile file("users", reinterpret_cast<const uint8_t*>(line.data()), line.size());
    auto read = ScramUsers::Open(ScratchDirectory() + "/users");
    auto context = credentials.Open();
    if (!opened || !stored || !read || !context) std::abort();
    source = std::move(*opened);
    slots = std::move(*stored);
    users = std::move(*read);
    tls = std::move(*context);
    client.reset(SSL_CTX_new(TLS_client_method()));
    host.source = source.get();
    host.slots = &slots;
    host.users = &users;
    host.tls = true;
    host.make_nonce = [] { return Result<std::string>("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"); };
  }

  WalWriter wal{1 << 20, 3};
  std::unique_ptr<WalSource> source;
  SlotStore slots;
  ScramUsers users;
  SessionHost host;
  const Credentials credentials;
  TlsContext tls;
  ClientContext client;
};

class Connection {
 public:
  explicit Connection(const World& world)
      : world_(world), now_(Session::Clock::now()), session_(world.host, 1001, 7, Remote(), now_) {
    std::array<int, 2> fds;
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0);
    server_socket_.Reset(fds[0]);
    client_socket_.Reset(fds[1]);
    session_.Feed(StartupPacket("", 80877103), now_);
    Require(session_.starting_tls());
    session_.output().ConsumeHead(1);
    server_.emplace(world.tls, server_socket_.get());
  }

  void Connect(int version) {
    client_.reset(SSL_new(world_.client.get()));
    SSL_set_max_proto_version(client_.get(), version);
    SSL_set_fd(client_.get(), client_socket_.get());
    for (int i = 0; i < 10; i++) {
      const bool done = SSL_connect(client_.get()) == 1;
      Serve();
      if (done && server_->established()) return;
    }
    std::abort();
  }

  void LogIn() {
    using namespace std::string_literals;
    const ScramClient scram(server_->channel_binding());
    Write(StartupPacket("user\0u\0replication\0true\0\0"s));
    Write(scram.First());
    const size_t at = received_.find("r=");
    Require(at != std::string::npos);
    proved_ = true;
    Write(scram.Final(std::string_view(received_).substr(at)));
    Require(session_.statistics().authenticated);
  }

  void Do(Step step, std::string_view bytes) {
    switch (step) {
      case kData:
        return Write(bytes);
      case kByByte:
        for (const char& byte : bytes) Put({&byte, 1});
        return Serve();
      case kKeyUpdate:
        return UpdateKeys(std::min<size_t>(bytes.size(), 64));
      case kRaw:
        return SendRaw(bytes);
      case kRecord: {
        if (bytes.empty()) return;
        std::string record(1, static_cast<char>(0x14 + bytes[0] % 5));
        record += "\x03\x03";
        record += {'\0', static_cast<char>(bytes.size() - 1)};
        return SendRaw(record.append(bytes.substr(1)));
      }
      case kRenegotiate:
        return Renegotiate();
      case kHalfClose:
        shutdown(client_socket_.get(), SHUT_WR);
        Serve();
        Require(ended_);
        return;
      default:
        return Read();
    }
  }

  bool ended() const { return ended_; }
  void Finish() {
    // A client that does not read may leave key updates unread; let it read.
    for (int i = 0; i < 10 && !ended_ && !broken_stream_; i++) {
      Read();
      Serve();
    }
    Require(proved_ || !session_.statistics().authenticated);
    Require(broken_stream_ || ended_ || key_updates_ <= TlsStream::kKeyUpdatesPerMinute);
  }

 private:
  static Peer Remote() {
    Peer peer;
    peer.local = false;
    return peer;
  }

  void Put(std::string_view bytes) {
    if (client_ && !broken_stream_ && !bytes.empty())
      SSL_write(client_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  void Write(std::string_view bytes) {
    Put(bytes);
    Serve();
    Read();
  }
  // After bytes that OpenSSL did not make, the server cannot decrypt what it makes.
  void SendRaw(std::string_view bytes) {
    broken_stream_ = true;
    static_cast<void>(!send(client_socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
    Serve();
  }
  void UpdateKeys(size_t count) {
    for (size_t i = 0; i < count && Usable(TLS1_3_VERSION); i++) {
      if (SSL_key_update(client_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return;
      if (SSL_do_handshake(client_.get()) != 1) return;
      key_updates_++;
    }
    Serve();
  }
  void Renegotiate() {
    if (!Usable(TLS1_2_VERSION) || SSL_renegotiate(client_.get()) != 1) return;
    SSL_do_handshake(client_.get());
    Serve();
    Require(ended_);
  }
  bool Usable(int version) const {
    return client_ && !broken_stream_ && !ended_ && SSL_version(client_.get()) == version;
  }
  void Read() {
    char buffer[4096];
    while (client_) {
      const int n = SSL_read(client_.get(), buffer, sizeof(buffer));
      if (n <= 0) return;
      received_.assign(buffer, static_cast<size_t>(n));
    }
  }

  size_t Waiting() const {
    int bytes = 0;
    ioctl(server_socket_.get(), FIONREAD, &bytes);
    return static_cast<size_t>(bytes);
  }
  // What epoll reports of a socket that is watched as the server watches it.
  short Events() const {
    const bool reads = !server_->established() || ReadsInput(session_);
    pollfd fd{server_socket_.get(), static_cast<short>(reads ? POLLIN | POLLRDHUP : POLLRDHUP), 0};
    return poll(&fd, 1, 0) > 0 ? fd.revents : short{0};
  }

  // Turns, until there is nothing to do without the client.
  void Serve() {
    for (int turns = 0; !ended_; turns++) {
      const short events = Events();
      if (!events && !(server_->pending() && ReadsInput(session_)) && !session_.wants_turn())
        return;
      Require(turns < kMostTurns);
      const size_t before = Waiting();
      const bool hung_up = events & (POLLRDHUP | POLLHUP | POLLERR);
      if (hung_up && server_->established() && !ReadsInput(session_)) ended_ = true;
      Turn();
      const size_t after = Waiting();
      Require(before <= after || before - after <= TlsStream::kReadsPerTurn * kMostRecord);
    }
  }

  void Turn() {
    session_.BeginTurn();
    server_->BeginTurn();
    if (!server_->established()) {
      ended_ = !ContinueHandshake(&session_, &*server_);
      return;
    }
    if (!ReceiveInput(&session_, &*server_, server_socket_.get(), now_)) ended_ = true;
    while (!ended_ && (!session_.output().empty() || session_.Continue(now_))) {
      if (!Send()) break;
    }
    if (session_.closing() && session_.output().empty()) ended_ = true;
  }

  // WAL is not sent on: its bytes are another target's concern.
  bool Send() {
    Output& output = session_.output();
    if (const std::string_view head = output.head(); !head.empty()) {
      const ssize_t n = server_->Send(head.data(), head.size());
      if (n < 0 && errno != EAGAIN) ended_ = true;
      if (n <= 0) return false;
      output.ConsumeHead(static_cast<size_t>(n));
      return true;
    }
    output.ConsumeRange(output.range().length);
    return true;
  }

  const World& world_;
  const Session::Clock::time_point now_;
  Session session_;
  FileDescriptor server_socket_;
  FileDescriptor client_socket_;
  std::optional<TlsStream> server_;
  ClientSsl client_;
  std::string received_;  // last
  int key_updates_ = 0;
  bool broken_stream_ = false;
  bool proved_ = false;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const World world;
  if (size == 0) return 0;
  Connection connection(world);
  const int place = data[0] % 4;
  if (place > 0) connection.Connect(place == 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
  if (place == 3) connection.LogIn();
  std::string_view steps(reinterpret_cast<const char*>(data + 1), size - 1);
  while (steps.size() >= 2 && !connection.ended()) {
    const auto step = static_cast<Step>(static_cast<uint8_t>(steps[0]) % kSteps);
    const size_t length = static_cast<uint8_t>(steps[1]);
    steps.remove_prefix(2);
    connection.Do(step, steps.substr(0, length));
    steps.remove_prefix(std::min(length, steps.size()));
  }
  connection.Finish();
  return 0;
}
