// Records applied without the image that they bring.
#ifndef NEON_REDO_REDO_NATIVE_WITHOUT_IMAGE_H_
#define NEON_REDO_REDO_NATIVE_WITHOUT_IMAGE_H_

#include <cstdint>

#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Applies the record to the page as if it had no image of the block, where it has all that this
// needs. The server leaves a block's data out of a record that brings the block's image, unless the
// data are for logical decoding (XLogRecordAssemble in access/transam/xloginsert.c). So nothing is
// known of a change that the data describe. page: kBlockSize bytes, of before the record. False: the
// record lacks something, or the native engine has no code for it; the page is unspecified then.
// Thread-safe.
bool ApplyWithoutImage(const RecordView& view, int block_id, Lsn end_lsn, uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_NATIVE_WITHOUT_IMAGE_H_
