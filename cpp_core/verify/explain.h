// Every record that touches a page.
#ifndef NEON_REDO_VERIFY_EXPLAIN_H_
#define NEON_REDO_VERIFY_EXPLAIN_H_

#include <functional>
#include <string>

#include "neon_redo/error.h"
#include "neon_redo/ingest.h"
#include "neon_redo/page_key.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// A record in words, as pg_waldump prints it, and what it does to the page.
using ExplainSink = std::function<void(const std::string& record, const std::string& change)>;

// Calls the sink for each of the record's changes that concern the page. Returns how many there were.
uint64_t ExplainRecord(const WalRecord& record, const RecordView& view, const ChangeList& changes,
                       const PageKey& page, const ExplainSink& sink);

// Calls the sink for each change to the page, or to the relation, database or SLRU that it is of,
// in the order of WAL, which is read to its end. track_commit_timestamp: whether the cluster keeps them
// where WAL begins. Returns how many changes there were; errors as of WalReader.
Result<uint64_t> ExplainPage(WalReader* wal, bool track_commit_timestamp, const PageKey& page,
                             const ExplainSink& sink);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_EXPLAIN_H_
