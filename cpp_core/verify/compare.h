// Two pages that must be equal but for what PostgreSQL may change without WAL.
#ifndef NEON_REDO_VERIFY_COMPARE_H_
#define NEON_REDO_VERIFY_COMPARE_H_

#include <cstdint>
#include <optional>

#include "neon_redo/block.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// The server's own check (verifyBackupPageConsistency in access/transam/xlogrecovery.c): rebuilt,
// a page as redo left it, and image, the one in the record of this resource manager. Returns the
// offset of the first byte that differs after masking. Masks rebuilt in place, unless they are
// equal.
std::optional<uint32_t> CompareWithImage(uint8_t rmid, const BlockTag& tag, uint8_t* rebuilt,
                                         const uint8_t* image);

// A rebuilt page and the page at rest on disk. Stricter than the check against images in one thing,
// the LSN: it must be the rebuilt one. More lenient where the server changes pages without a
// record, see MaskUnlogged. Masks rebuilt in place, unless they are equal or their LSNs are not.
//
// hint_lsn, 0 for none: when higher than the rebuilt one, the end of a later record that may or may
// not move the page's LSN. When lower, the LSN before records that log hints, each of which may or
// may not have moved it; but the hints must be there, or a write was lost.
//
// The visibility map has no bytes that may differ; the init fork's LSN does not count, nor
// that of a page of a sorted GiST build, as the server writes those pages before it logs them
// (btbuildempty and others, gist_indexsortbuild_flush_ready_pages).
std::optional<uint32_t> CompareWithDisk(uint8_t rmid, const BlockTag& tag, Lsn hint_lsn,
                                        uint8_t* rebuilt, const uint8_t* disk);

// Masks in a relation's page what may differ between a rebuilt one and one at rest.
void MaskForDisk(uint8_t rmid, const BlockTag& tag, uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_COMPARE_H_
