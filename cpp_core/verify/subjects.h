// What a damaged page or file is of, in the words of the database's users.
#ifndef NEON_REDO_VERIFY_SUBJECTS_H_
#define NEON_REDO_VERIFY_SUBJECTS_H_

#include "cpp_core/verify/catalog.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// Names the subject of each mismatch and note. catalog: of the data directory, or of the backup.
void NameSubjects(Catalog* catalog, VerifyResult* result);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_SUBJECTS_H_
