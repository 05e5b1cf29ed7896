// A certificate and its key for tests of TLS.
#ifndef NEON_REDO_TESTS_UNIT_TLS_CREDENTIALS_H_
#define NEON_REDO_TESTS_UNIT_TLS_CREDENTIALS_H_

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

#include "cpp_core/wal_server/tls.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {

// In a directory; the key is encrypted when there is a passphrase.
class Credentials {
 public:
  explicit Credentials(const char* passphrase = nullptr) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                  EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
    X509_set_pubkey(x509.get(), key.get());
    X509_sign(x509.get(), key.get(), EVP_sha256());
    FILE* file = fopen(certificate().c_str(), "w");
    PEM_write_X509(file, x509.get());
    fclose(file);
    file = fopen(this->key().c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), passphrase ? EVP_aes_128_cbc() : nullptr, nullptr, 0,
                         nullptr, const_cast<char*>(passphrase));
    fclose(file);
    chmod(this->key().c_str(), 0600);
  }
  std::string certificate() const { return directory_.path() + "/cert"; }
  std::string key() const { return directory_.path() + "/key"; }
  Result<TlsContext> Open() const { return TlsContext::Open(certificate(), key()); }

 private:
  TempDirectory directory_;
};

// OpenSSL's objects of a client.
struct FreeClientContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeClient {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using ClientContext = std::unique_ptr<SSL_CTX, FreeClientContext>;
using ClientSsl = std::unique_ptr<SSL, FreeClient>;

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_TLS_CREDENTIALS_H_
