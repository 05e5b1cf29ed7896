// Records about databases, tablespaces and the cluster as a whole.
#include "cpp_core/ingest/taker.h"
#include "cpp_core/pg/checkpoint.h"

namespace neon_redo {

bool Ingest::Taker::TakeXlog() {
  namespace xlog = layout::xlog;
  const Bytes data = record_.main_data();
  switch (record_.info()) {
    case xlog::kCheckpointShutdown:
      return TakeCheckpoint(true);
    case xlog::kCheckpointOnline:
      return TakeCheckpoint(false);
    case xlog::kNextOid:
      if (!Read(&state_.next_oid)) return false;
      Push(ChangeKind::kNextOid, {}).number = state_.next_oid;
      return true;
    case xlog::kSwitch:
      Push(ChangeKind::kSegmentSwitch, {});
      return true;
    case xlog::kBackupEnd:
      return Read(&Push(ChangeKind::kBackupEnd, {}).time);
    case xlog::kParameterChange:
      return TakeParameters();
    case xlog::kRestorePoint: {
      Change& change = Push(ChangeKind::kRestorePoint, {});
      if (!Read(&change.time)) return false;
      const Bytes name = data.subspan(sizeof(change.time));
      const auto* text = reinterpret_cast<const char*>(name.data());
      change.payload = name.first(strnlen(text, name.size()));
      return true;
    }
    case xlog::kFpwChange: {
      bool on;
      if (data.empty()) return TooShort();
      on = data[0] != 0;
      Push(ChangeKind::kFullPageWrites, {}).flags = on;
      return true;
    }
    case xlog::kEndOfRecovery: {
      xlog::EndOfRecovery end;
      if (!Read(&end)) return false;
      Change& change = Push(ChangeKind::kTimeline, {});
      change.number = state_.timeline = end.timeline;
      change.number2 = end.previous_timeline;
      change.flags = 1;
      return true;
    }
    case xlog::kOverwriteContrecord:
      return Read(&Push(ChangeKind::kOverwritten, {}).time);
    case xlog::kFpi:
      for (int id = 0; id <= record_.max_block_id(); id++) {
        if (record_.block(id) && !record_.block(id)->apply_image)
          return Wrong("it has a block without an image");
      }
      return true;
    default:
      return true;
  }
}

// xlog_redo: a shutdown checkpoint's counters are exact, an online one's are lower bounds.
bool Ingest::Taker::TakeCheckpoint(bool shutdown) {
  const auto read = pg::ReadCheckPoint(record_.main_data(), record_.version());
  if (!read) return TooShort();
  const pg::CheckPoint& checkpoint = *read;
  Change& change = Push(ChangeKind::kCheckpoint, {});
  change.flags = shutdown;
  change.payload = record_.main_data();
  const uint32_t timeline = checkpoint.timeline;
  if (checkpoint.previous_timeline != timeline) {
    Change& begin = Push(ChangeKind::kTimeline, {});
    begin.number = timeline;
    begin.number2 = checkpoint.previous_timeline;
  }
  state_.timeline = timeline;
  state_.checkpoint_redo = checkpoint.redo;
  if (shutdown || checkpoint.next_xid > state_.next_xid) state_.next_xid = checkpoint.next_xid;
  if (shutdown || state_.next_oid == 0) state_.next_oid = checkpoint.next_oid;
  if (shutdown || state_.next_multixact == 0 ||
      PrecedesInCircle(state_.next_multixact, checkpoint.next_multixact))
    state_.next_multixact = checkpoint.next_multixact;
  if (shutdown || state_.next_multixact_offset == 0 ||
      PrecedesInCircle(state_.next_multixact_offset, checkpoint.next_multixact_offset))
    state_.next_multixact_offset = checkpoint.next_multixact_offset;
  if (state_.oldest_multixact == 0 ||
      PrecedesInCircle(state_.oldest_multixact, checkpoint.oldest_multixact))
    state_.oldest_multixact = checkpoint.oldest_multixact;
  if (shutdown || state_.oldest_xid == 0 ||
      PrecedesInCircle(state_.oldest_xid, checkpoint.oldest_xid))
    state_.oldest_xid = checkpoint.oldest_xid;
  return true;
}

// CommitTsParameterChange: when commit timestamps are turned off all of them go; when they are
// turned on the page of the next transaction begins, unless it is there.
bool Ingest::Taker::TakeParameters() {
  layout::xlog::ParameterChange parameters;
  constexpr size_t kSize = offsetof(layout::xlog::ParameterChange, track_commit_timestamp) + 1;
  if (!Read(&parameters, kSize)) return false;
  Push(ChangeKind::kParameters, {}).payload = record_.main_data();
  const bool was_on = state_.track_commit_timestamp;
  state_.track_commit_timestamp = parameters.track_commit_timestamp != 0;
  if (was_on && !state_.track_commit_timestamp)
    Push(ChangeKind::kDropSlru, PageKey::OfSlruBlock({SlruKind::kCommitTs, 0, 0}));
  if (!was_on && state_.track_commit_timestamp && state_.next_xid != 0)
    Push(ChangeKind::kZeroSlruPage,
         SlruKeyOfEntry(SlruKind::kCommitTs, static_cast<uint32_t>(state_.next_xid)));
  return true;
}

bool Ingest::Taker::TakeRelMap() {
  namespace relmap = layout::relmap;
  if (record_.info() != relmap::kUpdate) return true;
  relmap::Update update;
  if (!Read(&update)) return false;
  const Bytes map = record_.main_data().subspan(sizeof(update));
  const uint32_t map_size = record_.version().relation_map_size;
  if (static_cast<uint32_t>(update.bytes) != map_size)
    return Wrong("its relation map has the wrong size");
  if (map.size() < map_size) return TooShort();
  Push(ChangeKind::kRelationMap, PageKey::OfRelationMap(update.tablespace, update.database))
      .payload = map.first(map_size);
  return true;
}

bool RelationTaker::TakeDatabase() {
  namespace dbase = layout::dbase;
  switch (record_.info()) {
    case dbase::kCreateFileCopy: {
      dbase::CreateFileCopy create;
      if (!Read(&create)) return false;
      if (create.tablespace == create.source_tablespace &&
          create.database == create.source_database)
        return Wrong("it copies a database onto itself");
      Change& change = Push(ChangeKind::kCopyDatabase,
                            PageKey::OfRelationMap(create.tablespace, create.database));
      change.number = create.source_tablespace;
      change.number2 = create.source_database;
      return true;
    }
    case dbase::kCreateWalLog: {
      dbase::CreateWalLog create;
      if (!Read(&create)) return false;
      Push(ChangeKind::kCreateDatabase, PageKey::OfRelationMap(create.tablespace, create.database));
      return true;
    }
    case dbase::kDrop: {
      dbase::Drop drop;
      if (!Read(&drop)) return false;
      ByteReader in(record_.main_data().subspan(sizeof(drop)));
      for (int32_t i = 0; i < drop.tablespaces; i++) {
        uint32_t tablespace;
        if (!in.Read(&tablespace)) return TooShort();
        Push(ChangeKind::kDropDatabase, PageKey::OfRelationMap(tablespace, drop.database));
      }
      return true;
    }
    default:
      return true;
  }
}

bool Ingest::Taker::TakeTablespace() {
  namespace tblspc = layout::tblspc;
  uint32_t tablespace;
  if (!Read(&tablespace)) return false;
  if (record_.info() == tblspc::kCreate) {
    const Bytes path = record_.main_data().subspan(sizeof(tblspc::Create));
    Change& change = Push(ChangeKind::kCreateTablespace, {});
    change.number = tablespace;
    change.payload = path.first(strnlen(reinterpret_cast<const char*>(path.data()), path.size()));
  } else if (record_.info() == tblspc::kDrop) {
    Push(ChangeKind::kDropTablespace, {}).number = tablespace;
  }
  return true;
}

}  // namespace neon_redo
