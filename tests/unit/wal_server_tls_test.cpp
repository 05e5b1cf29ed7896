// TLS of the WAL sender against clients that OpenSSL would follow for as long as they like.
#include "cpp_core/wal_server/tls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include "cpp_core/base/files.h"
#include "tests/unit/tls_credentials.h"

namespace neon_redo {
namespace {

// Both ends of a connection.
class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto context = credentials_.Open();
    ASSERT_TRUE(context) << context.error().message;
    context_ = std::move(*context);
    client_context_.reset(SSL_CTX_new(TLS_client_method()));
    SetUpAgain();
  }

  // Another connection.
  void SetUpAgain() {
    std::array<int, 2> fds;
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    server_socket_.Reset(fds[0]);
    client_socket_.Reset(fds[1]);
    const int buffer = 1 << 20;
    for (const int fd : fds) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    server_ = std::make_unique<TlsStream>(context_, server_socket_.get());
  }

  bool Connect() {
    client_.reset(SSL_new(client_context_.get()));
    SSL_set_fd(client_.get(), client_socket_.get());
    bool accepted = false;
    for (int i = 0; i < 20; i++) {
      const bool connected = SSL_connect(client_.get()) == 1;
      server_->BeginTurn();
      if (!accepted && server_->Handshake() < 0 && errno != EAGAIN) return false;
      accepted = server_->established();
      if (connected && accepted) return true;
    }
    return false;
  }

  Credentials credentials_;
  TlsContext context_;
  FileDescriptor server_socket_;
  FileDescriptor client_socket_;
  std::unique_ptr<TlsStream> server_;
  ClientContext client_context_;
  ClientSsl client_;
};

TEST_F(TlsTest, AFloodOfKeyUpdatesEndsTheConnection) {
  ASSERT_TRUE(Connect());
  for (int i = 0; i < 1000; i++) {
    ASSERT_EQ(SSL_key_update(client_.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client_.get()), 1) << i;
  }
  ASSERT_EQ(SSL_write(client_.get(), "x", 1), 1);
  // A call does not follow them to the end, and soon there is one too many.
  char byte;
  int calls = 0;
  do {
    server_->BeginTurn();
    ASSERT_EQ(server_->Receive(&byte, 1), -1);
    calls++;
  } while (errno == EAGAIN && calls < 1000);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_STREQ(server_->problem(), "the client sent too many TLS key updates");
  EXPECT_LE(calls, TlsStream::kKeyUpdatesPerMinute + 1);
}

TEST_F(TlsTest, AFewKeyUpdatesAreFine) {
  ASSERT_TRUE(Connect());
  for (int i = 0; i < TlsStream::kKeyUpdatesPerMinute; i++) {
    ASSERT_EQ(SSL_key_update(client_.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_write(client_.get(), "x", 1), 1);
    char byte = 0;
    for (int turn = 0; turn < 3 && byte == 0; turn++) {
      server_->BeginTurn();
      server_->Receive(&byte, 1);
    }
    ASSERT_EQ(byte, 'x') << i;
    ASSERT_EQ(server_->Send("y", 1), 1);
    ASSERT_EQ(SSL_read(client_.get(), &byte, 1), 1) << i;
  }
}

TEST_F(TlsTest, RenegotiationEndsTheConnection) {
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_2_VERSION);
  ASSERT_TRUE(Connect());
  ASSERT_EQ(SSL_renegotiate(client_.get()), 1);
  SSL_do_handshake(client_.get());
  char byte;
  server_->BeginTurn();
  EXPECT_EQ(server_->Receive(&byte, 1), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_STREQ(server_->problem(), "the client asked for TLS renegotiation");
}

// Records of one byte cost a call of the operating system each, or two.
TEST_F(TlsTest, ATurnEndsAfterSomeReads) {
  ASSERT_TRUE(Connect());
  for (int i = 0; i < 1000; i++) ASSERT_EQ(SSL_write(client_.get(), "x", 1), 1);
  char byte;
  int received = 0;
  server_->BeginTurn();
  while (server_->Receive(&byte, 1) == 1) received++;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_LE(received, TlsStream::kReadsPerTurn);
  for (int turn = 0; turn < 100; turn++) {
    server_->BeginTurn();
    while (server_->Receive(&byte, 1) == 1) received++;
  }
  EXPECT_EQ(received, 1000);
}

TEST_F(TlsTest, AHandshakeInPiecesTakesManyTurns) {
  // The start of a ClientHello of 100 kB, one byte in each record.
  std::string hello("\x01\x01\x86\xa0\x03\x03", 6);
  hello.resize(20'000, 'x');
  std::string flood;
  for (const char c : hello) flood += std::string("\x16\x03\x01\x00\x01", 5) + c;
  ASSERT_EQ(send(client_socket_.get(), flood.data(), flood.size(), 0),
            static_cast<ssize_t>(flood.size()));
  server_->BeginTurn();
  EXPECT_EQ(server_->Handshake(), -1);
  int left = 0;
  char buffer[1 << 17];
  left = static_cast<int>(recv(server_socket_.get(), buffer, sizeof(buffer), MSG_PEEK));
  EXPECT_GT(left, static_cast<int>(flood.size()) - TlsStream::kReadsPerTurn * 6);
}

TEST_F(TlsTest, Tls12HasForwardSecrecyAndAuthenticatedEncryption) {
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_2_VERSION);
  for (const char* bad : {"ECDHE+AES:!AESGCM:!AESCCM", "AES256-GCM-SHA384", "AES128-SHA"}) {
    SSL_CTX_set_cipher_list(client_context_.get(), bad);
    SetUpAgain();
    EXPECT_FALSE(Connect()) << bad;
  }
  SSL_CTX_set_cipher_list(client_context_.get(), "ECDHE+AESGCM");
  SetUpAgain();
  EXPECT_TRUE(Connect());
}

TEST(TlsContextTest, AnEncryptedKeyIsRefusedWithoutAQuestion) {
  const Credentials credentials("passphrase");
  const auto context = credentials.Open();
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().message.find("is encrypted"), std::string::npos)
      << context.error().message;
}

TEST(TlsContextTest, FilesAreJudgedAsTheyAreRead) {
  const Credentials credentials;
  ASSERT_TRUE(credentials.Open());
  chmod(credentials.key().c_str(), 0640);
  EXPECT_FALSE(credentials.Open());
  chmod(credentials.key().c_str(), 0600);
  if (geteuid() == 0) {
    ASSERT_EQ(chown(credentials.key().c_str(), 12345, 0), 0);
    const auto context = credentials.Open();
    ASSERT_FALSE(context);
    EXPECT_NE(context.error().message.find("must be owned"), std::string::npos);
  }
  // Nobody waits for a FIFO's other end.
  unlink(credentials.key().c_str());
  ASSERT_EQ(mkfifo(credentials.key().c_str(), 0600), 0);
  EXPECT_FALSE(credentials.Open());
}

}  // namespace
}  // namespace neon_redo
