// What is encrypted in a repository (cpp_core/archive/decryption.h), as a source of bytes.
#ifndef NEON_REDO_BACKUP_DECRYPT_H_
#define NEON_REDO_BACKUP_DECRYPT_H_

#include <memory>
#include <string>

#include "cpp_core/archive/decryption.h"
#include "cpp_core/backup/byte_source.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The source of what `encrypted` holds. raw: the salt comes first, without "Salted__". `name` is for
// messages. Its errors: kCorrupt, it is damaged or the passphrase is another one; what `encrypted`
// returns. Bytes can be damaged without an error: AES-CBC has no checksum.
std::unique_ptr<ByteSource> Decrypt(std::unique_ptr<ByteSource> encrypted, std::string passphrase,
                                    bool raw, std::string name);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_DECRYPT_H_
