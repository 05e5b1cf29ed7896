#include "cli/report_signature.h"

#include <fmt/format.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <memory>

#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

constexpr int kLeastRsaBits = 2048;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Empty: no report is signed with such a key.
std::string AlgorithmOf(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) return "Ed25519";
  if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= kLeastRsaBits)
    return fmt::format("RSA of {} bits, PKCS #1 v1.5 with SHA-256", EVP_PKEY_get_bits(key));
  return {};
}

std::string HashOfPublicKey(const EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return {};
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(size), hash);
  OPENSSL_free(der);
  std::string out;
  for (const unsigned char byte : hash) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

Result<ReportSigner> ReportSigner::Open(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueKey key, ReadPrivateKey(path));
  ReportSigner signer(std::move(key));
  signer.description_ = {AlgorithmOf(signer.key_.get()), HashOfPublicKey(signer.key_.get())};
  if (signer.description_.algorithm.empty())
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("private key file \"{}\" must hold a key of Ed25519, or of RSA with "
                    "at least {} bits (openssl genpkey -algorithm ed25519 -out FILE)",
                    path, kLeastRsaBits));
  // A key that cannot sign is reported before the work, not after it.
  RETURN_IF_ERROR(signer.Sign({}));
  return signer;
}

Result<std::string> ReportSigner::Sign(Bytes text) const {
  const bool is_rsa = EVP_PKEY_is_a(key_.get(), "RSA");
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  size_t size = 0;
  // Without a padding of its own RSA has that of PKCS #1 v1.5, as openssl pkeyutl has.
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, is_rsa ? EVP_sha256() : nullptr, nullptr,
                         key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, text.data(), text.size()) != 1)
    return OpenSslError("sign with", "the private key");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     text.data(), text.size()) != 1)
    return OpenSslError("sign with", "the private key");
  signature.resize(size);
  return signature;
}

}  // namespace neon_redo::cli
