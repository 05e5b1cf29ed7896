// The native engine where it can, a worker where it cannot: the one place that decides. What is
// done about a record for a worker is the caller's: ask one now, gather a batch, or queue it.
#ifndef NEON_REDO_REDO_APPLY_H_
#define NEON_REDO_REDO_APPLY_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "neon_redo/error.h"
#include "neon_redo/native.h"
#include "neon_redo/record.h"
#include "neon_redo/worker.h"

namespace neon_redo {

enum class ApplyOutcome : uint8_t {
  kApplied,      // the native engine has applied it
  kForWorker,    // a worker must apply it, over Applied::base
  kSpoilt,       // the same, but the page is spoilt, and no copy of it was kept
  kUnsupported,  // with Engine::kNative: no worker may be asked; the page is as it was
  kMalformed,    // with Engine::kNative: record and page do not fit; the page is spoilt
};

struct Applied {
  ApplyOutcome outcome;
  const uint8_t* base = nullptr;  // kForWorker: the page before the record; null: it needs none
};

// Applies a record to the block of its block reference `id`. page: kBlockSize bytes at a multiple
// of 8, changed in place; null when there is no page and the record does not make one. have_page:
// the page has content. copy: kBlockSize bytes, where the page is kept as it was, for the rare case
// that the native engine spoils it; null: it is not kept. counts: of the record's resource manager
// and operation. Thread-safe.
inline Applied ApplyRecord(Engine engine, const RecordView& view, int id, Lsn end, uint8_t* page,
                           bool have_page, uint8_t* copy, ChangeCounts* counts) {
  const bool initialises = view.block(id)->initialises();
  const uint8_t* base = initialises || !have_page ? nullptr : page;
  if (engine == Engine::kWorker) {
    counts->chosen++;
    return {ApplyOutcome::kForWorker, base};
  }
  if (copy != nullptr && base != nullptr) std::memcpy(copy, base, kBlockSize);
  const NativeResult result =
      page == nullptr ? NativeResult::kUnsupported : ApplyNative(view, id, end, page, have_page);
  if (result == NativeResult::kApplied) [[likely]] {
    counts->native++;
    return {ApplyOutcome::kApplied};
  }
  const bool malformed = result == NativeResult::kMalformed;
  (malformed ? counts->malformed : counts->unsupported)++;
  if (engine == Engine::kNative)
    return {malformed ? ApplyOutcome::kMalformed : ApplyOutcome::kUnsupported};
  if (!malformed || base == nullptr) return {ApplyOutcome::kForWorker, base};
  if (copy != nullptr) return {ApplyOutcome::kForWorker, copy};
  return {ApplyOutcome::kSpoilt};
}

// What became of a run of records of one block.
struct AppliedRun {
  size_t applied;        // of the first records: they are in the page
  size_t for_worker;     // of the records after those: one request to a worker has them all
  ApplyOutcome outcome;  // of records[applied], or kApplied when all are applied
};

// Applies the records, in order, to the block `tag`, as far as the native engine can. Then the
// records up to the last one that the native engine does not support are for a worker: a request to
// it costs more than the supported records in between. The caller applies the rest of the run
// afterwards. The base of the worker's request is the page, or nothing when there is none yet.
//
// kSpoilt: no record of the page counts, and a worker must start from the page's base.
// kUnsupported, kMalformed: only with Engine::kNative. view: scratch.
AppliedRun ApplyRun(Engine engine, const BlockTag& tag, std::span<const RedoRecord> records,
                    uint8_t* page, bool have_page, RecordView* view);

// Applies one record and returns with the page as of it: a worker that is needed is asked at once.
// page: as of ApplyRecord, but never null; unspecified after an error. *by_worker: whether a worker
// has done it. Errors: the worker's (RedoWorker::Redo); with Engine::kNative, kUnsupported and
// kCorrupt.
Status ApplyNow(Engine engine, const RecordView& view, int id, Lsn end, uint8_t* page,
                bool have_page, RedoWorker* worker, bool* by_worker);

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_APPLY_H_
