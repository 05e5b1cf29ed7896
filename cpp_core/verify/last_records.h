// Describes the records that mismatches name by their LSN.
#ifndef NEON_REDO_VERIFY_LAST_RECORDS_H_
#define NEON_REDO_VERIFY_LAST_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/verify.h"

namespace neon_redo {

class WalSet;  // cpp_core/archive/wal_set.h

// Sets last_record of those with last_start, by reading the WAL there once more. The mismatches are
// in the order of LSNs. Errors as of WalReader.
Status DescribeLastRecords(const WalSet& wal, std::optional<uint32_t> timeline,
                           std::vector<Mismatch>* mismatches);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LAST_RECORDS_H_
