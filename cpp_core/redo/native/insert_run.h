// Runs of plain heap inserts, the bulk of much WAL, without parsing each record in full.
#ifndef NEON_REDO_REDO_NATIVE_INSERT_RUN_H_
#define NEON_REDO_REDO_NATIVE_INSERT_RUN_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "neon_redo/block.h"
#include "neon_redo/worker.h"

namespace neon_redo::native {

// Applies the plain inserts into the block at the front of records and returns how many there were.
// It stops at the first record that is anything else, or that does not fit the page: that one is
// for ApplyNative to judge. The page has content.
size_t ApplyInsertRun(const BlockTag& tag, std::span<const RedoRecord> records, uint8_t* page);

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_INSERT_RUN_H_
