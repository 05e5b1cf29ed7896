#include "cpp_core/verify/recent_wal.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/running_look.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

Status RecentWal::Read(const WalSet& wal, uint32_t timeline, Lsn from, uint64_t next_full_xid,
                       bool track_commit_timestamp) {
  ingest_ = Ingest(IngestOptions{track_commit_timestamp});
  ASSIGN_OR_RETURN(const auto reader, OpenWal(wal, {.from = from, .to = {}, .timeline = timeline}));
  // What the server had written when the segments were listed ends in the last of them, or soon after.
  const Lsn enough = from + reader->bytes_total() + reader->segment_size();
  WalRecord record;
  while (reader->Next(&record)) {
    RETURN_IF_ERROR(Take(record, next_full_xid));
    if (reader->bytes_total() > 0 && record.start > enough) break;
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  end_ = reader->end_of_wal();
  return {};
}

Status RecentWal::Take(const WalRecord& record, uint64_t next_full_xid) {
  RETURN_IF_ERROR(ParseRecord(record, &view_));
  if (const RecordFault fault = ingest_.TakeBeyondBlocks(view_, &others_))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  for (int id = 0; id <= view_.max_block_id(); id++)
    if (const BlockRef* ref = view_.block(id); ref != nullptr && wanted_.contains(ref->tag))
      blocks_.insert(ref->tag);
  for (const Change& change : others_) TakeChange(change, record.start, next_full_xid);
  return {};
}

void RecentWal::TakeChange(const Change& change, Lsn start, uint64_t next_full_xid) {
  if (change.key.field1 == PageKey::kSlru) {
    const auto block = change.key.ToSlruBlock();
    if (!block) return;
    if (ChangesPage(change.kind)) {
      slru_pages_.emplace(SlruFile(block->kind, block->segment), block->block);
    } else {
      slru_removals_.push_back(change);
      slru_removals_.back().payload = {};
    }
    return;
  }
  switch (change.kind) {
    case ChangeKind::kClearVisibility:
    case ChangeKind::kTruncateVisibility:
      if (wanted_.contains(BlockOf(change))) blocks_.insert(BlockOf(change));
      return;
    case ChangeKind::kCreateFork:
    case ChangeKind::kTruncateFork:
    case ChangeKind::kDropRelation:
      relations_.insert(RelationOf(change));
      return;
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      databases_.insert(RelationOf(change).db);
      return;
    case ChangeKind::kRelationMap:
      maps_.emplace(change.key.field2, change.key.field3);
      return;
    case ChangeKind::kPrepare:
    case ChangeKind::kFinishPrepared:
      states_.insert(pg::TwoPhasePath(version_, change.number, next_full_xid));
      return;
    case ChangeKind::kCheckpoint:
      if (change.flags != 0) restarts_.push_back(start);
      return;
    case ChangeKind::kTimeline:
      restarts_.push_back(start);
      return;
    default:
      return;
  }
}

Lsn RecentWal::RestartAfter(Lsn lsn) const {
  const auto found = std::find_if(restarts_.begin(), restarts_.end(),
                                  [lsn](Lsn restart) { return restart > lsn; });
  return found == restarts_.end() ? Lsn() : *found;
}

bool RecentWal::Excuses(const Mismatch& mismatch) const {
  const RelFileNode& rel = mismatch.tag.rel;
  if (rel.rel == 0) return ChangesFile(mismatch);
  if (ChangesRelation(rel)) return true;
  // Records that add a block or change one leave no file shorter.
  const bool is_page = DamagesPage(mismatch.damage) && mismatch.tag.block != kNoBlockNumber;
  return is_page && Changes(mismatch.tag);
}

// Of what is no relation's file.
bool RecentWal::ChangesFile(const Mismatch& mismatch) const {
  const RelFileNode& of = mismatch.tag.rel;
  if (of.spc != 0 || of.db != 0)
    return databases_.contains(of.db) || maps_.contains({of.spc, of.db});
  if (states_.contains(mismatch.file)) return true;
  for (int number = 0; number < kSlruKinds; number++) {
    const auto kind = static_cast<SlruKind>(number);
    const std::string below = fmt::format("{}/", SlruDirectory(kind));
    if (!mismatch.file.starts_with(below)) continue;
    const auto segment = ParseSlruSegment(mismatch.file.substr(below.size()));
    if (!segment) return false;
    const auto page = slru_pages_.lower_bound({mismatch.file, 0});
    const bool is_whole = mismatch.tag.block == kNoBlockNumber;
    const bool is_changed = is_whole ? page != slru_pages_.end() && page->first == mismatch.file
                                     : slru_pages_.contains({mismatch.file, mismatch.tag.block});
    return is_changed ||
           std::any_of(slru_removals_.begin(), slru_removals_.end(), [&](const Change& removal) {
             return removal.key.field2 == static_cast<uint32_t>(kind) &&
                    RemovesSlruSegment(removal, kind, *segment);
           });
  }
  return false;
}

}  // namespace neon_redo
