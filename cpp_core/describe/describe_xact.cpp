// Transaction, Standby, MultiXact, CLOG and CommitTs records. Layouts: access/xact.h,
// storage/standbydefs.h, storage/sinval.h, access/multixact.h, access/clog.h, access/commit_ts.h;
// wording: rmgrdesc/xactdesc.c, standbydesc.c, mxactdesc.c, clogdesc.c, committsdesc.c.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

namespace xact = layout::xact;

// A counted array somewhere in the main data, read when its turn in the text comes.
struct Array {
  int32_t count = 0;
  Bytes bytes;
};

Array GetArray(FieldReader* in, int32_t count, size_t item_size) {
  if (count < 0) {
    in->Spoil();
    return {};
  }
  const Bytes bytes = in->GetBytes(static_cast<size_t>(count) * item_size);
  return in->all() ? Array{count, bytes} : Array{};
}

Array GetCountedArray(FieldReader* in, size_t item_size) {
  const auto count = in->Get<int32_t>();
  return GetArray(in, count, item_size);
}

void AddRelations(Description* d, const char* label, const Array& rels) {
  if (rels.count == 0) return;
  d->Add("; {}:", label);
  FieldReader in(rels.bytes);
  for (int32_t i = 0; i < rels.count; i++)
    d->Add(" {}", pg::RelationPath(d->record.version(), in.Get<RelFileNode>(), kMainFork));
}

void AddSubxacts(Description* d, const Array& subxacts) {
  if (subxacts.count == 0) return;
  d->AddText("; subxacts:");
  FieldReader in(subxacts.bytes);
  for (int32_t i = 0; i < subxacts.count; i++) d->Add(" {}", in.Get<uint32_t>());
}

void AddStats(Description* d, const char* label, const Array& stats) {
  if (stats.count == 0) return;
  d->Add("; {}dropped stats:", label);
  FieldReader in(stats.bytes);
  for (int32_t i = 0; i < stats.count; i++) {
    const auto kind = in.Get<int32_t>();
    const auto database = in.Get<uint32_t>();
    uint64_t object = in.Get<uint32_t>();
    if (d->record.version().dropped_stats_item_size > 12)
      object |= uint64_t{in.Get<uint32_t>()} << 32;
    d->Add(" {}/{}/{}", kind, database, object);
  }
}

// The parts of a commit or abort record, in the order they are stored (ParseCommitRecord,
// ParseAbortRecord; an abort never has invalidations).
struct XactParts {
  int64_t time = 0;
  uint32_t info = 0;
  uint32_t database = 0;
  uint32_t tablespace = 0;
  Array subxacts;
  Array relations;
  Array stats;
  Array invalidations;
  uint32_t prepared_xid = 0;
  Lsn origin_lsn;
  int64_t origin_time = 0;
};

XactParts GetXactParts(Description* d, bool commit) {
  FieldReader& in = d->in;
  XactParts p;
  p.time = in.Get<int64_t>();
  if (d->record.header().info & xact::kHasInfo) p.info = in.Get<uint32_t>();
  if (p.info & xact::kHasDatabase) {
    p.database = in.Get<uint32_t>();
    p.tablespace = in.Get<uint32_t>();
  }
  if (p.info & xact::kHasSubxacts) p.subxacts = GetCountedArray(&in, sizeof(uint32_t));
  if (p.info & xact::kHasRelations) p.relations = GetCountedArray(&in, sizeof(RelFileNode));
  if (p.info & xact::kHasDroppedStats)
    p.stats = GetCountedArray(&in, d->record.version().dropped_stats_item_size);
  if (commit && (p.info & xact::kHasInvalidations))
    p.invalidations = GetCountedArray(&in, xact::kInvalidationSize);
  if (p.info & xact::kHasTwoPhase) {
    p.prepared_xid = in.Get<uint32_t>();
    if (p.info & xact::kHasGid) in.GetString();
  }
  if (p.info & xact::kHasOrigin) {
    p.origin_lsn = in.GetLsn();
    p.origin_time = in.Get<int64_t>();
  }
  return p;
}

void AddOrigin(Description* d, Lsn lsn, int64_t time) {
  d->Add("; origin: node {}, lsn {}, at {}", d->record.origin(), d->Text(lsn), TimestampText(time));
}

void Commit(Description* d) {
  const XactParts p = GetXactParts(d, true);
  if (p.prepared_xid) d->Add("{}: ", p.prepared_xid);
  d->AddText(TimestampText(p.time));
  AddRelations(d, "rels", p.relations);
  AddSubxacts(d, p.subxacts);
  AddStats(d, "", p.stats);
  AddInvalidations(d, p.invalidations.bytes, p.database, p.tablespace,
                   p.info & xact::kUpdateRelcacheFile);
  if (p.info & xact::kApplyFeedback) d->AddText("; apply_feedback");
  if (p.info & xact::kForceSyncCommit) d->AddText("; sync");
  if (p.info & xact::kHasOrigin) AddOrigin(d, p.origin_lsn, p.origin_time);
}

void Abort(Description* d) {
  const XactParts p = GetXactParts(d, false);
  if (p.prepared_xid) d->Add("{}: ", p.prepared_xid);
  d->AddText(TimestampText(p.time));
  AddRelations(d, "rels", p.relations);
  AddSubxacts(d, p.subxacts);
  if (p.info & xact::kHasOrigin) AddOrigin(d, p.origin_lsn, p.origin_time);
  AddStats(d, "", p.stats);
}

// xl_xact_prepare, then its arrays, each aligned to 8 (ParsePrepareRecord).
void Prepare(Description* d) {
  FieldReader& in = d->in;
  in.Skip(12);  // magic, total_len, xid
  const auto database = in.Get<uint32_t>();
  const auto time = in.Get<int64_t>();
  in.Skip(4);  // owner
  const auto subxact_count = in.Get<int32_t>();
  const auto commit_rel_count = in.Get<int32_t>();
  const auto abort_rel_count = in.Get<int32_t>();
  const auto commit_stats_count = in.Get<int32_t>();
  const auto abort_stats_count = in.Get<int32_t>();
  const auto invalidation_count = in.Get<int32_t>();
  const auto init_file = in.Get<uint8_t>();
  in.AlignTo(2);
  const auto gid_length = in.Get<uint16_t>();
  const auto origin_lsn = in.GetLsn();
  const auto origin_time = in.Get<int64_t>();

  FieldReader gid_in(in.GetBytes(gid_length));
  const std::string gid = gid_in.GetString();
  auto next = [&](int32_t count, size_t item_size) {
    in.AlignTo(8);
    return GetArray(&in, count, item_size);
  };
  const Array subxacts = next(subxact_count, sizeof(uint32_t));
  const Array commit_rels = next(commit_rel_count, sizeof(RelFileNode));
  const Array abort_rels = next(abort_rel_count, sizeof(RelFileNode));
  const Array commit_stats = next(commit_stats_count, d->record.version().dropped_stats_item_size);
  const Array abort_stats = next(abort_stats_count, d->record.version().dropped_stats_item_size);
  const Array invalidations = next(invalidation_count, xact::kInvalidationSize);

  d->Add("gid {}: {}", gid, TimestampText(time));
  AddRelations(d, "rels(commit)", commit_rels);
  AddRelations(d, "rels(abort)", abort_rels);
  AddStats(d, "commit ", commit_stats);
  AddStats(d, "abort ", abort_stats);
  AddSubxacts(d, subxacts);
  AddInvalidations(d, invalidations.bytes, database, 0, init_file);
  if (d->record.origin() != 0) AddOrigin(d, origin_lsn, origin_time);
}

void Assignment(Description* d) {
  d->Add("xtop {}: subxacts:", d->in.Get<uint32_t>());
  const Array subxacts = GetCountedArray(&d->in, sizeof(uint32_t));
  FieldReader in(subxacts.bytes);
  for (int32_t i = 0; i < subxacts.count; i++) d->Add(" {}", in.Get<uint32_t>());
}

void XactInvalidations(Description* d) {
  AddInvalidations(d, GetCountedArray(&d->in, xact::kInvalidationSize).bytes, 0, 0, false);
}

constexpr Operation kXact[] = {
    {layout::xact::kCommit, "COMMIT", Commit},
    {layout::xact::kPrepare, "PREPARE", Prepare},
    {layout::xact::kAbort, "ABORT", Abort},
    {layout::xact::kCommitPrepared, "COMMIT_PREPARED", Commit},
    {layout::xact::kAbortPrepared, "ABORT_PREPARED", Abort},
    {layout::xact::kAssignment, "ASSIGNMENT", Assignment},
    {layout::xact::kInvalidations, "INVALIDATION", XactInvalidations},
};

void StandbyLock(Description* d) {
  constexpr size_t kLockSize = 12;
  const Array locks = GetCountedArray(&d->in, kLockSize);
  FieldReader in(locks.bytes);
  for (int32_t i = 0; i < locks.count; i++) {
    const auto xid = in.Get<uint32_t>();
    const auto database = in.Get<uint32_t>();
    d->Add("xid {} db {} rel {} ", xid, database, in.Get<uint32_t>());
  }
}

void AddXids(Description* d, const char* label, const Array& xids) {
  if (xids.count == 0) return;
  d->Add("; {} {}:", xids.count, label);
  FieldReader in(xids.bytes);
  for (int32_t i = 0; i < xids.count; i++) d->Add(" {}", in.Get<uint32_t>());
}

void RunningXacts(Description* d) {
  FieldReader& in = d->in;
  const auto count = in.Get<int32_t>();
  const auto subxact_count = in.Get<int32_t>();
  const auto overflow = in.Get<uint8_t>();
  in.AlignTo(4);
  const auto next = in.Get<uint32_t>();
  const auto oldest = in.Get<uint32_t>();
  const auto latest_completed = in.Get<uint32_t>();
  d->Add("nextXid {} latestCompletedXid {} oldestRunningXid {}", next, latest_completed, oldest);
  AddXids(d, "xacts", GetArray(&in, count, sizeof(uint32_t)));
  if (!d->Since(pg::WaldumpText::k16)) {
    if (overflow) d->AddText("; subxid ovf");
    return;
  }
  if (overflow) d->AddText("; subxid overflowed");
  AddXids(d, "subxacts", GetArray(&in, subxact_count, sizeof(uint32_t)));
}

void StandbyInvalidations(Description* d) {
  const auto database = d->in.Get<uint32_t>();
  const auto tablespace = d->in.Get<uint32_t>();
  const auto init_file = d->in.Get<uint8_t>();
  d->in.AlignTo(4);
  AddInvalidations(d, GetCountedArray(&d->in, xact::kInvalidationSize).bytes, database, tablespace,
                   init_file);
}

constexpr Operation kStandby[] = {
    {layout::standby::kLock, "LOCK", StandbyLock},
    {layout::standby::kRunningXacts, "RUNNING_XACTS", RunningXacts},
    {layout::standby::kInvalidations, "INVALIDATIONS", StandbyInvalidations},
};

// The number of a page of an SLRU.
int64_t GetPageNumber(Description* d) {
  return d->record.version().slru_page_number_size == 8 ? d->in.Get<int64_t>()
                                                        : d->in.Get<int32_t>();
}

void PageNumber(Description* d) { d->Add("{}", GetPageNumber(d)); }

void CreateMultiXact(Description* d) {
  static constexpr const char* kStatus[] = {"keysh",  "sh",       "fornokeyupd",
                                            "forupd", "nokeyupd", "upd"};
  const bool is_long = d->Since(pg::WaldumpText::k19);  // MultiXactOffset
  const auto id = d->in.Get<uint32_t>();
  if (is_long) d->in.AlignTo(8);
  const uint64_t offset = is_long ? d->in.Get<uint64_t>() : d->in.Get<uint32_t>();
  const auto count = d->in.Get<int32_t>();
  d->Add("{} offset {} nmembers {}: ", id, offset, count);
  const Array members = GetArray(&d->in, count, 8);
  FieldReader in(members.bytes);
  for (int32_t i = 0; i < members.count; i++) {
    const auto xid = in.Get<uint32_t>();
    const auto status = in.Get<uint32_t>();
    d->Add("{} ({}) ", xid, status < std::size(kStatus) ? kStatus[status] : "unk");
  }
}

void TruncateMultiXact19(Description* d) {
  d->in.Skip(4);  // oldestMultiDB
  const auto oldest = d->in.Get<uint32_t>();
  d->Add("oldestMulti {}, oldestOffset {}", oldest, d->in.Get<uint64_t>());
}

void TruncateMultiXact(Description* d) {
  if (d->Since(pg::WaldumpText::k19)) return TruncateMultiXact19(d);
  d->in.Skip(4);  // oldestMultiDB
  const auto first_offset = d->in.Get<uint32_t>();
  const auto end_offset = d->in.Get<uint32_t>();
  const auto first_member = d->in.Get<uint32_t>();
  const auto end_member = d->in.Get<uint32_t>();
  d->Add("offsets [{}, {}), members [{}, {})", first_offset, end_offset, first_member, end_member);
}

constexpr Operation kMultiXact[] = {
    {layout::multixact::kZeroOffsetsPage, "ZERO_OFF_PAGE", PageNumber},
    {layout::multixact::kZeroMembersPage, "ZERO_MEM_PAGE", PageNumber},
    {layout::multixact::kCreateId, "CREATE_ID", CreateMultiXact},
    {layout::multixact::kTruncateId, "TRUNCATE_ID", TruncateMultiXact},
};

void ClogZeroPage(Description* d) { d->Add("page {}", GetPageNumber(d)); }

void ClogTruncate(Description* d) {
  const int64_t page = GetPageNumber(d);
  d->Add("page {}; oldestXact {}", page, d->in.Get<uint32_t>());
}

constexpr Operation kClog[] = {
    {layout::clog::kZeroPage, "ZEROPAGE", ClogZeroPage},
    {layout::clog::kTruncate, "TRUNCATE", ClogTruncate},
};

void CommitTsTruncate(Description* d) {
  const int64_t page = GetPageNumber(d);
  d->Add("pageno {}, oldestXid {}", page, d->in.Get<uint32_t>());
}

constexpr Operation kCommitTs[] = {
    {layout::commit_ts::kZeroPage, "ZEROPAGE", PageNumber},
    {layout::commit_ts::kTruncate, "TRUNCATE", CommitTsTruncate},
};

}  // namespace

void AddInvalidations(Description* d, Bytes messages, uint32_t database, uint32_t tablespace,
                      bool init_file) {
  if (messages.empty()) return;
  if (init_file) d->Add("; relcache init file inval dbid {} tsid {}", database, tablespace);
  d->AddText("; inval msgs:");
  for (size_t at = 0; at < messages.size(); at += xact::kInvalidationSize) {
    FieldReader in(messages.subspan(at, xact::kInvalidationSize));
    const auto id = in.Get<int8_t>();
    in.AlignTo(4);
    const auto db = in.Get<uint32_t>();
    const auto object = in.Get<uint32_t>();
    if (id >= 0) {
      d->Add(" catcache {}", id);
    } else if (id == -1) {
      d->Add(" catalog {}", object);
    } else if (id == -2) {
      d->Add(" relcache {}", object);
    } else if (id == -3) {
      d->AddText(" smgr");
    } else if (id == -4) {
      d->Add(" relmap db {}", db);
    } else if (id == -5) {
      d->Add(" snapshot {}", object);
    } else if (id == -6 && d->Since(pg::WaldumpText::k18)) {
      d->Add(" relsync {}", object);
    } else {
      d->Add(" unrecognized id {}", id);
    }
  }
}

Operations XactOperations() { return {layout::kOperationMask, kXact}; }
Operations StandbyOperations() { return {kInfoRmgrMask, kStandby}; }
Operations MultiXactOperations() { return {kInfoRmgrMask, kMultiXact}; }
Operations ClogOperations() { return {kInfoRmgrMask, kClog}; }
Operations CommitTsOperations() { return {kInfoRmgrMask, kCommitTs}; }

}  // namespace neon_redo
