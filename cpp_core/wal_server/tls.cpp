#include "cpp_core/wal_server/tls.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_server/private_key.h"

namespace neon_redo {

namespace {

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

template <typename T, void (*kFree)(T*)>
struct FreeWith {
  void operator()(T* object) const { kFree(object); }
};
using UniqueX509 = std::unique_ptr<X509, FreeWith<X509, X509_free>>;

// The certificate, then its chain, as SSL_CTX_use_certificate_chain_file takes them.
Status LoadCertificate(SSL_CTX* context, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadRegularFile(path, kMaxPemFile));
  const UniqueBio bio = MemoryBio(content);
  const UniqueX509 own(PEM_read_bio_X509_AUX(bio.get(), nullptr, RefusePassphrase, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1)
    return OpenSslError("load certificate file", path);
  for (;;) {
    UniqueX509 next(PEM_read_bio_X509(bio.get(), nullptr, RefusePassphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1)
      return OpenSslError("load certificate file", path);
    static_cast<void>(next.release());
  }
  const unsigned long end = ERR_peek_last_error();
  if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
    return OpenSslError("load certificate file", path);
  ERR_clear_error();
  return {};
}

Status LoadKey(SSL_CTX* context, const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueKey key, ReadPrivateKey(path));
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return OpenSslError("load private key file", path);
  return {};
}

struct BudgetedSocket {
  int fd;
  int* reads_left;
};

// A socket as OpenSSL reads and writes it. Without reads left it has nothing to read.
int ReadSocket(BIO* bio, char* buffer, int size) {
  const auto* socket = static_cast<const BudgetedSocket*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (*socket->reads_left <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  --*socket->reads_left;
  const ssize_t n = recv(socket->fd, buffer, static_cast<size_t>(size), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

int WriteSocket(BIO* bio, const char* bytes, int size) {
  const auto* socket = static_cast<const BudgetedSocket*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const ssize_t n = send(socket->fd, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int DestroySocket(BIO* bio) {
  delete static_cast<BudgetedSocket*>(BIO_get_data(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

const BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket with a budget");
    if (!m) return m;
    BIO_meth_set_read(m, ReadSocket);
    BIO_meth_set_write(m, WriteSocket);
    BIO_meth_set_ctrl(
        m, +[](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH; });
    BIO_meth_set_destroy(m, DestroySocket);
    return m;
  }();
  return method;
}

BIO* NewSocket(int fd, int* reads_left) {
  const BIO_METHOD* method = SocketMethod();
  BIO* bio = method ? BIO_new(method) : nullptr;
  if (!bio) return nullptr;
  BIO_set_data(bio, new BudgetedSocket{fd, reads_left});
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace

Result<TlsContext> TlsContext::Open(const std::string& certificate, const std::string& key) {
  TlsContext out;
  out.context_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* context = out.get();
  if (!context) return OpenSslError("set up TLS for", certificate);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // For TLS 1.2; all of TLS 1.3's are such.
  if (SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return OpenSslError("choose the ciphers for", certificate);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Else one SSL_read goes on through all records without data.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  RETURN_IF_ERROR(LoadCertificate(context, certificate));
  RETURN_IF_ERROR(LoadKey(context, key));
  out.channel_binding_ = HashOfCertificate(SSL_CTX_get0_certificate(context));
  ERR_clear_error();
  return out;
}

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context, int fd)
    : ssl_(SSL_new(context.get())), channel_binding_(context.channel_binding()) {
  BIO* bio = ssl_ ? NewSocket(fd, &reads_left_) : nullptr;
  if (!bio) {
    ssl_.reset();
    return;
  }
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_msg_callback(ssl_.get(), SeeMessage);
  SSL_set_msg_callback_arg(ssl_.get(), this);
}

// A client that asks to negotiate again is sent a warning, by which the attempt is noticed:
// OpenSSL does not show the ClientHello that it ignores.
void TlsStream::SeeMessage(int sent, int, int type, const void* bytes, size_t size, ssl_st*,
                           void* stream) {
  auto* self = static_cast<TlsStream*>(stream);
  const auto* message = static_cast<const uint8_t*>(bytes);
  if (!sent && type == SSL3_RT_HANDSHAKE && size > 0 && message[0] == SSL3_MT_KEY_UPDATE)
    self->CountKeyUpdate();
  if (sent && type == SSL3_RT_ALERT && size == 2 && message[1] == SSL_AD_NO_RENEGOTIATION)
    self->problem_ = "the client asked for TLS renegotiation";
}

void TlsStream::CountKeyUpdate() {
  const auto now = std::chrono::steady_clock::now();
  if (now - key_updates_since_ >= std::chrono::minutes(1)) {
    key_updates_since_ = now;
    key_updates_ = 0;
  }
  if (++key_updates_ > kKeyUpdatesPerMinute) problem_ = "the client sent too many TLS key updates";
}

ssize_t TlsStream::Judge(int result) {
  wants_write_ = false;
  if (problem_) {
    ERR_clear_error();
    errno = EPROTO;
    return -1;
  }
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
