// A hostile client of serve-wal's TLS, for test_serve_wal_hostile.py:
//
//   hostile_tls PORT SECONDS key-updates|renegotiate|records|half
//
// It does one thing, again and again on new connections when the server ends them. It prints "begun"
// when it has come to its harm for the first time, and goes on for that time. Then it prints on how
// many connections it came to its harm, and how many of these the server ended: "reached N ended M".
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval timeout{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  const unsigned char request[] = {0, 0, 0, 8, 4, 210, 22, 47};  // SSLRequest
  char answer = 0;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      send(fd, request, sizeof(request), MSG_NOSIGNAL) == sizeof(request) &&
      recv(fd, &answer, 1, 0) == 1 && answer == 'S')
    return fd;
  close(fd);
  return -1;
}

struct Counts {
  unsigned reached = 0;  // connections on which it came to its harm
  unsigned ended = 0;    // and which the server then ended
  Clock::time_point end = Clock::now() + std::chrono::seconds(60);
};

// The server has taken what harms it.
void Reach(Counts* counts, double seconds) {
  if (counts->reached++ > 0) return;
  counts->end = Clock::now() + std::chrono::milliseconds(static_cast<int>(seconds * 1000));
  printf("begun\n");
  fflush(stdout);
}

// Reads, past TLS, until the server ends the connection or time is up.
bool SeesEnd(int fd, Clock::time_point end) {
  char bytes[4096];
  while (Clock::now() < end) {
    const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return true;
  }
  return false;
}

// Half of a ClientHello, one byte a record.
bool SendHalf(int fd) {
  std::string hello("\x01\x01\x86\xa0\x03\x03", 6);
  hello.resize(50'000, 'x');
  std::string flood;
  for (const char c : hello) flood += std::string("\x16\x03\x01\x00\x01", 5) + c;
  return send(fd, flood.data(), flood.size(), MSG_NOSIGNAL) > 0;
}

// Does its harm until the server ends the connection or time is up.
void Attack(SSL* ssl, int fd, const std::string& what, double seconds, Counts* counts) {
  if (what == "half") {
    if (!SendHalf(fd)) return;
    Reach(counts, seconds);
  } else {
    if (SSL_connect(ssl) != 1) return;
    bool reached = false;
    for (bool more = true; more && Clock::now() < counts->end;) {
      if (what == "key-updates") {
        more = SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1;
      } else if (what == "renegotiate") {
        // OpenSSL takes the server's warning for the end, which shows that the server was asked.
        if (SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) != 1) Reach(counts, seconds);
        reached = true;
        break;
      } else {
        // A startup packet that never ends.
        more = SSL_write(ssl, "\0", 1) == 1;
      }
      if (more && !reached) Reach(counts, seconds);
      reached = reached || more;
    }
    if (!reached) return;
  }
  if (SeesEnd(fd, counts->end)) counts->ended++;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  signal(SIGPIPE, SIG_IGN);
  const int port = atoi(argv[1]);
  const double seconds = atof(argv[2]);
  const std::string what = argv[3];
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (what == "renegotiate") SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  Counts counts;
  while (Clock::now() < counts.end) {
    const int fd = Connect(port);
    if (fd < 0) {
      usleep(10'000);
      continue;
    }
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    Attack(ssl, fd, what, seconds, &counts);
    SSL_free(ssl);
    close(fd);
  }
  SSL_CTX_free(context);
  printf("reached %u ended %u\n", counts.reached, counts.ended);
  return 0;
}
