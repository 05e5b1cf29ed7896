// Masks: the bytes of a page that PostgreSQL may change without WAL, blanked in both pages before
// a comparison. Without them no rebuilt page equals the page on disk: hint bits are set by readers,
// and redo leaves the free space as it finds it.
//
// All functions take exactly 8192 bytes, never touch a byte outside them however hostile the page,
// and are thread-safe.
#ifndef NEON_REDO_PG_MASK_H_
#define NEON_REDO_PG_MASK_H_

#include <cstdint>

#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

// The resource manager has a mask (rm_mask in access/rmgrlist.h).
constexpr bool HasMask(uint8_t rmid) {
  return (rmid >= kRmHeap2 && rmid <= kRmBrin) || rmid == kRmGeneric;
}

// What RmgrTable[rmid].rm_mask does to the page; for a resource manager without one, the LSN and
// the checksum alone. False when the header is not one of a page of this resource manager (the
// server raises an error, or would read past the page). The page is then masked in part, and can
// still be compared with another one masked by the same call.
bool MaskPage(uint8_t rmid, uint8_t* page, uint32_t block);

// Whether MaskPage would leave both pages equal, found without changing them and in a fraction of
// its time. True is certain, also after MaskUnlogged of both. After false, mask both and compare.
bool AreEqualMasked(uint8_t rmid, const uint8_t* a, const uint8_t* b, uint32_t block);

// The LSN and the checksum: they differ between a page as redo leaves it and the image in the
// record that made it.
void MaskLsnAndChecksum(uint8_t* page);

// The checksum alone: of two pages at rest the LSNs must agree.
void MaskChecksum(uint8_t* page);

// More for a page on disk than for an image in WAL: what the server itself need not mask because
// its images are taken when the record is made. See mask.cpp. Call before MaskPage.
void MaskUnlogged(uint8_t rmid, uint8_t* page, uint32_t block);

// What no server reads, though some minor releases write it, and not the same at redo as before: the
// flag F_TUPLES_DELETED of GiST pages (access/gist.h). The server's masks leave it. Call after
// MaskPage, for pages on disk and for images.
void MaskUnread(uint8_t rmid, uint8_t* page);

// The resource manager whose mask fits a page of which only full-page images are known, by the
// page's special area. Generic when nothing fits: an image leaves the free space out, so that must
// be masked in any case. XLOG, which has no mask, for a page without a valid header.
uint8_t GuessResourceManager(const uint8_t* page);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_MASK_H_
