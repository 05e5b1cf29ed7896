// A record first changes the blocks it names; for most resource managers that is all. What some do
// beyond, in redo, to pages and files they do not name, is added by the members of Taker. An image
// makes its block whole, so nothing of the record is left to do there (but see
// ChangesRestoredPage).
#include "neon_redo/ingest.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"
#include "cpp_core/ingest/taker.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

// Operations that PostgreSQL 15 has, by resource manager: a bit for each value of the high four
// bits of xl_info. Where the highest is a flag, with and without it (access/rmgrlist.h and the
// headers of the resource managers).
constexpr uint16_t Operations(std::initializer_list<int> operations) {
  uint16_t bits = 0;
  for (int operation : operations) bits = static_cast<uint16_t>(bits | 1 << operation);
  return bits;
}
constexpr uint16_t kAll = 0xffff;
constexpr uint16_t kOperations[kMaxBuiltinRmgr + 1] = {
    /* XLOG */ Operations({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}),
    /* Transaction */ Operations({0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14}),
    /* Storage */ Operations({1, 2}),
    /* CLOG */ Operations({0, 1}),
    /* Database */ Operations({0, 1, 2}),
    /* Tablespace */ Operations({0, 1}),
    /* MultiXact */ Operations({0, 1, 2, 3}),
    /* RelMap */ Operations({0}),
    /* Standby */ Operations({0, 1, 2}),
    /* Heap2 */ kAll,
    /* Heap */ kAll,
    /* Btree */ Operations({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}),
    /* Hash */ Operations({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
    /* Gin */ Operations({1, 2, 3, 4, 5, 6, 7, 8, 9}),
    /* Gist */ Operations({0, 1, 2, 3, 6, 7}),
    /* Sequence */ Operations({0}),
    /* SPGist */ Operations({1, 2, 3, 4, 5, 6, 7, 8}),
    /* BRIN */ Operations({0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13}),
    /* CommitTs */ Operations({0, 1}),
    /* ReplicationOrigin */ Operations({0, 1}),
    /* Generic */ Operations({0}),
    /* LogicalMessage */ Operations({0}),
};

bool IsKnown(uint8_t rmid, int operation) {
  return rmid <= kMaxBuiltinRmgr && (kOperations[rmid] >> operation & 1);
}

// AdvanceNextFullTransactionIdPastXid (access/transam/varsup.c).
void AdvanceNextXid(uint32_t xid, uint64_t* next) {
  const auto ahead = static_cast<int32_t>(xid - static_cast<uint32_t>(*next));
  if (*next == 0 || xid < kFirstNormalXid || ahead < 0) return;
  *next += static_cast<uint32_t>(ahead) + 1;
  if (static_cast<uint32_t>(*next) < kFirstNormalXid)
    *next += kFirstNormalXid - static_cast<uint32_t>(*next);
}

}  // namespace

inline bool Ingest::Taker::Take() {
  if (record_.max_block_id() >= 0) TakeBlocks();
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

// gistRedoClearFollowRight (access/gist/gistxlog.c) goes on where an image was restored: the left
// page of a split that is finished (block 1) or that was itself split (block 0).
bool Ingest::Taker::ChangesRestoredPage(int id) const {
  constexpr uint8_t kPageUpdate = 0x00;  // XLOG_GIST_PAGE_UPDATE, access/gistxlog.h
  constexpr uint8_t kPageSplit = 0x30;   // XLOG_GIST_PAGE_SPLIT
  return record_.rmid() == kRmGist &&
         ((record_.info() == kPageUpdate && id == 1) || (record_.info() == kPageSplit && id == 0));
}

RecordFault Ingest::Take(const RecordView& record, ChangeList* changes) {
  changes->clear();
  Taker taker(this, record, changes);
  if (!taker.Take()) [[unlikely]]
    return {taker.what(), static_cast<uint32_t>(record.bytes().size() - record.main_data().size())};
  AdvanceNextXid(record.header().xid, &state_.next_xid);
  counts_.records++;
  if (changes->empty()) counts_.without_change[record.rmid()]++;
  const int operation = record.header().info >> 4;
  if (!IsKnown(record.rmid(), operation)) [[unlikely]]
    counts_.unknown[record.rmid()][operation]++;
  return {};
}

Status Ingest::TakeAll(WalReader* reader, const ChangeSink& sink) {
  RecordView view;
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

bool Ingest::Taker::PushZeroPage(SlruKind kind) {
  uint32_t page;
  if (!Read(&page)) return false;
  Push(ChangeKind::kZeroSlruPage, PageKey::OfSlruBlock(SlruBlockOfPage(kind, page)));
  return true;
}

void Ingest::Taker::PushTruncateSlru(SlruKind kind, uint32_t page) {
  Push(ChangeKind::kTruncateSlru, PageKey::OfSlruBlock({kind, 0, 0})).number = page;
}

}  // namespace neon_redo
