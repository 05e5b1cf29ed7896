#include "cpp_core/verify/explain.h"

#include "cpp_core/base/try.h"
#include "cpp_core/store/slru_page.h"
#include "neon_redo/describe.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

namespace {

bool Concerns(const Change& change, const PageKey& page) {
  const PageKey& key = change.key;
  if (ChangesPage(change.kind)) return key == page;
  if (page.field1 == PageKey::kSlru)
    return key.field1 == PageKey::kSlru && key.field2 == page.field2 &&
           RemovesSlruSegment(change, static_cast<SlruKind>(page.field2), page.field4);
  const bool same_database =
      key.field1 == page.field1 && key.field2 == page.field2 && key.field3 == page.field3;
  const bool same_relation = same_database && key.field4 == page.field4;
  switch (change.kind) {
    case ChangeKind::kCreateFork:
      return same_relation && key.field5 == page.field5;
    case ChangeKind::kTruncateFork:
      return same_relation && key.field5 == page.field5 && change.number <= page.field6;
    case ChangeKind::kDropRelation:
      return same_relation;
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      return same_database;
    default:
      return false;
  }
}

}  // namespace

uint64_t ExplainRecord(const WalRecord& record, const RecordView& view, const ChangeList& changes,
                       const PageKey& page, const ExplainSink& sink) {
  uint64_t found = 0;
  for (const Change& change : changes) {
    if (!Concerns(change, page)) continue;
    sink(DescribeRecord(view, record.start), DescribeChange(change));
    found++;
  }
  return found;
}

Result<uint64_t> ExplainPage(WalReader* wal, bool track_commit_timestamp, const PageKey& page,
                             const ExplainSink& sink) {
  Ingest ingest({track_commit_timestamp});
  uint64_t found = 0;
  const Status status = ingest.TakeAll(
      wal,
      [&](const ChangeList& changes, const RecordView& view, const WalRecord& record) -> Status {
        found += ExplainRecord(record, view, changes, page, sink);
        return {};
      });
  if (!status) return tl::unexpected(status.error());
  return found;
}

}  // namespace neon_redo
