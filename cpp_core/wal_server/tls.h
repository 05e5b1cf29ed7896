// TLS on a socket that does not block, the server's side (OpenSSL).
#ifndef NEON_REDO_WAL_SERVER_TLS_H_
#define NEON_REDO_WAL_SERVER_TLS_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "neon_redo/error.h"

struct ssl_ctx_st;
struct ssl_st;

namespace neon_redo {

// A certificate and its key. TLS 1.3, or TLS 1.2 with forward secrecy and authenticated encryption.
class TlsContext {
 public:
  // Files in PEM; the certificate's chain may follow it. Each is opened and read once; nothing is
  // asked on a terminal. kInvalidArgument: they do not fit, the key is encrypted, or others may
  // read it (ReadSecretFile).
  static Result<TlsContext> Open(const std::string& certificate, const std::string& key);

  ssl_ctx_st* get() const { return context_.get(); }
  // tls-server-end-point (RFC 5929): the certificate's hash, by the function of its signature.
  // Empty: that names none (Ed25519).
  const std::string& channel_binding() const { return channel_binding_; }

 private:
  std::shared_ptr<ssl_ctx_st> context_;
  std::string channel_binding_;
};

// One connection. Calls return as recv and send do: the number of bytes, 0 at the end, or -1 with
// errno EAGAIN (wants_write() then says for what) or another. EPROTO: the peer does what no honest
// peer does; problem() says what.
//
// One call of OpenSSL handles as many records as the socket has, so the peer would decide how long
// it takes: records without data, handshakes in pieces of a byte. Therefore the socket seems empty
// after kReadsPerTurn reads, until BeginTurn.
class TlsStream {
 public:
  static constexpr int kReadsPerTurn = 64;  // a record takes two
  // A peer may change its key that often in a minute. Each change costs a derivation of keys, and
  // an honest peer makes one for some 2^24 records.
  static constexpr int kKeyUpdatesPerMinute = 32;

  // The socket outlives it. Not movable: OpenSSL keeps its address.
  TlsStream(const TlsContext& context, int fd);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  void BeginTurn() { reads_left_ = kReadsPerTurn; }

  // 1: done; else as above.
  ssize_t Handshake();
  ssize_t Receive(char* buffer, size_t size);
  ssize_t Send(const char* bytes, size_t size);

  // Of the certificate that this connection was begun with.
  const std::string& channel_binding() const { return channel_binding_; }
  bool established() const { return established_; }
  bool wants_write() const { return wants_write_; }
  // Received and not yet taken: the socket will not say so.
  bool pending() const;
  const char* problem() const { return problem_; }

 private:
  ssize_t Judge(int result);
  // OpenSSL's callback for the messages of the protocol.
  static void SeeMessage(int sent, int version, int type, const void* bytes, size_t size,
                         ssl_st* ssl, void* stream);
  void CountKeyUpdate();

  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  std::unique_ptr<ssl_st, Free> ssl_;
  const std::string channel_binding_;
  bool established_ = false;
  bool wants_write_ = false;
  int reads_left_ = kReadsPerTurn;
  int key_updates_ = 0;  // since key_updates_since_
  std::chrono::steady_clock::time_point key_updates_since_{};
  const char* problem_ = nullptr;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_TLS_H_
