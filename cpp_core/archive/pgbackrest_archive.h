// pgBackRest's archives of WAL: REPOSITORY/archive/STANZA/VERSION-ID, and archive.info beside them.
#ifndef NEON_REDO_ARCHIVE_PGBACKREST_ARCHIVE_H_
#define NEON_REDO_ARCHIVE_PGBACKREST_ARCHIVE_H_

#include <memory>
#include <optional>
#include <string>

#include "neon_redo/error.h"

namespace neon_redo {

// A passphrase, which is wiped from memory with its last owner.
using Passphrase = std::shared_ptr<const std::string>;

// That of a repository, by a file that has it. Errors: those of ReadSecretFile. kInvalidArgument: it is
// empty.
Result<std::string> ReadRepositoryPassphrase(const std::string& file);

// That of the archive's segments, by the archive.info in the directory of a stanza or in the one above
// it, or by its copy. passphrase: the repository's. kNotFound: there is no such file. kCorrupt: it is
// damaged, or the passphrase is another one. kInvalidArgument: the archive is not encrypted.
Result<Passphrase> ReadArchivePassphrase(const std::string& directory,
                                         const std::string& passphrase);

// The directory of a stanza below that of a repository, or of its archives. stanza: empty, if there is
// only one. Nothing: it is no such directory. kInvalidArgument: it has several stanzas, or not this one;
// the message names those that are there.
Result<std::optional<std::string>> FindArchiveStanza(const std::string& directory,
                                                     const std::string& stanza);

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_PGBACKREST_ARCHIVE_H_
