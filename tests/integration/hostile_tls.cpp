// A hostile client of serve-wal's TLS, for test_serve_wal_hostile.py:
//
//   hostile_tls PORT SECONDS key-updates|renegotiate|records|half
//
// It does one thing for that time, again and again on new connections when the server ends them,
// and prints how many connections were ended: "ended N".
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

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

// Until the server ends the connection. True: it did.
bool Attack(SSL* ssl, int fd, const std::string& what, Clock::time_point end) {
  if (what == "half") {
    // Half of a ClientHello, one byte a record.
    std::string hello("\x01\x01\x86\xa0\x03\x03", 6);
    hello.resize(50'000, 'x');
    std::string flood;
    for (const char c : hello) flood += std::string("\x16\x03\x01\x00\x01", 5) + c;
    if (send(fd, flood.data(), flood.size(), MSG_NOSIGNAL) < 0) return true;
    char byte;
    while (Clock::now() < end) {
      if (recv(fd, &byte, 1, 0) == 0) return true;
      if (send(fd, "", 0, MSG_NOSIGNAL) < 0) return true;
    }
    return false;
  }
  if (SSL_connect(ssl) != 1) return true;
  while (Clock::now() < end) {
    int done = 1;
    for (int i = 0; i < 100 && done > 0; i++) {
      if (what == "key-updates") {
        SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        done = SSL_do_handshake(ssl);
      } else if (what == "renegotiate") {
        SSL_renegotiate(ssl);
        done = SSL_do_handshake(ssl);
      } else {
        // A startup packet that never ends.
        done = SSL_write(ssl, "\0", 1);
      }
    }
    if (done <= 0) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  signal(SIGPIPE, SIG_IGN);
  const int port = atoi(argv[1]);
  const auto end = Clock::now() + std::chrono::milliseconds(static_cast<int>(atof(argv[2]) * 1000));
  const std::string what = argv[3];
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (what == "renegotiate") SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  unsigned ended = 0;
  while (Clock::now() < end) {
    const int fd = Connect(port);
    if (fd < 0) {
      usleep(10'000);
      continue;
    }
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    ended += Attack(ssl, fd, what, end) ? 1 : 0;
    SSL_free(ssl);
    close(fd);
  }
  SSL_CTX_free(context);
  printf("ended %u\n", ended);
  return 0;
}
