#include "cpp_core/store/recorder.h"

#include "cpp_core/base/try.h"
#include "cpp_core/store/encoding.h"

namespace neon_redo {

namespace {

constexpr uint8_t kNoFork = 0x80;  // in the place of a fork: no page's key

RelFileNode RelOf(const PageKey& key) { return {key.field2, key.field3, key.field4}; }

}  // namespace

PageKey CutKey(const RelFileNode& rel, uint8_t fork) {
  return {PageKey::kRelation, rel.spc, rel.db, rel.rel, static_cast<uint8_t>(kNoFork | fork), 0};
}
PageKey DatabaseKey(uint32_t tablespace, uint32_t database) {
  return {PageKey::kRelation, tablespace, database, 0, kNoFork, 0};
}
PageKey SlruKey(SlruKind kind) {
  return {PageKey::kSlru, static_cast<uint32_t>(kind), 0, 0, kNoFork, 0};
}

Status Recorder::Take(const ChangeList& changes, const RecordView& view, const WalRecord& record) {
  lsn_ = record.end;
  index_ = 0;
  for (const Change& change : changes) {
    if (!IsWanted(change)) continue;
    RETURN_IF_ERROR(TakeOne(change, view));
    index_++;
  }
  return {};
}

bool Recorder::IsWanted(const Change& change) const {
  if (!options_.only) return true;
  const PageKey& only = *options_.only;
  const PageKey& key = change.key;
  if (key.field1 != only.field1) return false;
  if (key.field1 == PageKey::kSlru)
    return key.field2 == only.field2 && (key == only || !ChangesPage(change.kind));
  // The same file in any database. Whatever is not a page's concerns the relation or the database.
  return key.field4 == 0 || key.field4 == only.field4;
}

Status Recorder::TakeOne(const Change& change, const RecordView& view) {
  using enum ChangeKind;
  const PageKey& key = change.key;
  const Fork fork{RelOf(key), key.field5};
  switch (change.kind) {
    case kRecord:
    case kImage:
    case kClearVisibility: {
      ASSIGN_OR_RETURN(const uint32_t size, SizeNow(fork));
      if (size == kNoBlock || size <= key.field6) {
        RETURN_IF_ERROR(SetSize(fork, key.field6 + 1));
      }
      if (options_.only &&
          (key.field5 != options_.only->field5 || key.field6 != options_.only->field6))
        return {};
      return Put(key, change, view);
    }
    case kTruncateVisibility:
    case kZeroSlruPage:
    case kClogCommitted:
    case kClogAborted:
    case kMultixactOffset:
    case kMultixactMembers:
    case kCommitTs:
    case kRelationMap:
      return Put(key, change, view);
    case kTruncateSlru:
    case kDropSlruSegments:
    case kDropSlru:
      return Put(SlruKey(static_cast<SlruKind>(key.field2)), change, view);
    case kCreateFork: {
      ASSIGN_OR_RETURN(const uint32_t size, SizeNow(fork));
      return size == kNoBlock ? SetSize(fork, 0) : Status();
    }
    case kTruncateFork: {
      ASSIGN_OR_RETURN(const uint32_t size, SizeNow(fork));
      if (size != kNoBlock && size > change.number) {
        RETURN_IF_ERROR(SetSize(fork, change.number));
      }
      return Put(CutKey(fork.rel, fork.number), change, view);
    }
    case kDropRelation:
      for (uint8_t number = 0; number <= kMaxForkNumber; number++) {
        RETURN_IF_ERROR(SetSize({fork.rel, number}, kNoBlock));
        RETURN_IF_ERROR(Put(CutKey(fork.rel, number), change, view));
      }
      return {};
    case kCopyDatabase:
    case kCreateDatabase:
    case kDropDatabase: {
      std::erase_if(sizes_, [&](const auto& entry) {
        return entry.first.rel.spc == key.field2 && entry.first.rel.db == key.field3;
      });
      return Put(DatabaseKey(key.field2, key.field3), change, view);
    }
    default:
      return {};
  }
}

Status Recorder::Put(const PageKey& key, const Change& change, const RecordView& view) {
  EncodeChange(change, view, &buffer_);
  const Bytes bytes(reinterpret_cast<const uint8_t*>(buffer_.data()), buffer_.size());
  const bool whole = change.initialises() || change.kind == ChangeKind::kRelationMap;
  return store_.Put(key, lsn_, index_, whole, bytes);
}

// What the store has from earlier, then what the template or the base backup has. kNoBlock: there
// is no such fork, as far as is known.
Result<uint32_t> Recorder::SizeNow(const Fork& fork) {
  if (const auto known = sizes_.find(fork); known != sizes_.end()) return known->second;
  const Lsn now(~uint64_t{0});
  const auto stored = store_.Get(PageKey::OfRelationSize(fork.rel, fork.number), now);
  if (!stored) return tl::unexpected(stored.error());
  const auto events = store_.Get(DatabaseKey(fork.rel.spc, fork.rel.db), now);
  if (!events) return tl::unexpected(events.error());
  const bool is_stored = !stored->empty() && stored->back().value.size() == 4 &&
                         (events->empty() || events->back().lsn < stored->back().lsn);
  uint32_t size = kNoBlock;
  if (is_stored) {
    size = LoadNative<uint32_t>(stored->back().value.data());
  } else if (!events->empty()) {
    const std::string& value = events->back().value;
    ASSIGN_OR_RETURN(const auto event,
                     DecodeChange(PageKey(), Bytes(reinterpret_cast<const uint8_t*>(value.data()),
                                                   value.size())));
    if (event.change.kind == ChangeKind::kCopyDatabase) {
      ASSIGN_OR_RETURN(
          const auto source,
          SizeNow({{event.change.number, event.change.number2, fork.rel.rel}, fork.number}));
      size = source;
    }
  } else if (options_.base_size) {
    ASSIGN_OR_RETURN(const auto base, options_.base_size(fork.rel, fork.number));
    size = base.value_or(kNoBlock);
  }
  sizes_[fork] = size;
  return size;
}

Status Recorder::SetSize(const Fork& fork, uint32_t blocks) {
  sizes_[fork] = blocks;
  uint8_t bytes[4];
  std::memcpy(bytes, &blocks, 4);
  return store_.Put(PageKey::OfRelationSize(fork.rel, fork.number), lsn_, index_, true, bytes);
}

}  // namespace neon_redo
