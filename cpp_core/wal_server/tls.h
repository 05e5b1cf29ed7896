// TLS on a socket that does not block, the server's side (OpenSSL).
#ifndef NEON_REDO_WAL_SERVER_TLS_H_
#define NEON_REDO_WAL_SERVER_TLS_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>

#include "neon_redo/error.h"

struct ssl_ctx_st;
struct ssl_st;

namespace neon_redo {

// A certificate and its key. TLS 1.2 or later.
class TlsContext {
 public:
  // Files in PEM; the certificate's chain may follow it. kInvalidArgument: they do not fit, or
  // others may read the key.
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
// errno EAGAIN (wants_write() then says for what) or another.
class TlsStream {
 public:
  // The socket outlives it.
  TlsStream(const TlsContext& context, int fd);

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

 private:
  ssize_t Judge(int result);

  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  std::unique_ptr<ssl_st, Free> ssl_;
  const std::string channel_binding_;
  bool established_ = false;
  bool wants_write_ = false;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_TLS_H_
