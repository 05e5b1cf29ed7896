// B-tree operations that lay out a whole page again: the two halves of a split (btree_xlog_split)
// and deduplication (btree_xlog_dedup in access/nbtree/nbtxlog.c, with nbtdedup.c).
//
// The new content is put together in a page of its own, which starts as zeroes with the old page's
// special area (PageGetTempPageCopySpecial), so what was unused on the old page is zero afterwards.
#include <algorithm>

#include "cpp_core/pg/operations.h"
#include "cpp_core/redo/native/btree.h"

namespace neon_redo::native {

namespace {

// A page under construction, from another's special area.
struct Draft {
  explicit Draft(const uint8_t* old) {
    InitPage(page, pg::btree::kSpecialSize);
    std::memcpy(page + kPageSize - pg::btree::kSpecialSize,
                old + kPageSize - pg::btree::kSpecialSize, pg::btree::kSpecialSize);
  }
  bool Append(const uint8_t* data, uint32_t size) {
    return AddItem(page, MaxOffset(page) + 1, data, size);
  }
  bool Append(const Item& item) { return Append(item.data, item.length); }

  alignas(8) uint8_t page[kPageSize];
};

// xl_btree_split
struct SplitRecord {
  bool Read(const Change& change) {
    const Bytes main = change.main();
    if (main.size() < 10) return false;
    level = Get32(main.data());
    first_right = Get16(main.data() + 4);
    new_item_offset = Get16(main.data() + 6);
    posting_offset = Get16(main.data() + 8);
    new_item_on_left = change.info() == layout::btree::kSplitLeft;
    return true;
  }
  uint32_t level;
  uint16_t first_right, new_item_offset, posting_offset;
  bool new_item_on_left;
};

// The tuple at the front of data, its size rounded up; it is taken off.
bool TakeTuple(Bytes* data, Bytes* tuple) {
  if (data->size() < kIndexTupleHeaderSize) return false;
  const uint32_t size = MaxAlign(TupleSize(data->data()));
  if (size < kIndexTupleHeaderSize || size > data->size()) return false;
  *tuple = data->first(size);
  *data = data->subspan(size);
  return true;
}

// What a split's block 0 carries: the new item, if this page needs it, and the left page's new high
// key. new_item and posting are copies, changed by the posting list split if there is one.
struct SplitParts {
  bool Read(const Change& change, const SplitRecord& split) {
    Bytes data = change.data(), item;
    if (split.new_item_on_left || split.posting_offset != 0) {
      if (!TakeTuple(&data, &item)) return false;
      new_item_size = static_cast<uint32_t>(item.size());
      if (new_item_size > sizeof(new_item)) return false;
      std::memcpy(new_item, item.data(), item.size());
      if (split.posting_offset != 0 && !SplitPosting(change, split)) return false;
    }
    return TakeTuple(&data, &high_key) && data.empty();
  }

  bool SplitPosting(const Change& change, const SplitRecord& split) {
    Item old;
    PostingTuple list;
    replaced = split.new_item_offset - 1u;
    if (!FindItem(change.page, replaced, kIndexTupleHeaderSize, &old) ||
        old.length > sizeof(posting))
      return false;
    std::memcpy(posting, old.data, old.length);
    posting_size = old.length;
    return list.Read({posting, posting_size}) && SwapPosting(new_item, list, split.posting_offset);
  }

  Bytes high_key;
  uint32_t new_item_size = 0;
  uint32_t posting_size = 0;
  uint32_t replaced = 0;  // item number whose place `posting` takes; 0: none
  alignas(8) uint8_t new_item[kPageSize];
  alignas(8) uint8_t posting[kPageSize];
};

// _bt_dedup_*: runs of tuples that become one, with all their heap TIDs.
class Merger {
 public:
  explicit Merger(Draft* draft) : draft_(draft) {}

  bool Start(const Item& base) {
    base_ = base;
    items_ = 1;
    tid_count_ = 0;
    key_size_ = base.length;
    if (PostingTuple::IsPivot(base.data) || base.length != TupleSize(base.data)) return false;
    PostingTuple list;
    if (PostingTuple::Is(base.data)) {
      if (!list.Read(base)) return false;
      key_size_ = list.key_size;
    }
    return TakeTids(base);
  }

  bool Merge(const Item& item) {
    constexpr uint32_t kMaxItemSize = 2704;  // BTMaxItemSize
    if (PostingTuple::IsPivot(item.data) || item.length != TupleSize(item.data)) return false;
    items_++;
    return TakeTids(item) && MaxAlign(key_size_ + tid_count_ * kItemPointerSize) <= kMaxItemSize;
  }

  bool Finish() {
    if (items_ == 1) return draft_->Append(base_);
    if (key_size_ % 8 != 0) return false;
    const uint32_t size = MaxAlign(key_size_ + tid_count_ * kItemPointerSize);
    uint8_t* to = AddItem(draft_->page, MaxOffset(draft_->page) + 1, size);
    if (to == nullptr) return false;
    std::memcpy(to, base_.data, key_size_);
    SetPosting(to, size, key_size_, tid_count_);
    std::memcpy(to + key_size_, tids_, size_t{tid_count_} * kItemPointerSize);
    return true;
  }

  uint32_t items() const { return items_; }

 private:
  bool TakeTids(const Item& item) {
    const uint8_t* from = item.data;
    uint32_t count = 1;
    PostingTuple list;
    if (PostingTuple::Is(item.data)) {
      if (!list.Read(item)) return false;
      from = list.tid(0);
      count = list.count;
    }
    if ((tid_count_ + count) * kItemPointerSize > sizeof(tids_)) return false;
    std::memcpy(tids_ + tid_count_ * kItemPointerSize, from, count * kItemPointerSize);
    tid_count_ += count;
    return true;
  }

  Draft* draft_;
  Item base_;
  uint32_t key_size_ = 0;
  uint32_t items_ = 0;
  uint32_t tid_count_ = 0;
  uint8_t tids_[kPageSize];
};

}  // namespace

bool SwapPosting(uint8_t* new_tuple, const PostingTuple& posting, uint32_t at) {
  if (at == 0 || at >= posting.count) return false;
  uint8_t last[kItemPointerSize];
  std::memcpy(last, posting.tid(posting.count - 1), sizeof(last));
  std::memmove(posting.tid(at + 1), posting.tid(at),
               size_t{posting.count - at - 1} * kItemPointerSize);
  std::memcpy(posting.tid(at), new_tuple, kItemPointerSize);
  std::memcpy(new_tuple, last, sizeof(last));
  return true;
}

bool RestoreItems(uint8_t* page, Bytes items) {
  Bytes found[kMaxIndexTuples];
  uint32_t count = 0;
  while (!items.empty()) {
    if (count == kMaxIndexTuples || !TakeTuple(&items, &found[count])) return false;
    count++;
  }
  for (uint32_t i = count; i-- > 0;) {
    if (!AddItem(page, count - i, found[i].data(), static_cast<uint32_t>(found[i].size())))
      return false;
  }
  return true;
}

bool SplitRightPage(Change* change) {
  SplitRecord split;
  if (!split.Read(*change)) return false;
  const BlockRef* sibling = change->record.block(2);
  InitBtreePage(change->page, change->record.block(0)->tag.block,
                sibling == nullptr ? 0 : sibling->tag.block, split.level,
                split.level == 0 ? pg::btree::kLeaf : 0);
  return RestoreItems(change->page, change->data());
}

bool SplitLeftPage(Change* change) {
  SplitRecord split;
  SplitParts parts;
  uint8_t* page = change->page;
  if (!split.Read(*change) || !BtreeHeaderFits(page) || !parts.Read(*change, split)) return false;
  Draft left(page);
  if (!left.Append(parts.high_key.data(), static_cast<uint32_t>(parts.high_key.size())))
    return false;
  uint32_t number = FirstDataKey(page);
  const auto add_new_item = [&] {
    return !split.new_item_on_left || number != split.new_item_offset ||
           left.Append(parts.new_item, parts.new_item_size);
  };
  for (; number < split.first_right; number++) {
    if (number == parts.replaced) {
      if (!left.Append(parts.posting, parts.posting_size)) return false;
      continue;
    }
    Item item;
    if (!add_new_item() || !FindItem(page, number, kIndexTupleHeaderSize, &item) ||
        !left.Append(item))
      return false;
  }
  if (!add_new_item()) return false;
  std::memcpy(page, left.page, kPageSize);
  Put32(Opaque(page) + pg::btree::kNext, change->record.block(1)->tag.block);
  Put16(Opaque(page) + pg::btree::kFlags,
        pg::btree::kIncompleteSplit | (split.level == 0 ? pg::btree::kLeaf : 0u));
  Put16(Opaque(page) + pg::btree::kCycleId, 0);
  return true;
}

// xl_btree_dedup: nintervals. The block's data: for each, the first item's number and how many
// items become one (BTDedupInterval).
bool Dedup(Change* change) {
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  if (main.size() < 2 || !BtreeHeaderFits(page)) return false;
  const uint32_t intervals = Get16(main.data());
  if (data.size() < 4 * size_t{intervals}) return false;

  Draft draft(page);
  const uint32_t first = FirstDataKey(page), last = MaxOffset(page);
  Item item;
  if (first == 2 && (!FindItem(page, 1, kIndexTupleHeaderSize, &item) || !draft.Append(item)))
    return false;
  if (first > last) return false;
  Merger merger(&draft);
  uint32_t base = first, interval = 0;
  for (uint32_t number = first; number <= last; number++) {
    if (!FindItem(page, number, kIndexTupleHeaderSize, &item)) return false;
    const uint8_t* now = data.data() + 4 * size_t{interval};
    if (number == first) {
      if (!merger.Start(item)) return false;
    } else if (interval < intervals && base == Get16(now) && merger.items() < Get16(now + 2)) {
      if (!merger.Merge(item)) return false;
    } else {
      if (!merger.Finish()) return false;
      if (merger.items() > 1) interval++;
      base = number;
      if (!merger.Start(item)) return false;
    }
  }
  if (!merger.Finish()) return false;
  ClearBtreeFlag(draft.page, pg::btree::kHasGarbage);
  std::memcpy(page, draft.page, kPageSize);
  return true;
}

}  // namespace neon_redo::native
