// A record first changes the blocks it names; for most resource managers that is all. What some do
// beyond, in redo, to pages and files they do not name, is added by the members of Taker. An image
// makes its block whole, so nothing of the record is left to do there (but see
// ChangesRestoredPage).
#include "neon_redo/ingest.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"
#include "cpp_core/ingest/taker.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

// AdvanceNextFullTransactionIdPastXid (access/transam/varsup.c).
void AdvanceNextXid(uint32_t xid, uint64_t* next) {
  const auto ahead = static_cast<int32_t>(xid - static_cast<uint32_t>(*next));
  if (*next == 0 || xid < kFirstNormalXid || ahead < 0) return;
  *next += static_cast<uint32_t>(ahead) + 1;
  if (static_cast<uint32_t>(*next) < kFirstNormalXid)
    *next += kFirstNormalXid - static_cast<uint32_t>(*next);
}

}  // namespace

inline bool RelationTaker::TakeRelations() {
  switch (record_.rmid()) {
    case kRmHeap:
      return TakeHeap();
    case kRmHeap2:
      return TakeHeap2();
    case kRmXact:
      return TakeDroppedRelations();
    case kRmSmgr:
      return TakeSmgr();
    case kRmDbase:
      return TakeDatabase();
    default:
      return true;
  }
}

RecordFault TakeRelationChanges(const RecordView& record, ChangeList* changes) {
  changes->clear();
  RelationTaker taker(record, changes);
  return taker.TakeRelations() ? RecordFault() : taker.fault();
}

inline bool Ingest::Taker::TakeBeyondBlocks() {
  switch (record_.rmid()) {
    case kRmHeap:
      return TakeHeap();
    case kRmHeap2:
      return TakeHeap2();
    case kRmXact:
      return TakeXact();
    case kRmXlog:
      return TakeXlog();
    case kRmSmgr:
      return TakeSmgr();
    case kRmClog:
      return TakeClog();
    case kRmDbase:
      return TakeDatabase();
    case kRmTblspc:
      return TakeTablespace();
    case kRmMultiXact:
      return TakeMultiXact();
    case kRmRelMap:
      return TakeRelMap();
    case kRmCommitTs:
      return TakeCommitTs();
    default:
      return true;
  }
}

inline void Ingest::Taker::TakeBlocks() {
  // XLOG_FPI_FOR_HINT names blocks without an image when full_page_writes is off: no change.
  const bool only_images = record_.rmid() == kRmXlog;
  for (int id = 0; id <= record_.max_block_id(); id++) {
    const BlockRef* ref = record_.block(id);
    if (ref == nullptr || (only_images && !ref->apply_image)) continue;
    const bool is_image = ref->apply_image && !ChangesRestoredPage(id);
    Change& change =
        Push(is_image ? ChangeKind::kImage : ChangeKind::kRecord, PageKey::OfBlock(ref->tag));
    change.block_id = static_cast<uint8_t>(id);
    change.whole = ref->initialises();
    change.payload = is_image ? ref->image : record_.bytes();
  }
}

// gistRedoClearFollowRight (access/gist/gistxlog.c) also changes a page whose image was restored:
// the left page of a split that is finished (block 1) or that was itself split (block 0).
bool Ingest::Taker::ChangesRestoredPage(int id) const {
  namespace gist = layout::gist;
  return record_.rmid() == kRmGist && ((record_.info() == gist::kPageUpdate && id == 1) ||
                                       (record_.info() == gist::kPageSplit && id == 0));
}

RecordFault Ingest::Take(const RecordView& record, ChangeList* changes) {
  changes->clear();
  Taker taker(this, record, changes);
  if (record.max_block_id() >= 0) taker.TakeBlocks();
  if (!taker.TakeBeyondBlocks()) [[unlikely]]
    return taker.fault();
  AdvanceNextXid(record.header().xid, &state_.next_xid);
  counts_.records++;
  for (const Change& change : *changes) counts_.changes[static_cast<int>(change.kind)]++;
  if (changes->empty()) counts_.without_change[record.rmid()]++;
  if (!record.version().HasOperation(record.rmid(), record.info())) [[unlikely]]
    counts_.unknown[record.rmid()][record.info() >> 4]++;
  return {};
}

RecordFault Ingest::TakeBeyondBlocks(const RecordView& record, ChangeList* changes) {
  changes->clear();
  Taker taker(this, record, changes);
  if (!taker.TakeBeyondBlocks()) [[unlikely]]
    return taker.fault();
  AdvanceNextXid(record.header().xid, &state_.next_xid);
  return {};
}

Status Ingest::TakeAll(WalReader* reader, const ChangeSink& sink) {
  RETURN_IF_ERROR(pg::CheckComplete(reader->version(), "the WAL"));
  RecordView view(reader->version());
  ChangeList changes;
  WalRecord record;
  while (reader->Next(&record)) {
    if (view.Parse(record.bytes)) [[unlikely]]
      return ParseRecord(record, &view);
    if (RecordFault fault = Take(view, &changes)) {
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("invalid record at LSN {}: {} ({})", record.start.ToString(),
                                   fault.what, DescribeRecord(view, record.start)));
    }
    if (sink && !changes.empty()) {
      RETURN_IF_ERROR(sink(changes, view, record));
    }
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  return {};
}

bool RelationTaker::ReadSlruPage(uint32_t* page, size_t rest) {
  const Bytes data = record_.main_data();
  const bool is_long = record_.version().slru_page_number_size == sizeof(uint64_t);
  if (data.size() < record_.version().slru_page_number_size + rest) return TooShort();
  const uint64_t number =
      is_long ? LoadNative<uint64_t>(data.data()) : LoadNative<uint32_t>(data.data());
  *page = static_cast<uint32_t>(number);
  return *page == number || Wrong("it names a page that cannot be");
}

bool Ingest::Taker::PushZeroPage(SlruKind kind) {
  uint32_t page;
  if (!ReadSlruPage(&page)) return false;
  Push(ChangeKind::kZeroSlruPage, PageKey::OfSlruBlock(SlruBlockOfPage(kind, page)));
  return true;
}

void Ingest::Taker::PushTruncateSlru(SlruKind kind, uint32_t page) {
  Push(ChangeKind::kTruncateSlru, PageKey::OfSlruBlock({kind, 0, 0})).number = page;
}

}  // namespace neon_redo
