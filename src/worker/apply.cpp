// Applies one record to one page. The core parses and checks the record. This file builds the form
// that DecodeXLogRecord would have made of it and calls PostgreSQL's resource manager. A block
// whose image the record carries for redo is restored here, since redo does nothing else to such a
// block.
#include "src/worker/engine.h"

#include <cstring>

#include "cpp_core/pg/version.h"
#include "neon_redo/record.h"
#include "src/server.h"
#include "src/worker/insert_run.h"
#include "src/worker/pages.h"
#include "src/worker/replay.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/nbtxlog.h"
#include "access/rmgr.h"
#include "catalog/pg_control.h"
}

namespace neon_redo {

namespace {

BlockTag target;
bool have_page;
RecordView view(*pg::FindVersionByMajor(PG_VERSION_NUM / 10000));
// The record being applied, for messages: its bytes until Decode overwrites them, then its header.
uint64_t current_lsn;
Bytes current_bytes;

// Adds the CONTEXT line to every message raised while a record is applied.
void NameRecord(void*) {
  RecordHeader header = {};
  if (current_bytes.size() >= sizeof(header))
    header = LoadNative<RecordHeader>(current_bytes.data());
  if (current_bytes.empty()) header = view.header();
  errcontext(
      "WAL redo of the record that ends at %X/%X (resource manager %s, info 0x%02X) for block %u "
      "of "
      "fork %d of relation %u/%u/%u",
      static_cast<uint32>(current_lsn >> 32), static_cast<uint32>(current_lsn),
      RmgrIdExists(header.rmid) ? RmgrTable[header.rmid].rm_name : "unknown", header.info,
      target.block, target.fork, target.rel.spc, target.rel.db, target.rel.rel);
}

// Whether records of this kind change only relation pages that they name in block references. Other
// records write files or change other state, and no page can be requested for them.
bool ChangesPagesOnly(uint8_t rmid, uint8_t info) {
  switch (rmid) {
    case RM_XLOG_ID:
      return info == XLOG_FPI || info == XLOG_FPI_FOR_HINT;
    case RM_HEAP_ID:
      return (info & XLOG_HEAP_OPMASK) != XLOG_HEAP_TRUNCATE;
    case RM_HEAP2_ID:
      return (info & XLOG_HEAP_OPMASK) != XLOG_HEAP2_REWRITE &&
             (info & XLOG_HEAP_OPMASK) != XLOG_HEAP2_NEW_CID;
    case RM_BTREE_ID:
      return info != XLOG_BTREE_REUSE_PAGE;
    case RM_HASH_ID:
    case RM_GIN_ID:
    case RM_GIST_ID:
    case RM_SEQ_ID:
    case RM_SPGIST_ID:
    case RM_BRIN_ID:
    case RM_GENERIC_ID:
      return true;
    default:
      return false;
  }
}

int FindTarget() {
  for (int id = 0; id <= view.max_block_id(); id++) {
    const BlockRef* block = view.block(id);
    if (block != nullptr && block->tag == target) return id;
  }
  return -1;
}

// Moves a piece of payload down to the next aligned place, since redo routines cast payload to
// structs. The headers, already read, leave room for the padding: each block header is longer than
// the 7 bytes that aligning its data can need.
char* MoveDown(char** out, Bytes piece) {
  char* to = reinterpret_cast<char*>(MAXALIGN(reinterpret_cast<uintptr_t>(*out)));
  memmove(to, piece.data(), piece.size());
  *out = to + piece.size();
  return to;
}

void DecodeBlock(DecodedBkpBlock* out, const BlockRef* in, char** space) {
  out->in_use = in != nullptr;
  if (in == nullptr) return;
  RelationOf(out) = {in->tag.rel.spc, in->tag.rel.db, in->tag.rel.rel};
  out->forknum = ShownFork(in->tag.fork);
  out->blkno = in->tag.block;
  out->flags = in->flags;
  // Redo ignores images that wal_consistency_checking added.
  out->has_image = out->apply_image = in->apply_image;
  if (in->apply_image) {
    out->bimg_info = in->image_info;
    out->hole_offset = in->hole_offset;
    out->hole_length = in->hole_length;
    out->bimg_len = static_cast<uint16>(in->image.size());
    out->bkp_image = MoveDown(space, in->image);
  }
  out->has_data = in->has_data;
  out->data_len = static_cast<uint16>(in->data.size());
  out->data = in->has_data ? MoveDown(space, in->data) : nullptr;
}

// Fills *decoded from view. Overwrites the record's bytes.
void Decode(uint8_t* record) {
  char* space = reinterpret_cast<char*>(record);
  DecodedXLogRecord* decoded = Decoded();
  memcpy(&decoded->header, &view.header(), sizeof(decoded->header));
  decoded->record_origin = view.origin();
  decoded->toplevel_xid = view.toplevel_xid();
  const int blocks = view.max_block_id() + 1;
  decoded->max_block_id = blocks - 1;
  for (int id = 0; id < blocks; id++) DecodeBlock(&decoded->blocks[id], view.block(id), &space);
  decoded->main_data_len = static_cast<uint32>(view.main_data().size());
  decoded->main_data = decoded->main_data_len > 0 ? MoveDown(&space, view.main_data()) : nullptr;
}

// From 18 on an in-place update names the catalog caches' entries that other sessions must forget.
// Redo would send them those messages, but there are no other sessions and no queue of messages.
template <typename InplaceUpdate>
void ForgetInvalidations(DecodedXLogRecord* decoded) {
  if constexpr (requires(InplaceUpdate * update) { update->nmsgs; }) {
    if (decoded->header.xl_rmid != RM_HEAP_ID ||
        (decoded->header.xl_info & XLOG_HEAP_OPMASK) != XLOG_HEAP_INPLACE)
      return;
    if (decoded->main_data_len < offsetof(InplaceUpdate, msgs))
      REFUSE("the record's data is too short");
    reinterpret_cast<InplaceUpdate*>(decoded->main_data)->nmsgs = 0;
  }
}

// Restores the block's image as redo does (XLogReadBufferForRedoExtended).
void RestoreTarget(int id) {
  char* page = reinterpret_cast<char*>(TargetPage());
  if (!RestoreBlockImage(Reader(), static_cast<uint8>(id), page))
    REFUSE("%s", Reader()->errormsg_buf);
  if (!PageIsNew(page)) PageSetLSN(page, current_lsn);
}

void RunRedo(int id, const BlockRef& block) {
  // A routine looks in the pool for pages that it initialises, and for pages of the visibility map
  // and the free space map, which it may extend.
  const bool in_pool =
      block.will_init || target.fork == kVisibilityMapFork || target.fork == kFreeSpaceMapFork;
  if (!in_pool && PageIsNew(reinterpret_cast<char*>(TargetPage())))
    REFUSE("the page is all zeroes and the record does not initialise it");
  Replay(current_lsn, id, in_pool, have_page);
}

void CheckRecord(uint8_t* record, uint32_t length) {
  const Bytes bytes(record, length);
  if (length < kRecordHeaderSize || LoadNative<RecordHeader>(record).total_length != length)
    REFUSE("the record's length differs from that of its frame");
  if (!RecordView::VerifyCrc(bytes)) REFUSE("the record's checksum is wrong");
  if (RecordFault fault = view.Parse(bytes))
    REFUSE("invalid record: %s (at byte %u)", fault.what, fault.offset);
  if (!ChangesPagesOnly(view.rmid(), view.info()))
    REFUSE("records of this kind change no relation page, or write files");
}

}  // namespace

void BeginRequest(const BlockTag& tag, uint8_t* page) {
  DropInsertRun();
  EndRequest();
  target = tag;
  SetTargetTag(tag);
  SetTargetPage(page);
}

void MovePage(uint8_t* to, const uint8_t* from) {
  if (have_page) memcpy(to, from, kBlockSize);
  SetTargetPage(to);
}

void PushBase(const uint8_t* image) {
  memcpy(TargetPage(), image, kBlockSize);
  have_page = true;
}

void ApplyRecord(uint64_t end_lsn, uint8_t* record, uint32_t length) {
  static ErrorContextCallback context = {nullptr, NameRecord, nullptr};
  current_lsn = end_lsn;
  current_bytes = Bytes(record, length);
  error_context_stack = &context;

  CheckRecord(record, length);
  const int id = FindTarget();
  if (id < 0) REFUSE("the record does not refer to the block");
  const BlockRef& block = *view.block(id);
  if (!have_page && !block.initialises())
    REFUSE("the record does not initialise the block and there is no base image");

  current_bytes = Bytes();
  if (have_page && AddToInsertRun(view, block, end_lsn)) {
    error_context_stack = nullptr;
    return;
  }
  ReplayInsertRun();
  error_context_stack = &context;
  Decode(record);
  ForgetInvalidations<xl_heap_inplace>(Decoded());
  if (block.apply_image && !block.will_init)
    RestoreTarget(id);
  else
    RunRedo(id, block);
  have_page = true;
  error_context_stack = nullptr;
}

bool HavePage() { return have_page; }

void EndRequest() {
  ReplayInsertRun();
  have_page = false;
  DropPool();
}

}  // namespace neon_redo
