// Commit and abort set the status of a transaction and its subtransactions, page by page of
// pg_xact, and with a commit the time in pg_commit_ts (TransactionIdSetTreeStatus in clog.c,
// TransactionTreeSetCommitTsData in commit_ts.c); then they drop relations (xact_redo_commit,
// xact_redo_abort).
#include "cpp_core/ingest/taker.h"
#include "cpp_core/ingest/xact_parts.h"
#include "cpp_core/pg/version.h"

namespace neon_redo {

namespace {

bool ReadArray(ByteReader* in, size_t item_size, Bytes* out) {
  int32_t count;
  return in->Read(&count) && count >= 0 &&
         in->ReadBytes(static_cast<size_t>(count) * item_size, out);
}

bool SkipText(ByteReader* in) {
  const void* end = std::memchr(in->position(), 0, in->remaining());
  return end != nullptr &&
         in->Skip(static_cast<size_t>(static_cast<const uint8_t*>(end) - in->position()) + 1);
}

}  // namespace

bool ReadParts(const RecordView& record, bool commit, XactParts* parts) {
  namespace xact = layout::xact;
  ByteReader in(record.main_data());
  uint32_t info = 0;
  Bytes unused;
  if (!in.Read(&parts->time)) return false;
  if (!(record.header().info & xact::kHasInfo)) return true;
  if (!in.Read(&info)) return false;
  if ((info & xact::kHasDatabase) && !in.Skip(xact::kDatabaseSize)) return false;
  if ((info & xact::kHasSubxacts) && !ReadArray(&in, 4, &parts->subxacts)) return false;
  if ((info & xact::kHasRelations) && !ReadArray(&in, sizeof(RelFileNode), &parts->relations))
    return false;
  if ((info & xact::kHasDroppedStats) &&
      !ReadArray(&in, record.version().dropped_stats_item_size, &unused))
    return false;
  if (commit && (info & xact::kHasInvalidations) &&
      !ReadArray(&in, xact::kInvalidationSize, &unused))
    return false;
  if (info & xact::kHasTwoPhase) {
    if (!in.Read(&parts->prepared_xid)) return false;
    if ((info & xact::kHasGid) && !SkipText(&in)) return false;
  }
  parts->has_origin = info & xact::kHasOrigin;
  return !parts->has_origin || (in.Read(&parts->origin_lsn) && in.Read(&parts->origin_time));
}

void RelationTaker::PushDrops(Bytes relations) {
  for (size_t at = 0; at < relations.size(); at += sizeof(RelFileNode)) {
    Push(ChangeKind::kDropRelation,
         PageKey::OfRelationSize(LoadNative<RelFileNode>(relations.data() + at), kMainFork));
  }
}

bool RelationTaker::TakeDroppedRelations() {
  namespace xact = layout::xact;
  const uint8_t operation = record_.info() & layout::kOperationMask;
  const bool commits = operation == xact::kCommit || operation == xact::kCommitPrepared;
  const bool aborts = operation == xact::kAbort || operation == xact::kAbortPrepared;
  if (!(commits || aborts) || !(record_.info() & xact::kHasInfo)) return true;
  XactParts parts;
  if (!ReadParts(record_, commits, &parts)) return TooShort();
  PushDrops(parts.relations);
  return true;
}

bool Ingest::Taker::TakeXact() {
  namespace xact = layout::xact;
  switch (record_.info() & layout::kOperationMask) {
    case xact::kCommit:
    case xact::kCommitPrepared:
      return TakeXactEnd(true);
    case xact::kAbort:
    case xact::kAbortPrepared:
      return TakeXactEnd(false);
    case xact::kPrepare: {
      xact::Prepare prepare;
      if (!Read(&prepare)) return false;
      Change& change = Push(ChangeKind::kPrepare, {});
      change.number = prepare.xid;
      change.payload = record_.main_data();
      return true;
    }
    default:
      return true;
  }
}

bool Ingest::Taker::TakeXactEnd(bool commit) {
  namespace xact = layout::xact;
  XactParts parts;
  if (!ReadParts(record_, commit, &parts)) return TooShort();
  const uint8_t operation = record_.info() & layout::kOperationMask;
  const bool prepared = operation == xact::kCommitPrepared || operation == xact::kAbortPrepared;
  const uint32_t xid = prepared ? parts.prepared_xid : record_.header().xid;
  if (prepared && xid == 0) return Wrong("it does not say which prepared transaction ends");
  if (commit && state_.track_commit_timestamp)
    PushXids(SlruKind::kCommitTs, ChangeKind::kCommitTs, xid, parts.subxacts,
             parts.has_origin ? parts.origin_time : parts.time);
  // An abort of a transaction without an xid is not logged, but its subtransaction's may be.
  PushXids(SlruKind::kClog, commit ? ChangeKind::kClogCommitted : ChangeKind::kClogAborted, xid,
           parts.subxacts, parts.time);
  PushDrops(parts.relations);
  if (prepared) Push(ChangeKind::kFinishPrepared, {}).number = xid;
  return true;
}

// One change for each page, and for each time the list comes back to a page.
void Ingest::Taker::PushXids(SlruKind slru, ChangeKind kind, uint32_t xid, Bytes subxacts,
                             int64_t time) {
  const uint32_t per_page = SlruEntriesPerPage(slru);
  auto xid_at = [&](size_t at) { return LoadNative<uint32_t>(subxacts.data() + at); };
  size_t at = 0;
  uint32_t head = xid;
  while (head != 0 || at < subxacts.size()) {
    const uint32_t first = head != 0 ? head : xid_at(at);
    const uint32_t page = first / per_page;
    const size_t begin = at;
    while (at < subxacts.size() && xid_at(at) / per_page == page) at += 4;
    Change& change = Push(kind, SlruKeyOfEntry(slru, first));
    change.number = head;
    change.number2 = slru == SlruKind::kCommitTs ? record_.origin() : 0;
    change.payload = subxacts.subspan(begin, at - begin);
    change.time = time;
    head = 0;
  }
}

bool Ingest::Taker::TakeClog() {
  namespace clog = layout::clog;
  if (record_.info() == clog::kZeroPage) return PushZeroPage(SlruKind::kClog);
  if (record_.info() != clog::kTruncate) return true;
  uint32_t page;
  if (!ReadSlruPage(&page, sizeof(clog::TruncateRest))) return false;
  PushTruncateSlru(SlruKind::kClog, page);
  return true;
}

bool Ingest::Taker::TakeCommitTs() {
  namespace commit_ts = layout::commit_ts;
  if (record_.info() == commit_ts::kZeroPage) return PushZeroPage(SlruKind::kCommitTs);
  if (record_.info() != commit_ts::kTruncate) return true;
  uint32_t page;
  if (!ReadSlruPage(&page, sizeof(commit_ts::TruncateRest))) return false;
  PushTruncateSlru(SlruKind::kCommitTs, page);
  return true;
}

}  // namespace neon_redo
