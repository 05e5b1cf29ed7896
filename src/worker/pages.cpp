#include "src/worker/pages.h"

#include <cstring>

#include "src/worker/maps.h"
#include "src/worker/replay.h"

extern "C" {
#include "access/generic_xlog.h"
#include "executor/instrument.h"
}

namespace neon_redo {

namespace {

// Local buffer 1 is the target; local buffer 2 + n stands for block reference n.
constexpr int kLocalBuffers = 1 + (XLR_MAX_BLOCK_ID + 1);
BufferDesc local_descriptors[kLocalBuffers];
Block local_pages[kLocalBuffers];
int32 local_pins[kLocalBuffers];
alignas(8) char future_page[BLCKSZ];

BufferTag target_tag;
ServerRelation target_relation;
Buffer target_in_pool = InvalidBuffer;
// PoolUses() and the count of dirtied pages when the pool was last empty.
int64 pool_uses;
int64 pool_dirtied;
// The number of dirty pages that may stay in the pool between two records of a request. One record
// dirties at most XLR_MAX_BLOCK_ID + 1 more, and the pool has room for both.
constexpr int64 kDirtyPages = 24;
static_assert(kDirtyPages + XLR_MAX_BLOCK_ID + 1 < kSharedBuffers);

// The relations that a record may refer to: the pages of a generic record may each be of another one
// (MAX_GENERIC_XLOG_PAGES in access/generic_xlog.h). All other records refer to one relation.
constexpr int kRelationsOfRecord = MAX_GENERIC_XLOG_PAGES;
// Storage manager entries that FakeRelation prepared to need no file, most recent first. There is
// room for those of a record whatever the records before it left.
constexpr int kFakes = 2 * kRelationsOfRecord;
SMgrRelation fakes[kFakes];
int fake_count;

// The layout of struct _MdfdVec, which is private to storage/smgr/md.c (the same in 15 to 18).
struct Segment {
  File file;
  BlockNumber number;
};
constexpr int kSegments = 16;  // enough for the largest free space map: 8 segments of 1 GB
Segment segments[kSegments];

// Makes every segment a descriptor of /dev/null. A read of any block finds no bytes, which mdread
// takes for a page of zeroes during recovery. In the sandbox the descriptor is closed; there the
// system call filter gives the same answer.
void OpenNothing() {
  const File file = PathNameOpenFile("/dev/null", O_RDONLY | PG_BINARY);
  if (file < 0) ereport(FATAL, (errcode_for_file_access(), errmsg("could not open /dev/null: %m")));
  for (int i = 0; i < kSegments; i++) segments[i] = {file, static_cast<BlockNumber>(i)};
}

void ForgetRelations() {
  // All relations share the segments, so md.c must not close them.
  for (int i = 0; i < fake_count; i++)
    for (int fork = 0; fork <= MAX_FORKNUM; fork++) fakes[i]->md_num_open_segs[fork] = 0;
  RemoveStorageEntries(fakes, fake_count);
  fake_count = 0;
}

// Makes the storage manager believe that every fork of the relation has the maximal size and open
// segments, so that it never asks the file system.
void FakeRelation(const ServerRelation& rel) {
  if (fake_count > 0 && IsSame(RelationOf(fakes[0]), rel)) return;
  int place = 1;
  while (place < fake_count && !IsSame(RelationOf(fakes[place]), rel)) place++;
  SMgrRelation relation;
  if (place < fake_count) {
    relation = fakes[place];
  } else {
    relation = smgropen(rel, kNoBackend);
    for (int fork = 0; fork <= MAX_FORKNUM; fork++) {
      relation->smgr_cached_nblocks[fork] = MaxBlockNumber;
      relation->md_num_open_segs[fork] = kSegments;
      relation->md_seg_fds[fork] = reinterpret_cast<struct _MdfdVec*>(segments);
    }
    place = fake_count++;
  }
  memmove(fakes + 1, fakes, static_cast<size_t>(place) * sizeof(fakes[0]));
  fakes[0] = relation;
}

// A count that grows whenever the pool hands out or dirties a page.
int64 PoolUses() {
  return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read +
         pgBufferUsage.shared_blks_dirtied;
}

void NotePoolEmpty() {
  pool_uses = PoolUses();
  pool_dirtied = pgBufferUsage.shared_blks_dirtied;
}

void PutTargetInPool(bool have_page) {
  target_in_pool = ReadBufferWithoutRelcache(target_relation, target_tag.forkNum,
                                             target_tag.blockNum, RBM_ZERO_AND_LOCK, nullptr, true);
  if (have_page)
    memcpy(BufferGetPage(target_in_pool), TargetPage(), BLCKSZ);
  else
    memset(BufferGetPage(target_in_pool), 0, BLCKSZ);
  pgBufferUsage.shared_blks_dirtied++;  // for PoolUses: the server counts no miss in this mode
  UnlockReleaseBuffer(target_in_pool);
}

}  // namespace

void InitPages() {
  PageInit(future_page, BLCKSZ, 0);
  PageSetLSN(future_page, PG_UINT64_MAX);
  for (int i = 0; i < kLocalBuffers; i++) {
    local_descriptors[i].buf_id = -i - 2;  // as InitLocalBuffers numbers them
    local_pages[i] = future_page;
    SetState(&local_descriptors[i], BM_VALID | BM_TAG_VALID);
  }
  LocalBufferDescriptors = local_descriptors;
  LocalBufferBlockPointers = local_pages;
  LocalRefCount = local_pins;
  NLocBuffer = kLocalBuffers;
  OpenNothing();
  NotePoolEmpty();
}

void SetTargetTag(const BlockTag& tag) {
  target_relation = {tag.rel.spc, tag.rel.db, tag.rel.rel};
  SetTag(&target_tag, target_relation, ShownFork(tag.fork), tag.block);
  local_descriptors[0].tag = target_tag;
}

void SetTargetReference(DecodedBkpBlock* block) {
  RelationOf(block) = target_relation;
  block->forknum = target_tag.forkNum;
  block->blkno = target_tag.blockNum;
}

void SetTargetPage(uint8_t* page) { local_pages[0] = page; }

uint8_t* TargetPage() { return static_cast<uint8_t*>(local_pages[0]); }

void PlacePages(DecodedXLogRecord* record, int target_id, bool in_pool, bool have_page) {
  if (fake_count > kFakes - kRelationsOfRecord) ForgetRelations();
  const ServerRelation* last = nullptr;
  int relations = 0;
  for (int id = 0; id <= record->max_block_id; id++) {
    DecodedBkpBlock* block = &record->blocks[id];
    if (!block->in_use) continue;
    const ServerRelation& rel = RelationOf(block);
    if (last == nullptr || !IsSame(rel, *last)) {
      if (++relations > kRelationsOfRecord)
        REFUSE("the record refers to more relations than any record does");
      FakeRelation(rel);
    }
    last = &rel;
    if (id == target_id) {
      block->prefetch_buffer = in_pool ? InvalidBuffer : -1;
    } else {
      local_pins[1 + id] = 0;
      SetTag(&local_descriptors[1 + id].tag, rel, block->forknum, block->blkno);
      block->prefetch_buffer = -2 - id;
    }
  }
  local_pins[0] = 0;
  target_in_pool = InvalidBuffer;
  if (in_pool) PutTargetInPool(have_page);
  if (kPagesAreReadAsynchronously) PlaceMaps(record, target_id, in_pool);
}

void PlaceZeroes(const ServerRelation& rel, ::ForkNumber fork, ::BlockNumber block) {
  BufferTag tag;
  SetTag(&tag, rel, fork, block);
  if (BufTableLookup(&tag, BufTableHashCode(&tag)) >= 0) return;
  UnlockReleaseBuffer(
      ReadBufferWithoutRelcache(rel, fork, block, RBM_ZERO_AND_LOCK, nullptr, true));
  pgBufferUsage.shared_blks_dirtied++;  // for PoolUses, and so that they are not too many
}

void TakeTargetBack() {
  if (target_in_pool != InvalidBuffer) {
    memcpy(TargetPage(), BufferGetPage(target_in_pool), BLCKSZ);
    DropPool();
  } else if (pgBufferUsage.shared_blks_dirtied - pool_dirtied >= kDirtyPages) {
    DropPool();
  }
}

void DropPool() {
  if (PoolUses() == pool_uses) return;
  for (int i = 0; i < NBuffers; i++) {
    BufferDesc* buffer = GetBufferDescriptor(i);
    const BufferState state = StateOf(buffer);
    if (!(state & BM_TAG_VALID)) continue;
    if (BUF_STATE_GET_REFCOUNT(state) != 0) ereport(FATAL, (errmsg("redo left a page pinned")));
    BufTableDelete(&buffer->tag, BufTableHashCode(&buffer->tag));
    ClearTag(&buffer->tag);
    SetState(buffer, 0);
    FreeBuffer(buffer);
  }
  NotePoolEmpty();
}

}  // namespace neon_redo
