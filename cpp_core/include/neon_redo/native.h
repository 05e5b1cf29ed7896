// The native engine: redo of PostgreSQL's common WAL records in the caller's thread. It changes
// a block exactly as the server's redo routines do, except for the unused space between pd_lower
// and pd_upper. It leaves what it does not support, or does not understand, to a worker (worker.h).
// docs/native.md lists the records.
//
// Records and pages are not trusted: each offset, length, item number and special area is checked
// before it is used. Nothing allocates, throws or asserts. All functions are thread-safe: they have
// no state but their arguments.
//
//   alignas(8) uint8_t page[neon_redo::kBlockSize];
//   const auto result = neon_redo::ApplyNative(view, 0, record.end, page, false);
//   if (result != neon_redo::NativeResult::kApplied) UseWorker();
#ifndef NEON_REDO_NATIVE_H_
#define NEON_REDO_NATIVE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Which engine applies PostgreSQL's records.
enum class Engine : uint8_t {
  // The native engine applies the records that it supports, in this process. A sandboxed worker
  // applies the others, and its answer is final.
  kAuto,
  // The native engine alone: no PostgreSQL is needed. What the native engine leaves to workers is
  // an error: kUnsupported for a record it has no code for, kCorrupt for one that does not fit.
  kNative,
  // Workers alone.
  kWorker,
};

// One WAL record to apply, and the LSN the page gets by it: the end of the record (EndRecPtr).
struct RedoRecord {
  Lsn end;
  Bytes record;
};

enum class NativeResult : uint8_t {
  kApplied,  // the page is what the server's redo would have left (perhaps unchanged: redo skips
             // a record that is not newer than the page)
  kUnsupported,  // not for this engine; the page is as it was
  kMalformed,    // record and page do not fit, or are stranger than this engine cares to judge; the
                 // page is spoilt: start the request again from its base, with a worker
};
inline constexpr size_t kNativeResults = 3;

// The engine has code for what this record does to this block. It may still say kUnsupported, for a
// page that is all zeroes and not initialised by the record, and kMalformed.
bool NativeSupports(const RecordView& view, int block_id);
bool NativeSupports(const RecordView& view, const BlockTag& tag);

// Applies the record to block block_id of its references. page: kBlockSize bytes at a multiple of
// 8. have_page: the page has content; without, the record must initialise it. The CRC is not
// checked: the reader of the record has verified it.
NativeResult ApplyNative(const RecordView& view, int block_id, Lsn end_lsn, uint8_t* page,
                         bool have_page);

// What became of records: one count for each resource manager, operation and result.
// Not thread-safe: one for each thread.
struct NativeCounters {
  // The operation as its four bits, xl_info >> 4.
  uint64_t counts[256][16][kNativeResults] = {};

  void Add(uint8_t rmid, uint8_t info, NativeResult result, uint64_t n = 1) {
    counts[rmid][info >> 4][static_cast<size_t>(result)] += n;
  }
};

// What became of a run of records: the first `applied` of them are in the page. `result` is
// kApplied when that is all of them, else it is that of records[applied].
struct NativeRun {
  size_t applied;
  NativeResult result;
};

// Applies records in order to the block `tag` until one is not applied. As ApplyNative for each of
// them, but quicker for runs of heap inserts. A record that does not parse, or does not refer to
// the block, is kUnsupported. view: scratch, its content is unspecified afterwards. counters may be
// null.
NativeRun ApplyNativeRun(const BlockTag& tag, std::span<const RedoRecord> records, uint8_t* page,
                         bool have_page, RecordView* view, NativeCounters* counters);

// Changes by the engine that applied them; for a worker also why the native engine did not. A
// record makes one change for each block that it changes.
struct ChangeCounts {
  uint64_t native = 0;       // applied in this process
  uint64_t unsupported = 0;  // the native engine has no code for it
  uint64_t malformed = 0;    // record and page do not fit, by the native engine's judgement
  uint64_t behind = 0;       // supported, but after one of the same block that was not
  uint64_t chosen = 0;       // the native engine was not asked (engine = worker)

  uint64_t total() const { return native + unsupported + malformed + behind + chosen; }
  void Add(const ChangeCounts& other) {
    native += other.native;
    unsupported += other.unsupported;
    malformed += other.malformed;
    behind += other.behind;
    chosen += other.chosen;
  }
};

// A value of about 160 kB. Not thread-safe: one for each thread, added up.
struct EngineCounts {
  // By resource manager and operation (xl_info >> 4).
  std::array<std::array<ChangeCounts, 16>, 256> of{};

  ChangeCounts& At(uint8_t rmid, uint8_t info) { return of[rmid][info >> 4]; }
  ChangeCounts Total() const {
    ChangeCounts sum;
    for (const auto& operations : of)
      for (const ChangeCounts& c : operations) sum.Add(c);
    return sum;
  }
  void Add(const EngineCounts& other) {
    for (size_t rmid = 0; rmid < of.size(); rmid++)
      for (size_t op = 0; op < of[rmid].size(); op++) of[rmid][op].Add(other.of[rmid][op]);
  }
};

}  // namespace neon_redo

#endif  // NEON_REDO_NATIVE_H_
