#include "cpp_core/wal_server/private_key.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

UniqueBio MemoryBio(const std::string& content) {
  return UniqueBio(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
}

tl::unexpected<Error> OpenSslError(const char* what, const std::string& path) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("could not {} \"{}\": {}", what, path,
                                                            reason ? reason : "unknown error"));
}

int RefusePassphrase(char*, int, int, void* asked) {
  if (asked) *static_cast<bool*>(asked) = true;
  return -1;
}

Result<UniqueKey> ReadPrivateKey(const std::string& path) {
  ASSIGN_OR_RETURN(std::string content, ReadSecretFile(path, "private key file", kMaxPemFile));
  bool asked = false;
  const UniqueBio bio = MemoryBio(content);
  UniqueKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, RefusePassphrase, &asked));
  WipeSecret(&content);
  if (asked) {
    ERR_clear_error();
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("private key file \"{}\" is encrypted, and there is nobody to ask "
                                 "for its passphrase; store the key without one",
                                 path));
  }
  if (!key) return OpenSslError("load private key file", path);
  return key;
}

}  // namespace neon_redo
