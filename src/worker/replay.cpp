#include "src/worker/replay.h"

#include "src/worker/pages.h"

namespace neon_redo {

namespace {

XLogReaderState* reader;
MemoryContext record_context;  // the current context of the worker, reset after each record
alignas(DecodedXLogRecord) char decoded_space[sizeof(DecodedXLogRecord) +
                                              (XLR_MAX_BLOCK_ID + 1) * sizeof(DecodedBkpBlock)];

}  // namespace

DecodedXLogRecord* Decoded() { return reinterpret_cast<DecodedXLogRecord*>(decoded_space); }

XLogReaderState* Reader() { return reader; }

void InitReplay() {
  static XLogReaderRoutine no_input = {};  // this reader reads no WAL
  reader = XLogReaderAllocate(wal_segment_size, nullptr, &no_input, nullptr);
  if (reader == nullptr) ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  reader->record = Decoded();
  record_context =
      AllocSetContextCreate(TopMemoryContext, "WAL redo record", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(record_context);
}

void Replay(uint64_t end_lsn, int target_id, bool in_pool, bool have_page) {
  DecodedXLogRecord* record = Decoded();
  reader->ReadRecPtr = reader->EndRecPtr = record->lsn = end_lsn;
  PlacePages(record, target_id, in_pool, have_page);
  RmgrTable[record->header.xl_rmid].rm_redo(reader);
  if (!record_context->isReset) MemoryContextReset(record_context);
  if (XLogHaveInvalidPages()) REFUSE("the record needs a page that is not there");
  TakeTargetBack();
}

}  // namespace neon_redo
