// Pages of SLRUs: where they lie, and what changes do to them.
#ifndef NEON_REDO_STORE_SLRU_PAGE_H_
#define NEON_REDO_STORE_SLRU_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// The directory of an SLRU in a data directory, "pg_xact".
const char* SlruDirectory(SlruKind kind);
// Path of a segment below the data directory, "pg_xact/000A".
std::string SlruFile(SlruKind kind, uint32_t segment);
// A page of an SLRU's files below a data directory; false when it is not there.
Result<bool> ReadSlruPage(const std::string& data_directory, const SlruBlock& block, uint8_t* page);

// Whether this change, of a kind that removes segments, removes this one.
bool RemovesSlruSegment(const Change& change, SlruKind kind, uint32_t segment);

// Applies a change to the SLRU's page that its key names. The page may get longer, by a timestamp
// behind it; the front of it is the page.
Status ApplySlruChange(const Change& change, Lsn lsn, std::vector<uint8_t>* page);

// Commit timestamps are kept exactly when there are files of them (DeactivateCommitTs).
bool HasCommitTimestamps(const std::string& data_directory);

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_SLRU_PAGE_H_
