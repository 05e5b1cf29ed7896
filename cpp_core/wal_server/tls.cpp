#include "cpp_core/wal_server/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "cpp_core/base/files.h"

namespace neon_redo {

namespace {

tl::unexpected<Error> TlsError(const char* what, const std::string& path) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("could not {} \"{}\": {}", what, path,
                                                            reason ? reason : "unknown error"));
}

// MD5 and SHA-1 count as SHA-256 (RFC 5929, section 4.1).
std::string HashOfCertificate(const X509* certificate) {
  int function = NID_undef;
  if (X509_get_signature_info(const_cast<X509*>(certificate), &function, nullptr, nullptr,
                              nullptr) != 1)
    return {};
  const EVP_MD* md =
      function == NID_md5 || function == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(function);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (md == nullptr || X509_digest(certificate, md, hash, &size) != 1) return {};
  return {reinterpret_cast<const char*>(hash), size};
}

}  // namespace

Result<TlsContext> TlsContext::Open(const std::string& certificate, const std::string& key) {
  struct stat st;
  if (stat(key.c_str(), &st) != 0) return FileError("open file", key);
  // As the server has it (check_ssl_key_file_permissions in libpq/be-secure-common.c).
  if (st.st_mode & 077)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("private key file \"{}\" has group or world access; it should "
                                 "have permissions u=rw (0600) or less",
                                 key));
  TlsContext out;
  out.context_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* context = out.get();
  if (!context) return TlsError("set up TLS for", certificate);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return TlsError("load certificate file", certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    return TlsError("load private key file", key);
  out.channel_binding_ = HashOfCertificate(SSL_CTX_get0_certificate(context));
  ERR_clear_error();
  return out;
}

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context, int fd)
    : ssl_(SSL_new(context.get())), channel_binding_(context.channel_binding()) {
  if (ssl_) SSL_set_fd(ssl_.get(), fd);
}

ssize_t TlsStream::Judge(int result) {
  wants_write_ = false;
  if (result > 0) return result;
  const int error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  wants_write_ = error == SSL_ERROR_WANT_WRITE;
  errno = error == SSL_ERROR_WANT_READ || wants_write_ ? EAGAIN : ECONNRESET;
  return -1;
}

ssize_t TlsStream::Handshake() {
  if (!ssl_) {
    errno = ENOMEM;
    return -1;
  }
  ERR_clear_error();
  const ssize_t n = Judge(SSL_accept(ssl_.get()));
  established_ = n > 0;
  return n;
}

ssize_t TlsStream::Receive(char* buffer, size_t size) {
  ERR_clear_error();
  return Judge(SSL_read(ssl_.get(), buffer, static_cast<int>(std::min<size_t>(size, 1 << 20))));
}

ssize_t TlsStream::Send(const char* bytes, size_t size) {
  ERR_clear_error();
  return Judge(SSL_write(ssl_.get(), bytes, static_cast<int>(std::min<size_t>(size, 1 << 20))));
}

bool TlsStream::pending() const { return established_ && SSL_pending(ssl_.get()) > 0; }

}  // namespace neon_redo
