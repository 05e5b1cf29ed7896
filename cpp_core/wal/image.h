// Full-page images in WAL records.
#ifndef NEON_REDO_WAL_IMAGE_H_
#define NEON_REDO_WAL_IMAGE_H_

#include <cstdint>

#include "cpp_core/base/error.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

// Writes the page that the reference's image stands for to page[0 .. kBlockSize): decompresses it
// and fills the hole with zeroes (RestoreBlockImage in access/transam/xlogreader.c). Does not set
// the page's LSN. kInvalidArgument: the reference has no image. kCorrupt: the image does not
// decompress to the length it must have; page is unspecified then. The message names relation, fork
// and block. Thread-safe.
Status RestoreImage(const BlockRef& ref, uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_IMAGE_H_
