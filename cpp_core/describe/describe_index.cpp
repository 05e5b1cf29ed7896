// Records of the index access methods but Btree, of Generic and Sequence. Layouts:
// access/hash_xlog.h, ginxlog.h, gistxlog.h, spgxlog.h, brin_xlog.h, commands/sequence.h; wording:
// the files of the same subject in rmgrdesc.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

// Hash

void HashInitMeta(Description* d) {
  const auto tuples = d->in.Get<double>();
  const auto function = d->in.Get<uint32_t>();
  d->Add("num_tuples {:g}, ", tuples);
  if (d->Since(pg::WaldumpText::k19)) d->Add("procid {}, ", function);
  d->Add("fillfactor {}", d->in.Get<uint16_t>());
}

void HashInitBitmap(Description* d) { d->Add("bmsize {}", d->in.Get<uint16_t>()); }

void HashInsert(Description* d) { d->Add("off {}", d->in.Get<uint16_t>()); }

void HashAddOverflow(Description* d) {
  const auto size = d->in.Get<uint16_t>();
  d->Add("bmsize {}, bmpage_found {}", size, TF(d->in.Get<uint8_t>()));
}

void HashSplitAllocate(Description* d) {
  const auto bucket = d->in.Get<uint32_t>();
  const auto old_flag = d->in.Get<uint16_t>();
  const auto new_flag = d->in.Get<uint16_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->Add("new_bucket {}, ", bucket);
  if (d->Since(pg::WaldumpText::k19))
    d->Add("old_bucket_flag {}, new_bucket_flag {}, ", old_flag, new_flag);
  // XLH_SPLIT_META_UPDATE_MASKS, XLH_SPLIT_META_UPDATE_SPLITPOINT
  d->Add("meta_page_masks_updated {}, issplitpoint_changed {}", TF(flags & 0x01), TF(flags & 0x02));
}

void HashSplitComplete(Description* d) {
  const auto old_flag = d->in.Get<uint16_t>();
  d->Add("old_bucket_flag {}, new_bucket_flag {}", old_flag, d->in.Get<uint16_t>());
}

void HashMovePage(Description* d) {
  const auto tuples = d->in.Get<uint16_t>();
  d->Add("ntups {}, is_primary {}", tuples, TF(d->in.Get<uint8_t>()));
}

void HashSqueeze(Description* d) {
  const auto previous = d->in.Get<uint32_t>();
  const auto next = d->in.Get<uint32_t>();
  const auto tuples = d->in.Get<uint16_t>();
  d->Add("prevblkno {}, nextblkno {}, ntups {}, is_primary {}", previous, next, tuples,
         TF(d->in.Get<uint8_t>()));
  if (d->Since(pg::WaldumpText::k19)) d->Add(", is_previous {}", TF(d->in.Get<uint8_t>()));
}

void HashDelete(Description* d) {
  const auto clear = d->in.Get<uint8_t>();
  d->Add("clear_dead_marking {}, is_primary {}", TF(clear), TF(d->in.Get<uint8_t>()));
}

void HashUpdateMeta(Description* d) { d->Add("ntuples {:g}", d->in.Get<double>()); }

void HashVacuumPage16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto tuples = d->in.Get<uint16_t>();
  d->Add("ntuples {}, snapshotConflictHorizon {}, isCatalogRel {}", tuples, xid,
         TF(d->in.Get<uint8_t>()));
}

void HashVacuumPage(Description* d) {
  if (d->Since(pg::WaldumpText::k16)) return HashVacuumPage16(d);
  const auto xid = d->in.Get<uint32_t>();
  d->Add("ntuples {}, latestRemovedXid {}", d->in.Get<int32_t>(), xid);
}

constexpr Operation kHash[] = {
    {layout::hash::kInitMetaPage, "INIT_META_PAGE", HashInitMeta},
    {layout::hash::kInitBitmapPage, "INIT_BITMAP_PAGE", HashInitBitmap},
    {layout::hash::kInsert, "INSERT", HashInsert},
    {layout::hash::kAddOverflowPage, "ADD_OVFL_PAGE", HashAddOverflow},
    {layout::hash::kSplitAllocatePage, "SPLIT_ALLOCATE_PAGE", HashSplitAllocate},
    {layout::hash::kSplitPage, "SPLIT_PAGE"},
    {layout::hash::kSplitComplete, "SPLIT_COMPLETE", HashSplitComplete},
    {layout::hash::kMovePageContents, "MOVE_PAGE_CONTENTS", HashMovePage},
    {layout::hash::kSqueezePage, "SQUEEZE_PAGE", HashSqueeze},
    {layout::hash::kDelete, "DELETE", HashDelete},
    {layout::hash::kSplitCleanup, "SPLIT_CLEANUP"},
    {layout::hash::kUpdateMetaPage, "UPDATE_META_PAGE", HashUpdateMeta},
    {layout::hash::kVacuumOnePage, "VACUUM_ONE_PAGE", HashVacuumPage},
};

// Gin

constexpr uint16_t kGinIsData = 0x01;
constexpr uint16_t kGinIsLeaf = 0x02;
constexpr uint16_t kGinSplitRoot = 0x04;
constexpr size_t kGinMetaPageSize = 56;  // GinMetaPageData

// ginxlogRecompressDataLeaf: a count of actions, then each action's segment number, type and what
// the type calls for.
void AddGinRecompress(Description* d, FieldReader* in) {
  const auto actions = in->Get<uint16_t>();
  d->Add(" {} segments:", actions);
  for (int i = 0; i < actions; i++) {
    const auto segment = in->Get<uint8_t>();
    const auto action = in->Get<uint8_t>();
    if (!in->all()) return;
    switch (action) {
      case 1:
        d->Add(" {} (delete)", segment);
        break;
      case 2:
      case 3: {
        in->Skip(6);  // GinPostingList: first
        const auto length = in->Get<uint16_t>();
        in->Skip((length + size_t{1}) & ~size_t{1});
        d->Add(" {} ({})", segment, action == 2 ? "insert" : "replace");
        break;
      }
      case 4: {
        const auto items = in->Get<uint16_t>();
        in->Skip(size_t{6} * items);  // ItemPointerData
        d->Add(" {} (add {} items)", segment, items);
        break;
      }
      default:
        d->Add(" {} unknown action {} ???", segment, action);
        return;
    }
  }
}

// True when block 0 has an image: then nothing more is described.
bool AddGinImage(Description* d) {
  const BlockRef* block = d->record.block(0);
  if (!block || !block->has_image) return false;
  if (d->Since(pg::WaldumpText::k19)) return true;
  d->AddText(block->apply_image ? " (full page image)"
                                : " (full page image, for WAL verification)");
  return true;
}

void GinInsert(Description* d) {
  const auto flags = d->in.Get<uint16_t>();
  d->Add("isdata: {} isleaf: {}", TF(flags & kGinIsData), TF(flags & kGinIsLeaf));
  if (!(flags & kGinIsLeaf)) {
    const auto left = d->in.GetBlockId();
    d->Add(" children: {}/{}", left, d->in.GetBlockId());
  }
  if (AddGinImage(d)) return;
  const BlockRef* block = d->record.block(0);
  FieldReader in(block ? block->data : Bytes());
  if (!(flags & kGinIsData)) {
    in.Skip(2);  // offset
    d->Add(" isdelete: {}", TF(in.Get<uint8_t>()));
  } else if (flags & kGinIsLeaf) {
    AddGinRecompress(d, &in);
  } else {
    in.Skip(2);  // offset
    const auto child = in.GetBlockId();
    const auto key_block = in.GetBlockId();
    d->Add(" pitem: {}-{}/{}", child, key_block, in.Get<uint16_t>());
  }
  if (!in.all()) d->in.Spoil();
}

void GinSplit(Description* d) {
  d->in.Skip(sizeof(RelFileNode) + 12);  // node, rrlink, leftChildBlkno, rightChildBlkno
  const auto flags = d->in.Get<uint16_t>();
  d->Add("isrootsplit: {} isdata: {} isleaf: {}", TF(flags & kGinSplitRoot), TF(flags & kGinIsData),
         TF(flags & kGinIsLeaf));
}

void GinVacuumDataLeaf(Description* d) {
  if (AddGinImage(d)) return;
  const BlockRef* block = d->record.block(0);
  FieldReader in(block ? block->data : Bytes());
  AddGinRecompress(d, &in);
  if (!in.all()) d->in.Spoil();
}

void AddGinBlock(Description* d, const char* label, uint32_t block) {
  constexpr uint32_t kNone = UINT32_MAX;  // InvalidBlockNumber
  if (block != kNone) d->Add(" {}: {}", label, block);
}

// Up to 18 there are no words for this and the next.
void GinUpdateMeta(Description* d) {
  if (!d->Since(pg::WaldumpText::k19)) return;
  d->in.Skip(sizeof(RelFileNode));
  d->in.AlignTo(8);
  d->in.Skip(kGinMetaPageSize);
  const auto previous_tail = d->in.Get<uint32_t>();
  const auto new_right = d->in.Get<uint32_t>();
  d->Add("ntuples: {}", d->in.Get<int32_t>());
  AddGinBlock(d, "prevTail", previous_tail);
  AddGinBlock(d, "newRightlink", new_right);
}

void GinInsertListPage(Description* d) {
  if (!d->Since(pg::WaldumpText::k19)) return;
  const auto right = d->in.Get<uint32_t>();
  d->Add("ntuples: {}", d->in.Get<int32_t>());
  AddGinBlock(d, "rightlink", right);
}

void GinDeleteListPage(Description* d) {
  d->in.Skip(kGinMetaPageSize);
  d->Add("ndeleted: {}", d->in.Get<int32_t>());
}

constexpr Operation kGin[] = {
    {layout::gin::kCreatePostingTree, "CREATE_PTREE"},
    {layout::gin::kInsert, "INSERT", GinInsert},
    {layout::gin::kSplit, "SPLIT", GinSplit},
    {layout::gin::kVacuumPage, "VACUUM_PAGE"},
    {layout::gin::kDeletePage, "DELETE_PAGE"},
    {layout::gin::kUpdateMetaPage, "UPDATE_META_PAGE", GinUpdateMeta},
    {layout::gin::kInsertListPage, "INSERT_LISTPAGE", GinInsertListPage},
    {layout::gin::kDeleteListPage, "DELETE_LISTPAGE", GinDeleteListPage},
    {layout::gin::kVacuumDataLeafPage, "VACUUM_DATA_LEAF_PAGE", GinVacuumDataLeaf},
};

// Gist

void GistDelete16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto items = d->in.Get<uint16_t>();
  d->Add("delete: snapshotConflictHorizon {}, nitems: {}, isCatalogRel {}", xid, items,
         TF(d->in.Get<uint8_t>()));
}

void GistDelete(Description* d) {
  if (d->Since(pg::WaldumpText::k16)) return GistDelete16(d);
  const auto xid = d->in.Get<uint32_t>();
  d->Add("delete: latestRemovedXid {}, nitems: {}", xid, d->in.Get<uint16_t>());
}

void GistReusePage(Description* d) {
  const auto rel = d->in.Get<RelFileNode>();
  const auto block = d->in.Get<uint32_t>();
  const std::string xid = FullXid(d->in.Get<uint64_t>());
  d->Add("rel {}; blk {}; ", RelName(rel), block);
  if (d->Since(pg::WaldumpText::k16)) {
    d->Add("snapshotConflictHorizon {}, isCatalogRel {}", xid, TF(d->in.Get<uint8_t>()));
  } else {
    d->Add("latestRemovedXid {}", xid);
  }
}

void GistSplit(Description* d) {
  d->in.Skip(18);  // origrlink, orignsn, origleaf, with their padding
  d->Add("page_split: splits to {} pages", d->in.Get<uint16_t>());
}

void GistDeletePage(Description* d) {
  const auto xid = d->in.Get<uint64_t>();
  d->Add("deleteXid {}; downlink {}", FullXid(xid), d->in.Get<uint16_t>());
}

constexpr Operation kGist[] = {
    {layout::gist::kPageUpdate, "PAGE_UPDATE"},
    {layout::gist::kDelete, "DELETE", GistDelete},
    {layout::gist::kPageReuse, "PAGE_REUSE", GistReusePage},
    {layout::gist::kPageSplit, "PAGE_SPLIT", GistSplit},
    {layout::gist::kPageDelete, "PAGE_DELETE", GistDeletePage},
    {layout::gist::kAssignLsn, "ASSIGN_LSN"},
};

// SPGist

void SpgistAddLeaf(Description* d) {
  const auto new_page = d->in.Get<uint8_t>();
  const auto nulls = d->in.Get<uint8_t>();
  const auto leaf = d->in.Get<uint16_t>();
  const auto head = d->in.Get<uint16_t>();
  const auto parent = d->in.Get<uint16_t>();
  const auto node = d->in.Get<uint16_t>();
  d->Add("off: {}, headoff: {}, parentoff: {}, nodeI: {}", leaf, head, parent, node);
  if (new_page) d->AddText(" (newpage)");
  if (nulls) d->AddText(" (nulls)");
}

void SpgistMoveLeafs(Description* d) {
  const auto moves = d->in.Get<uint16_t>();
  const auto new_page = d->in.Get<uint8_t>();
  const auto replace_dead = d->in.Get<uint8_t>();
  const auto nulls = d->in.Get<uint8_t>();
  d->in.AlignTo(2);
  const auto parent = d->in.Get<uint16_t>();
  const auto node = d->in.Get<uint16_t>();
  d->Add("nmoves: {}, parentoff: {}, nodeI: {}", moves, parent, node);
  if (new_page) d->AddText(" (newpage)");
  if (replace_dead) d->AddText(" (replacedead)");
  if (nulls) d->AddText(" (nulls)");
}

void SpgistAddNode(Description* d) {
  const auto offset = d->in.Get<uint16_t>();
  const auto new_offset = d->in.Get<uint16_t>();
  const auto new_page = d->in.Get<uint8_t>();
  const auto parent_block = d->in.Get<int8_t>();
  const auto parent = d->in.Get<uint16_t>();
  const auto node = d->in.Get<uint16_t>();
  d->Add("off: {}, newoff: {}, parentBlk: {}, parentoff: {}, nodeI: {}", offset, new_offset,
         parent_block, parent, node);
  if (new_page) d->AddText(" (newpage)");
}

void SpgistSplitTuple(Description* d) {
  const auto prefix = d->in.Get<uint16_t>();
  const auto postfix = d->in.Get<uint16_t>();
  const auto new_page = d->in.Get<uint8_t>();
  const auto same = d->in.Get<uint8_t>();
  d->Add("prefixoff: {}, postfixoff: {}", prefix, postfix);
  if (new_page) d->AddText(" (newpage)");
  if (same) d->AddText(" (same)");
}

void SpgistPickSplit(Description* d) {
  const auto root = d->in.Get<uint8_t>();
  d->in.AlignTo(2);
  const auto deleted = d->in.Get<uint16_t>();
  const auto inserted = d->in.Get<uint16_t>();
  d->in.Skip(2);  // initSrc, initDest
  const auto inner = d->in.Get<uint16_t>();
  d->in.Skip(1);  // initInner
  const auto nulls = d->in.Get<uint8_t>();
  const auto inner_is_parent = d->in.Get<uint8_t>();
  d->in.AlignTo(2);
  const auto parent = d->in.Get<uint16_t>();
  const auto node = d->in.Get<uint16_t>();
  d->Add("ndelete: {}, ninsert: {}, inneroff: {}, parentoff: {}, nodeI: {}", deleted, inserted,
         inner, parent, node);
  if (inner_is_parent) d->AddText(" (innerIsParent)");
  if (nulls) d->AddText(" (nulls)");
  if (root) d->AddText(" (isRootSplit)");
}

void SpgistVacuumLeaf(Description* d) {
  const auto dead = d->in.Get<uint16_t>();
  const auto placeholder = d->in.Get<uint16_t>();
  const auto move = d->in.Get<uint16_t>();
  const auto chain = d->in.Get<uint16_t>();
  d->Add("ndead: {}, nplaceholder: {}, nmove: {}, nchain: {}", dead, placeholder, move, chain);
}

void SpgistVacuumRoot(Description* d) { d->Add("ndelete: {}", d->in.Get<uint16_t>()); }

void SpgistVacuumRedirect(Description* d) {
  const auto to_placeholder = d->in.Get<uint16_t>();
  const auto first_placeholder = d->in.Get<uint16_t>();
  const auto xid = d->in.Get<uint32_t>();
  d->Add("ntoplaceholder: {}, firstplaceholder: {}, ", to_placeholder, first_placeholder);
  if (d->Since(pg::WaldumpText::k16)) {
    d->Add("snapshotConflictHorizon: {}, isCatalogRel: {}", xid, TF(d->in.Get<uint8_t>()));
  } else {
    d->Add("newestredirectxid: {}", xid);
  }
}

constexpr Operation kSpgist[] = {
    {layout::spgist::kAddLeaf, "ADD_LEAF", SpgistAddLeaf},
    {layout::spgist::kMoveLeafs, "MOVE_LEAFS", SpgistMoveLeafs},
    {layout::spgist::kAddNode, "ADD_NODE", SpgistAddNode},
    {layout::spgist::kSplitTuple, "SPLIT_TUPLE", SpgistSplitTuple},
    {layout::spgist::kPickSplit, "PICKSPLIT", SpgistPickSplit},
    {layout::spgist::kVacuumLeaf, "VACUUM_LEAF", SpgistVacuumLeaf},
    {layout::spgist::kVacuumRoot, "VACUUM_ROOT", SpgistVacuumRoot},
    {layout::spgist::kVacuumRedirect, "VACUUM_REDIRECT", SpgistVacuumRedirect},
};

// BRIN

void BrinCreate(Description* d) {
  const auto pages = d->in.Get<uint32_t>();
  d->Add("v{} pagesPerRange {}", d->in.Get<uint16_t>(), pages);
}

void BrinInsert(Description* d) {
  const auto heap_block = d->in.Get<uint32_t>();
  const auto pages = d->in.Get<uint32_t>();
  d->Add("heapBlk {} pagesPerRange {} offnum {}", heap_block, pages, d->in.Get<uint16_t>());
}

void BrinUpdate(Description* d) {
  const auto old_offset = d->in.Get<uint16_t>();
  d->in.AlignTo(4);
  const auto heap_block = d->in.Get<uint32_t>();
  const auto pages = d->in.Get<uint32_t>();
  d->Add("heapBlk {} pagesPerRange {} old offnum {}, new offnum {}", heap_block, pages, old_offset,
         d->in.Get<uint16_t>());
}

void BrinSamePageUpdate(Description* d) { d->Add("offnum {}", d->in.Get<uint16_t>()); }

void BrinExtendRevmap(Description* d) { d->Add("targetBlk {}", d->in.Get<uint32_t>()); }

void BrinDesummarize(Description* d) {
  const auto pages = d->in.Get<uint32_t>();
  const auto heap_block = d->in.Get<uint32_t>();
  d->Add("pagesPerRange {}, heapBlk {}, page offset {}", pages, heap_block, d->in.Get<uint16_t>());
}

constexpr Operation kBrin[] = {
    {layout::brin::kCreateIndex, "CREATE_INDEX", BrinCreate},
    {layout::brin::kInsert, "INSERT", BrinInsert},
    {layout::brin::kInsert | layout::brin::kInitPage, "INSERT+INIT", BrinInsert},
    {layout::brin::kUpdate, "UPDATE", BrinUpdate},
    {layout::brin::kUpdate | layout::brin::kInitPage, "UPDATE+INIT", BrinUpdate},
    {layout::brin::kSamepageUpdate, "SAMEPAGE_UPDATE", BrinSamePageUpdate},
    {layout::brin::kRevmapExtend, "REVMAP_EXTEND", BrinExtendRevmap},
    {layout::brin::kDesummarize, "DESUMMARIZE", BrinDesummarize},
};

// Generic: one operation, whatever xl_info says.

void GenericDelta(Description* d) {
  while (d->in.remaining() > 0 && d->in.all()) {
    const auto offset = d->in.Get<uint16_t>();
    const auto length = d->in.Get<uint16_t>();
    d->in.Skip(length);
    d->Add("offset {}, length {}{}", offset, length, d->in.remaining() > 0 ? "; " : "");
  }
}

constexpr Operation kGeneric[] = {{layout::generic::kPages, "Generic", GenericDelta}};

// Sequence

void SequenceLog(Description* d) { d->Add("rel {}", RelName(d->in.Get<RelFileNode>())); }

constexpr Operation kSequence[] = {{layout::seq::kLog, "LOG", SequenceLog}};

}  // namespace

Operations HashOperations() { return {kInfoRmgrMask, kHash}; }
Operations GinOperations() { return {kInfoRmgrMask, kGin}; }
Operations GistOperations() { return {kInfoRmgrMask, kGist}; }
Operations SpgistOperations() { return {kInfoRmgrMask, kSpgist}; }
Operations BrinOperations() { return {kInfoRmgrMask, kBrin}; }
Operations GenericOperations() { return {0, kGeneric}; }
Operations SeqOperations() { return {kInfoRmgrMask, kSequence}; }

}  // namespace neon_redo
