// Btree records, in the words of PostgreSQL 15 and of 16 and later. Layouts: access/nbtxlog.h;
// wording: rmgrdesc/nbtdesc.c.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

// The words of 15

void Insert15(Description* d) { d->Add("off {}", d->in.Get<uint16_t>()); }

void Split15(Description* d) {
  const auto level = d->in.Get<uint32_t>();
  const auto first_right = d->in.Get<uint16_t>();
  const auto new_item = d->in.Get<uint16_t>();
  const auto posting = d->in.Get<uint16_t>();
  d->Add("level {}, firstrightoff {}, newitemoff {}, postingoff {}", level, first_right, new_item,
         posting);
}

void Dedup15(Description* d) { d->Add("nintervals {}", d->in.Get<uint16_t>()); }

void Vacuum15(Description* d) {
  const auto deleted = d->in.Get<uint16_t>();
  d->Add("ndeleted {}; nupdated {}", deleted, d->in.Get<uint16_t>());
}

void Delete15(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto deleted = d->in.Get<uint16_t>();
  const auto updated = d->in.Get<uint16_t>();
  d->Add("latestRemovedXid {}; ndeleted {}; nupdated {}", xid, deleted, updated);
}

struct HalfDead {  // xl_btree_mark_page_halfdead
  uint32_t leaf, left, right, top_parent;

  explicit HalfDead(FieldReader* in) {
    in->Skip(4);  // poffset
    leaf = in->Get<uint32_t>();
    left = in->Get<uint32_t>();
    right = in->Get<uint32_t>();
    top_parent = in->Get<uint32_t>();
  }
};

void MarkHalfDead15(Description* d) {
  const HalfDead page(&d->in);
  d->Add("topparent {}; leaf {}; left {}; right {}", page.top_parent, page.leaf, page.left,
         page.right);
}

struct Unlinked {  // xl_btree_unlink_page
  uint32_t left, right, level;
  uint64_t safe_xid;
  uint32_t leaf_left, leaf_right, leaf_top_parent;

  explicit Unlinked(FieldReader* in) {
    left = in->Get<uint32_t>();
    right = in->Get<uint32_t>();
    level = in->Get<uint32_t>();
    in->AlignTo(8);
    safe_xid = in->Get<uint64_t>();
    leaf_left = in->Get<uint32_t>();
    leaf_right = in->Get<uint32_t>();
    leaf_top_parent = in->Get<uint32_t>();
  }
};

void Unlink15(Description* d) {
  const Unlinked page(&d->in);
  d->Add("left {}; right {}; level {}; safexid {}; ", page.left, page.right, page.level,
         FullXid(page.safe_xid));
  d->Add("leafleft {}; leafright {}; leaftopparent {}", page.leaf_left, page.leaf_right,
         page.leaf_top_parent);
}

void NewRoot15(Description* d) {
  d->in.Skip(4);  // rootblk
  d->Add("lev {}", d->in.Get<uint32_t>());
}

void ReusePage15(Description* d) {
  const auto rel = d->in.Get<RelFileNode>();
  d->in.Skip(4);  // block
  d->Add("rel {}; latestRemovedXid {}", RelName(rel), FullXid(d->in.Get<uint64_t>()));
}

// xl_btree_metadata is the data of block 0.
uint32_t DeletedPagesInMeta(Description* d) {
  const BlockRef* block = d->record.block(0);
  FieldReader in(block ? block->data : Bytes());
  in.Skip(20);
  const auto pages = in.Get<uint32_t>();
  if (!in.all()) d->in.Spoil();
  return pages;
}

void MetaCleanup15(Description* d) {
  d->Add("last_cleanup_num_delpages {}", DeletedPagesInMeta(d));
}

// The words of 16 and later

void BtreeInsert16(Description* d) { d->Add("off: {}", d->in.Get<uint16_t>()); }

void Split16(Description* d) {
  const auto level = d->in.Get<uint32_t>();
  const auto first_right = d->in.Get<uint16_t>();
  const auto new_item = d->in.Get<uint16_t>();
  const auto posting = d->in.Get<uint16_t>();
  d->Add("level: {}, firstrightoff: {}, newitemoff: {}, postingoff: {}", level, first_right,
         new_item, posting);
}

void Dedup16(Description* d) { d->Add("nintervals: {}", d->in.Get<uint16_t>()); }

// The data of block 0: the offsets of items to delete, those of items to update, and for the latter
// an xl_btree_update each, with places in a posting list.
void AddDeletedAndUpdated(Description* d, uint16_t deleted, uint16_t updated) {
  const BlockRef* block = d->record.block(0);
  if (!block || block->data.empty()) return;
  FieldReader in(block->data);
  d->AddText(", deleted: ");
  d->AddOffsets(&in, deleted);
  FieldReader offsets(in.GetBytes(size_t{2} * updated));
  d->AddText(", updated: ");
  d->AddList(in, updated, [&] {
    const auto offset = offsets.Get<uint16_t>();
    const auto tids = in.Get<uint16_t>();
    d->Add("{{ off: {}, nptids: {}, ptids: ", offset, tids);
    d->AddOffsets(&in, tids);
    d->AddText(" }");
  });
  if (!in.all()) d->in.Spoil();
}

void BtreeVacuum16(Description* d) {
  const auto deleted = d->in.Get<uint16_t>();
  const auto updated = d->in.Get<uint16_t>();
  d->Add("ndeleted: {}, nupdated: {}", deleted, updated);
  AddDeletedAndUpdated(d, deleted, updated);
}

void Delete16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto deleted = d->in.Get<uint16_t>();
  const auto updated = d->in.Get<uint16_t>();
  d->Add("snapshotConflictHorizon: {}, ndeleted: {}, nupdated: {}, isCatalogRel: {}", xid, deleted,
         updated, d->in.Get<uint8_t>() ? 'T' : 'F');
  AddDeletedAndUpdated(d, deleted, updated);
}

void MarkHalfDead16(Description* d) {
  const HalfDead page(&d->in);
  d->Add("topparent: {}, leaf: {}, left: {}, right: {}", page.top_parent, page.leaf, page.left,
         page.right);
}

void Unlink16(Description* d) {
  const Unlinked page(&d->in);
  d->Add("left: {}, right: {}, level: {}, safexid: {}, ", page.left, page.right, page.level,
         FullXid(page.safe_xid));
  d->Add("leafleft: {}, leafright: {}, leaftopparent: {}", page.leaf_left, page.leaf_right,
         page.leaf_top_parent);
}

void NewRoot16(Description* d) {
  d->in.Skip(4);  // rootblk
  d->Add("level: {}", d->in.Get<uint32_t>());
}

void ReusePage16(Description* d) {
  const auto rel = d->in.Get<RelFileNode>();
  d->in.Skip(4);  // block
  const auto xid = d->in.Get<uint64_t>();
  d->Add("rel: {}, snapshotConflictHorizon: {}, isCatalogRel: {}", RelName(rel), FullXid(xid),
         d->in.Get<uint8_t>() ? 'T' : 'F');
}

void MetaCleanup16(Description* d) {
  d->Add("last_cleanup_num_delpages: {}", DeletedPagesInMeta(d));
}

constexpr Operation kBtree15[] = {
    {layout::btree::kInsertLeaf, "INSERT_LEAF", Insert15},
    {layout::btree::kInsertUpper, "INSERT_UPPER", Insert15},
    {layout::btree::kInsertMeta, "INSERT_META", Insert15},
    {layout::btree::kSplitLeft, "SPLIT_L", Split15},
    {layout::btree::kSplitRight, "SPLIT_R", Split15},
    {layout::btree::kInsertPost, "INSERT_POST", Insert15},
    {layout::btree::kDedup, "DEDUP", Dedup15},
    {layout::btree::kDelete, "DELETE", Delete15},
    {layout::btree::kUnlinkPage, "UNLINK_PAGE", Unlink15},
    {layout::btree::kUnlinkPageMeta, "UNLINK_PAGE_META", Unlink15},
    {layout::btree::kNewRoot, "NEWROOT", NewRoot15},
    {layout::btree::kMarkPageHalfDead, "MARK_PAGE_HALFDEAD", MarkHalfDead15},
    {layout::btree::kVacuum, "VACUUM", Vacuum15},
    {layout::btree::kReusePage, "REUSE_PAGE", ReusePage15},
    {layout::btree::kMetaCleanup, "META_CLEANUP", MetaCleanup15},
};

constexpr Operation kBtree16[] = {
    {layout::btree::kInsertLeaf, "INSERT_LEAF", BtreeInsert16},
    {layout::btree::kInsertUpper, "INSERT_UPPER", BtreeInsert16},
    {layout::btree::kInsertMeta, "INSERT_META", BtreeInsert16},
    {layout::btree::kSplitLeft, "SPLIT_L", Split16},
    {layout::btree::kSplitRight, "SPLIT_R", Split16},
    {layout::btree::kInsertPost, "INSERT_POST", BtreeInsert16},
    {layout::btree::kDedup, "DEDUP", Dedup16},
    {layout::btree::kDelete, "DELETE", Delete16},
    {layout::btree::kUnlinkPage, "UNLINK_PAGE", Unlink16},
    {layout::btree::kUnlinkPageMeta, "UNLINK_PAGE_META", Unlink16},
    {layout::btree::kNewRoot, "NEWROOT", NewRoot16},
    {layout::btree::kMarkPageHalfDead, "MARK_PAGE_HALFDEAD", MarkHalfDead16},
    {layout::btree::kVacuum, "VACUUM", BtreeVacuum16},
    {layout::btree::kReusePage, "REUSE_PAGE", ReusePage16},
    {layout::btree::kMetaCleanup, "META_CLEANUP", MetaCleanup16},
};

}  // namespace

Operations BtreeOperations15() { return {kInfoRmgrMask, kBtree15}; }
Operations BtreeOperations16() { return {kInfoRmgrMask, kBtree16}; }

}  // namespace neon_redo
