// Detached signatures of reports, which `openssl pkeyutl -verify -rawin` proves.
#ifndef NEON_REDO_CLI_REPORT_SIGNATURE_H_
#define NEON_REDO_CLI_REPORT_SIGNATURE_H_

#include <string>

#include "cli/report_facts.h"
#include "cpp_core/wal_server/private_key.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

// A private key. Thread-safe.
class ReportSigner {
 public:
  // The key: Ed25519, or RSA of at least 2048 bits. kInvalidArgument: another one. Other errors are those
  // of ReadPrivateKey.
  static Result<ReportSigner> Open(const std::string& path);

  const ReportSignature& description() const { return description_; }
  // The signature's bytes: of the text itself (Ed25519), or of its SHA-256 (RSA, PKCS #1 v1.5).
  Result<std::string> Sign(Bytes text) const;

 private:
  explicit ReportSigner(UniqueKey key) : key_(std::move(key)) {}

  UniqueKey key_;
  ReportSignature description_;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_SIGNATURE_H_
