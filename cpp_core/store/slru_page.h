// Pages of SLRUs: reading them from a backup or a data directory, and applying changes to them.
#ifndef NEON_REDO_STORE_SLRU_PAGE_H_
#define NEON_REDO_STORE_SLRU_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/slru.h"
#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// A page of an SLRU's files; false when it is not there.
Result<bool> ReadSlruPage(const BaseBackup& files, const SlruBlock& block, uint8_t* page);

// Whether this change, of a kind that removes segments, removes this one.
bool RemovesSlruSegment(const Change& change, SlruKind kind, uint32_t segment);

// Applies a change to the SLRU's page that its key names. The page may get longer by a
// timestamp after its kBlockSize bytes.
Status ApplySlruChange(const Change& change, Lsn lsn, std::vector<uint8_t>* page);

// The segments of an SLRU, in no order. None when there is no directory of that SLRU.
std::vector<uint32_t> SlruSegments(const BaseFiles& list, SlruKind kind);

// Commit timestamps are kept exactly when there are files of them (DeactivateCommitTs).
bool HasCommitTimestamps(const BaseFiles& list);

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_SLRU_PAGE_H_
