// Two pages that must be equal but for what PostgreSQL may change without WAL.
#ifndef NEON_REDO_VERIFY_COMPARE_H_
#define NEON_REDO_VERIFY_COMPARE_H_

#include <cstdint>
#include <optional>

#include "cpp_core/replay/tolerated_lsn.h"
#include "neon_redo/block.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// The server's own check (verifyBackupPageConsistency in access/transam/xlogrecovery.c): rebuilt,
// a page as redo left it, and image, the one in the record of this resource manager. Returns the
// offset of the first byte that differs after masking. Masks rebuilt in place, unless they are
// equal.
std::optional<uint32_t> CompareWithImage(uint8_t rmid, const BlockTag& tag, uint8_t* rebuilt,
                                         const uint8_t* image);

// What is known of the page on disk beside the rebuilt page.
struct AtRest {
  ToleratedLsn tolerated{};
  Lsn last{};  // the end of the block's last record
  HintLogging hints = HintLogging::kChanged;
  bool only_images = false;  // the last record brings an image of any page (resource manager XLOG)
  bool any_side = false;     // the first page is not rebuilt: either may be as the server wrote it
};

// Whether the page on disk has an LSN that it may have. rebuilt is not masked.
bool IsLsnRight(const BlockTag& tag, uint8_t rmid, const AtRest& at_rest, const uint8_t* rebuilt,
                const uint8_t* disk);

// A rebuilt page and the page at rest on disk, after masking. Stricter than the check against images
// in one thing, the LSN: see AtRest. More lenient where the server changes pages without a record,
// see MaskUnlogged. DifferenceAtRest has what both leave out.
//
// The visibility map has no bytes that may differ. Pages of an init fork may have no LSN, and those
// of a sorted GiST build the LSN 0/1 until a record changes them: the server writes such pages before
// it logs them (btbuildempty and others, gist_indexsortbuild_flush_ready_pages).
std::optional<uint32_t> CompareWithDisk(uint8_t rmid, const BlockTag& tag, const AtRest& at_rest,
                                        const uint8_t* rebuilt, const uint8_t* disk);

// Masks in a relation's page what may differ between a rebuilt one and one at rest.
void MaskForDisk(uint8_t rmid, const BlockTag& tag, uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_COMPARE_H_
