#include "src/worker/pages.h"

#include <cstring>

namespace neon_redo {

namespace {

// Local buffer 1 is the target; local buffer 2 + n stands for block reference n.
constexpr int kLocalBuffers = 1 + (XLR_MAX_BLOCK_ID + 1);
BufferDesc local_descriptors[kLocalBuffers];
Block local_pages[kLocalBuffers];
int32 local_pins[kLocalBuffers];
alignas(8) char future_page[BLCKSZ];

BufferTag target_tag;
Buffer target_in_pool = InvalidBuffer;
// PoolUses() and the count of dirtied pages when the pool was last empty.
int64 pool_uses;
int64 pool_dirtied;
// The number of dirty pages that may stay in the pool between two records of a request. One record
// dirties at most XLR_MAX_BLOCK_ID + 1 more, and the pool has room for both.
constexpr int64 kDirtyPages = 24;
static_assert(kDirtyPages + XLR_MAX_BLOCK_ID + 1 < kSharedBuffers);

// Storage manager entries that FakeRelation prepared to need no file, most recent first.
constexpr int kFakes = 4;
SMgrRelation fakes[kFakes];

// The layout of struct _MdfdVec, which is private to storage/smgr/md.c (same in 15 to 18).
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

void Forget(SMgrRelation relation) {
  // All relations share the segments, so md.c must not close them.
  for (int fork = 0; fork <= MAX_FORKNUM; fork++) relation->md_num_open_segs[fork] = 0;
  smgrclose(relation);
}

// Makes the storage manager believe that every fork of the relation has the maximal size and open
// segments, so that it never asks the file system.
void FakeRelation(const ::RelFileNode& rel) {
  if (fakes[0] != nullptr && RelFileNodeEquals(fakes[0]->smgr_rnode.node, rel)) return;
  for (int i = 1; i < kFakes; i++) {
    if (fakes[i] == nullptr || !RelFileNodeEquals(fakes[i]->smgr_rnode.node, rel)) continue;
    SMgrRelation found = fakes[i];
    memmove(fakes + 1, fakes, static_cast<size_t>(i) * sizeof(fakes[0]));
    fakes[0] = found;
    return;
  }
  if (fakes[kFakes - 1] != nullptr) Forget(fakes[kFakes - 1]);
  memmove(fakes + 1, fakes, (kFakes - 1) * sizeof(fakes[0]));
  SMgrRelation relation = smgropen(rel, InvalidBackendId);
  for (int fork = 0; fork <= MAX_FORKNUM; fork++) {
    relation->smgr_cached_nblocks[fork] = MaxBlockNumber;
    relation->md_num_open_segs[fork] = kSegments;
    relation->md_seg_fds[fork] = reinterpret_cast<struct _MdfdVec*>(segments);
  }
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
  target_in_pool = ReadBufferWithoutRelcache(target_tag.rnode, target_tag.forkNum,
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
    pg_atomic_init_u32(&local_descriptors[i].state, BM_VALID | BM_TAG_VALID);
  }
  LocalBufferDescriptors = local_descriptors;
  LocalBufferBlockPointers = local_pages;
  LocalRefCount = local_pins;
  NLocBuffer = kLocalBuffers;
  OpenNothing();
  NotePoolEmpty();
}

void SetTargetTag(const BlockTag& tag) {
  const ::RelFileNode rel = {tag.rel.spc, tag.rel.db, tag.rel.rel};
  INIT_BUFFERTAG(target_tag, rel, ShownFork(tag.fork), tag.block);
  local_descriptors[0].tag = target_tag;
}

void SetTargetReference(DecodedBkpBlock* block) {
  block->rnode = target_tag.rnode;
  block->forknum = target_tag.forkNum;
  block->blkno = target_tag.blockNum;
}

void SetTargetPage(uint8_t* page) { local_pages[0] = page; }

uint8_t* TargetPage() { return static_cast<uint8_t*>(local_pages[0]); }

void PlacePages(DecodedXLogRecord* record, int target_id, bool in_pool, bool have_page) {
  const ::RelFileNode* last = nullptr;
  for (int id = 0; id <= record->max_block_id; id++) {
    DecodedBkpBlock* block = &record->blocks[id];
    if (!block->in_use) continue;
    if (last == nullptr || !RelFileNodeEquals(block->rnode, *last)) FakeRelation(block->rnode);
    last = &block->rnode;
    if (id == target_id) {
      block->prefetch_buffer = in_pool ? InvalidBuffer : -1;
    } else {
      local_pins[1 + id] = 0;
      INIT_BUFFERTAG(local_descriptors[1 + id].tag, block->rnode, block->forknum, block->blkno);
      block->prefetch_buffer = -2 - id;
    }
  }
  local_pins[0] = 0;
  target_in_pool = InvalidBuffer;
  if (in_pool) PutTargetInPool(have_page);
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
    const uint32 state = pg_atomic_read_u32(&buffer->state);
    if (!(state & BM_TAG_VALID)) continue;
    if (BUF_STATE_GET_REFCOUNT(state) != 0) ereport(FATAL, (errmsg("redo left a page pinned")));
    BufTableDelete(&buffer->tag, BufTableHashCode(&buffer->tag));
    CLEAR_BUFFERTAG(buffer->tag);
    pg_atomic_write_u32(&buffer->state, 0);
    StrategyFreeBuffer(buffer);
  }
  NotePoolEmpty();
}

}  // namespace neon_redo
