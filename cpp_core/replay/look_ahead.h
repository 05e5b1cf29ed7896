// Has the processor fetch what the changes of a batch will need, some changes ahead.
#ifndef NEON_REDO_REPLAY_LOOK_AHEAD_H_
#define NEON_REDO_REPLAY_LOOK_AHEAD_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "cpp_core/pg/page.h"
#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/replay/record_batch.h"

namespace neon_redo {

// Fetches in four steps, each of which needs what the step before has fetched: where the block is
// found; its entry; the record, the page's header and the line pointer; the tuples. Value has a
// member `page`, a PageRef. Not thread-safe.
template <typename Value>
class LookAhead {
 public:
  using Blocks = BlockTable<Value>;

  // All must outlive it.
  LookAhead(Blocks* blocks, const PagePool* pages, const RecordBatch& batch,
            std::span<const BlockChange> changes)
      : blocks_(blocks), pages_(pages), batch_(batch), changes_(changes) {}

  // Called for each change in turn, before the change is made.
  void Step(size_t i) {
    if (const size_t n = i + 4 * kDistance; n < changes_.size())
      blocks_->Prefetch(changes_[n].hash);
    if (const size_t n = i + 3 * kDistance; n < changes_.size()) {
      entries_[n % kEntries] = blocks_->Guess(changes_[n].hash);
      if (entries_[n % kEntries] != nullptr) Prefetch(entries_[n % kEntries]);
    }
    if (const size_t n = i + 2 * kDistance; n < changes_.size()) {
      batch_.Prefetch(changes_[n].record);
      if (const uint8_t* page = PageOf(n)) PrefetchHeader(page, changes_[n].line);
    }
    if (const size_t n = i + kDistance; n < changes_.size()) {
      if (const uint8_t* page = PageOf(n)) PrefetchTuples(page, changes_[n].line);
    }
  }

 private:
  using Entry = typename Blocks::Entry;
  static constexpr size_t kDistance = 8;  // changes from one step to the next
  static constexpr size_t kEntries = 32;

  // Null when the page is not in memory, or when the change before looks at the same place.
  const uint8_t* PageOf(size_t n) const {
    const Entry* entry = entries_[n % kEntries];
    const BlockChange &change = changes_[n], &before = changes_[n == 0 ? 0 : n - 1];
    if (entry == nullptr || (n > 0 && change.hash == before.hash && change.line == before.line))
      return nullptr;
    return pages_->Look(entry->value.page);
  }

  static void PrefetchHeader(const uint8_t* page, uint16_t line) {
    constexpr size_t kLinePointers = 320;  // of most pages
    if (line == BlockChange::kWholePage) return PrefetchRange(page, kBlockSize);
    if (line & BlockChange::kAndBelow) return PrefetchRange(page, kLinePointers);
    Prefetch(page);
    Prefetch(page + kPageHeaderSize + sizeof(LinePointer) * (line == 0 ? 0 : line - 1u));
  }

  // The old tuple and the place of a new one; or, where tuples move, everything between them.
  static void PrefetchTuples(const uint8_t* page, uint16_t line) {
    constexpr size_t kTuple = 128;  // most are not longer
    if (line == BlockChange::kWholePage) return;
    const PageView view(page);
    const size_t upper = view.upper();
    LinePointer lp{};
    if (upper > kBlockSize || !view.line_pointer(line & ~BlockChange::kAndBelow, &lp)) return;
    if (!(line & BlockChange::kAndBelow)) {
      if (upper >= kTuple) PrefetchRange(page + upper - kTuple, kTuple);
      PrefetchRange(page + lp.offset(), lp.length() == 0 ? 0 : kTuple);
    } else if (lp.offset() > upper) {
      PrefetchRange(page + upper, lp.offset() - upper);
    }
  }

  Blocks* const blocks_;
  const PagePool* const pages_;
  const RecordBatch& batch_;
  const std::span<const BlockChange> changes_;
  const Entry* entries_[kEntries] = {};
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_LOOK_AHEAD_H_
