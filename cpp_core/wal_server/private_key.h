// Private keys in PEM files, read for OpenSSL.
#ifndef NEON_REDO_WAL_SERVER_PRIVATE_KEY_H_
#define NEON_REDO_WAL_SERVER_PRIVATE_KEY_H_

#include <openssl/bio.h>
#include <openssl/evp.h>

#include <memory>
#include <string>

#include "neon_redo/error.h"

namespace neon_redo {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using UniqueKey = std::unique_ptr<EVP_PKEY, FreeKey>;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using UniqueBio = std::unique_ptr<BIO, FreeBio>;

inline constexpr size_t kMaxPemFile = 1 << 20;

// The functions below are thread-safe.

// A key without a passphrase. kInvalidArgument: it is none, is encrypted, or others may read the file
// (ReadSecretFile). Errors of opening are those of OpenRegularFile.
Result<UniqueKey> ReadPrivateKey(const std::string& path);

// Reads the content, which must live as long.
UniqueBio MemoryBio(const std::string& content);

// "could not WHAT "PATH": REASON", with OpenSSL's last error of this thread, which is cleared.
tl::unexpected<Error> OpenSslError(const char* what, const std::string& path);

// A pem_password_cb in place of OpenSSL's own, which would ask on the terminal. asked: null, or a bool
// that becomes true.
int RefusePassphrase(char* buffer, int size, int for_writing, void* asked);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_PRIVATE_KEY_H_
