// Plain code: Replay (replay.cpp), a record at a time. Test: test_a_run_of_inserts_equals_single_ones
// in tests/integration/test_worker.py. Benchmark: neon-redo bench, requests "medium".
//
// Half of the time of replaying a heap insert goes into finding the page and, when the page is
// nearly full, its free space map page. A multi-insert record finds them once for many tuples and
// leaves the same bytes (heap_xlog_insert and heap_xlog_multi_insert, access/heap/heapam.c). A run
// of inserts is therefore built into one XLOG_HEAP2_MULTI_INSERT, which PostgreSQL replays. That
// record has one inserting transaction for all tuples, so SetTransactions sets those that differ.
#include "src/worker/insert_run.h"

#include <cstring>

#include "src/server.h"
#include "src/worker/pages.h"
#include "src/worker/replay.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/htup_details.h"
}

namespace neon_redo {

namespace {

constexpr int kMaxTuples = MaxHeapTuplesPerPage;
constexpr size_t kMaxTupleData = MaxHeapTupleSize - SizeofHeapTupleHeader;

int tuples;
uint64_t last_lsn;
TransactionId xids[kMaxTuples];
// The main data and block data of the record under construction. A run with more data than fits
// into a page is ended early, and PostgreSQL then reports the error.
alignas(8) char main_data[SizeOfHeapMultiInsert + kMaxTuples * sizeof(OffsetNumber)];
alignas(8) char block_data[2 * BLCKSZ];
size_t block_data_length;

xl_heap_multi_insert* Head() { return reinterpret_cast<xl_heap_multi_insert*>(main_data); }

void NameRun(void*) {
  errcontext("WAL redo of %d heap inserts, the last of which ends at %X/%X", tuples,
             static_cast<uint32>(last_lsn >> 32), static_cast<uint32>(last_lsn));
}

bool IsPlainInsert(const RecordView& view, const BlockRef& block) {
  if (view.rmid() != RM_HEAP_ID || view.info() != XLOG_HEAP_INSERT) return false;
  if (view.max_block_id() != 0 || block.initialises() || block.tag.fork != kMainFork) return false;
  if (view.main_data().size() != SizeOfHeapInsert) return false;
  const uint8_t flags = view.main_data()[offsetof(xl_heap_insert, flags)];
  if (flags & (XLH_INSERT_ALL_VISIBLE_CLEARED | XLH_INSERT_ALL_FROZEN_SET)) return false;
  return block.data.size() > SizeOfHeapHeader &&
         block.data.size() <= SizeOfHeapHeader + kMaxTupleData;
}

void SetTransactions() {
  Page page = reinterpret_cast<Page>(TargetPage());
  for (int i = 1; i < tuples; i++) {
    if (xids[i] == xids[0]) continue;
    auto* tuple = reinterpret_cast<HeapTupleHeader>(
        PageGetItem(page, PageGetItemId(page, Head()->offsets[i])));
    HeapTupleHeaderSetXmin(tuple, xids[i]);
  }
}

}  // namespace

bool AddToInsertRun(const RecordView& view, const BlockRef& block, uint64_t end_lsn) {
  if (!IsPlainInsert(view, block)) return false;
  const Page page = reinterpret_cast<Page>(TargetPage());
  if (tuples == 0) {
    if (PageIsNew(page) || end_lsn <= PageGetLSN(page)) return false;
    block_data_length = 0;
  } else if (end_lsn <= last_lsn || tuples == kMaxTuples) {
    return false;
  }
  const size_t at = SHORTALIGN(block_data_length);
  const size_t length = block.data.size() - SizeOfHeapHeader;
  if (at + SizeOfMultiInsertTuple + length > sizeof(block_data)) return false;

  const auto header = LoadNative<xl_heap_header>(block.data.data());
  auto* tuple = reinterpret_cast<xl_multi_insert_tuple*>(block_data + at);
  tuple->datalen = static_cast<uint16>(length);
  tuple->t_infomask2 = header.t_infomask2;
  tuple->t_infomask = header.t_infomask;
  tuple->t_hoff = header.t_hoff;
  memcpy(block_data + at + SizeOfMultiInsertTuple, block.data.data() + SizeOfHeapHeader, length);
  block_data_length = at + SizeOfMultiInsertTuple + length;
  Head()->offsets[tuples] = LoadNative<OffsetNumber>(view.main_data().data());
  xids[tuples] = view.header().xid;
  last_lsn = end_lsn;
  tuples++;
  return true;
}

void ReplayInsertRun() {
  static ErrorContextCallback context = {nullptr, NameRun, nullptr};
  if (tuples == 0) return;
  error_context_stack = &context;
  Head()->flags = 0;
  Head()->ntuples = static_cast<uint16>(tuples);

  DecodedXLogRecord* record = Decoded();
  record->header.xl_rmid = RM_HEAP2_ID;
  record->header.xl_info = XLOG_HEAP2_MULTI_INSERT;
  record->header.xl_xid = xids[0];
  record->max_block_id = 0;
  DecodedBkpBlock* block = &record->blocks[0];
  block->in_use = true;
  block->has_image = block->apply_image = false;
  SetTargetReference(block);
  block->flags = BKPBLOCK_HAS_DATA;
  block->has_data = true;
  block->data = block_data;
  block->data_len = static_cast<uint16>(block_data_length);
  record->main_data = main_data;
  record->main_data_len = static_cast<uint32>(SizeOfHeapMultiInsert +
                                              static_cast<size_t>(tuples) * sizeof(OffsetNumber));
  Replay(last_lsn, 0, false, true);
  SetTransactions();
  tuples = 0;
  error_context_stack = nullptr;
}

void DropInsertRun() { tuples = 0; }

}  // namespace neon_redo
