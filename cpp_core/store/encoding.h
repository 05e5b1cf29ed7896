// Changes as bytes that stand on their own: no record is needed beside them.
#ifndef NEON_REDO_STORE_ENCODING_H_
#define NEON_REDO_STORE_ENCODING_H_

#include <string>

#include "cpp_core/store/change_source.h"
#include "neon_redo/ingest.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Replaces *out. record is the one that the change is of.
void EncodeChange(const Change& change, const RecordView& record, std::string* out);

// What EncodeChange wrote. change.key is not part of it: the caller has it. image is filled for
// kImage, but for its tag. Both point into value. kCorrupt: these are not such bytes.
struct DecodedChange {
  Change change;
  BlockRef image;
};
Result<DecodedChange> DecodeChange(const PageKey& key, Bytes value);
// The same of what a ChangeSource gives, which must outlive the result.
Result<DecodedChange> DecodeStored(const PageKey& key, const StoredChange& stored);

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_ENCODING_H_
