// The index says which records concern a key. What such a record does to it is found again by Ingest.
// Most changes follow from the record alone. Whether a record begins a page of pg_multixact/offsets or
// changes one of pg_commit_ts depends on a few others, which are then taken, too, in their order.
#include "cpp_core/index/indexed_changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/wal/open.h"

namespace neon_redo {

namespace {

bool IsSlruPage(const PageKey& key, SlruKind kind) {
  return key.field1 == PageKey::kSlru && key.field2 == static_cast<uint32_t>(kind) &&
         key.field3 == PageKey::kSlruPage;
}

bool StartsBefore(const IndexEntry& a, const IndexEntry& b) { return a.start < b.start; }

}  // namespace

IndexedChanges::IndexedChanges(WalIndex* index, Lsn from, bool track_commit_timestamp,
                               size_t threads)
    : index_(*index),
      from_(from),
      track_commit_timestamp_(track_commit_timestamp),
      records_(*index, threads),
      ingest_({.track_commit_timestamp = true}) {}

Status IndexedChanges::Read(Lsn start, Ingest* ingest) {
  RETURN_IF_ERROR(records_.Read(start));
  ASSIGN_OR_RETURN(changes_, records_.Changes(ingest));
  return {};
}

Status IndexedChanges::CheckWalLevel(Lsn lsn) {
  ASSIGN_OR_RETURN(const auto entries,
                   index_.GetAll(ClusterKey(ChangeKind::kParameters), from_, lsn));
  for (const IndexEntry& entry : entries) {
    RETURN_IF_ERROR(Read(entry.start, &ingest_));
    if (records_.record().end > lsn) break;
    for (const Change& change : *changes_)
      if (change.kind == ChangeKind::kParameters)
        RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, entry.start));
  }
  return {};
}

void IndexedChanges::Append(const PageKey& key, std::vector<StoredChange>* out) {
  for (uint32_t i = 0; i < changes_->size(); i++) {
    const Change& change = (*changes_)[i];
    ForEachKey(change, [&](const PageKey& of, bool makes_whole) {
      if (of != key) return;
      if (makes_whole) out->clear();
      out->push_back({records_.record().end, i, makes_whole, {}});
      EncodeChange(change, records_.view(), &out->back().value);
    });
  }
}

// The entries of a page whose changes depend on other records, and these.
Result<std::vector<IndexEntry>> IndexedChanges::WithStateOf(const PageKey& key, Lsn lsn) {
  ASSIGN_OR_RETURN(auto out, index_.GetAll(key, from_, lsn));
  if (IsSlruPage(key, SlruKind::kMultixactOffsets)) {
    ASSIGN_OR_RETURN(const auto pages, index_.GetAll(kOffsetsPagesKey, from_, lsn));
    out.insert(out.end(), pages.begin(), pages.end());
  } else {
    // A server that begins to keep timestamps makes the page of its next transaction, which follows from
    // the checkpoint before.
    ASSIGN_OR_RETURN(const auto settings,
                     index_.GetAll(ClusterKey(ChangeKind::kParameters), from_, lsn));
    for (const IndexEntry& setting : settings) {
      out.push_back(setting);
      ASSIGN_OR_RETURN(const auto checkpoints,
                       index_.GetAll(ClusterKey(ChangeKind::kCheckpoint), from_, setting.start));
      if (!checkpoints.empty()) out.push_back(checkpoints.back());
    }
  }
  std::sort(out.begin(), out.end(), StartsBefore);
  const auto same = [](const IndexEntry& a, const IndexEntry& b) { return a.start == b.start; };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  return out;
}

// Whatever they are about: for the next transaction, which each moves on.
Status IndexedChanges::TakeAllBetween(Lsn from, Lsn to, Ingest* ingest) {
  ASSIGN_OR_RETURN(const auto reader,
                   OpenWal(index_.wal(), {.from = from, .timeline = index_.timeline()}));
  RecordView view(*index_.identity().version);
  ChangeList changes;
  for (WalRecord record; reader->Next(&record) && record.start < to;) {
    RETURN_IF_ERROR(ParseRecord(record, &view));
    if (const RecordFault fault = ingest->Take(view, &changes))
      return MakeError(ErrorCode::kCorrupt, fmt::format("invalid record at LSN {}: {}",
                                                        record.start.ToString(), fault.what));
  }
  return reader->error() ? Status(tl::unexpected(*reader->error())) : Status();
}

Result<std::vector<StoredChange>> IndexedChanges::GetInOrder(const PageKey& key, Lsn lsn) {
  std::vector<StoredChange> out;
  Ingest ingest({.track_commit_timestamp = track_commit_timestamp_});
  ASSIGN_OR_RETURN(const auto entries, WithStateOf(key, lsn));
  ASSIGN_OR_RETURN(const auto settings,
                   index_.GetAll(ClusterKey(ChangeKind::kParameters), from_, lsn));
  // Behind the last checkpoint, if the server went on after it: so it did until a promotion.
  Lsn unknown;
  for (const IndexEntry& entry : entries) {
    const bool is_setting =
        std::binary_search(settings.begin(), settings.end(), entry, StartsBefore);
    if (is_setting && unknown.valid() && !ingest.state().track_commit_timestamp)
      RETURN_IF_ERROR(TakeAllBetween(unknown, entry.start, &ingest));
    RETURN_IF_ERROR(Read(entry.start, &ingest));
    if (records_.record().end > lsn) break;
    Append(key, &out);
    for (const Change& change : *changes_)
      if (change.kind == ChangeKind::kCheckpoint)
        unknown = change.flags ? Lsn() : records_.record().end;
  }
  return out;
}

Result<std::vector<StoredChange>> IndexedChanges::Get(const PageKey& key, Lsn lsn) {
  if (IsSlruPage(key, SlruKind::kMultixactOffsets) || IsSlruPage(key, SlruKind::kCommitTs) ||
      key == SlruKey(SlruKind::kCommitTs))
    return GetInOrder(key, lsn);
  std::vector<StoredChange> out;
  ASSIGN_OR_RETURN(auto entries, index_.Get(key, lsn));
  // The last record may end behind the LSN, and be the one that makes the page whole.
  if (!entries.empty() && entries.back().start >= from_) {
    RETURN_IF_ERROR(Read(entries.back().start, &ingest_));
    if (records_.record().end > lsn) {
      ASSIGN_OR_RETURN(entries, index_.Get(key, entries.back().start));
    }
  }
  for (const IndexEntry& entry : entries) {
    if (entry.start < from_) continue;
    RETURN_IF_ERROR(Read(entry.start, &ingest_));
    Append(key, &out);
  }
  return out;
}

}  // namespace neon_redo
