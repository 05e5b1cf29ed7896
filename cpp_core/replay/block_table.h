// A value kept for each block. It is found by the block's tag and forgotten with its relation: WAL
// drops and truncates whole relations.
#ifndef NEON_REDO_REPLAY_BLOCK_TABLE_H_
#define NEON_REDO_REPLAY_BLOCK_TABLE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "cpp_core/base/hash_key.h"
#include "cpp_core/base/memory_budget.h"
#include "cpp_core/base/prefetch.h"
#include "neon_redo/block.h"

namespace neon_redo {

inline uint64_t HashTag(const BlockTag& tag, const HashKey& key = kHashKey) {
  const uint64_t relation = (uint64_t{tag.rel.db} << 32 | tag.rel.spc) + tag.fork;
  const uint64_t block = uint64_t{tag.rel.rel} << 32 | tag.block;
  return HashPair(block, relation, key);
}

// T: default-constructible. Entries stay where they are in memory until they are forgotten. Not
// thread-safe.
//
// A hash table with linear probing, of eight bytes a place and at most half full. The entries lie
// apart, in the order in which they were made.
template <typename T>
class BlockTable {
 public:
  struct Entry {
    BlockTag tag;
    T value;
  };

  // The table's memory is charged to the budget, which must outlive it; null: to none.
  explicit BlockTable(MemoryBudget* budget = nullptr) : budget_(budget) {}

  // Null when nothing is kept for the block.
  Entry* Find(const BlockTag& tag) {
    const uint64_t hash = HashTag(tag);
    for (size_t at = hash & mask_; places_[at].number != 0; at = (at + 1) & mask_) {
      if (places_[at].hash != High(hash)) continue;
      Entry* entry = &At(places_[at].number - 1);
      if (entry->tag == tag) return entry;
    }
    return nullptr;
  }

  // hash: HashTag(tag).
  Entry* FindOrAdd(const BlockTag& tag) { return FindOrAdd(tag, HashTag(tag)); }
  Entry* FindOrAdd(const BlockTag& tag, uint64_t hash) {
    size_t at = hash & mask_;
    for (; places_[at].number != 0; at = (at + 1) & mask_) {
      if (places_[at].hash != High(hash)) continue;
      Entry* entry = &At(places_[at].number - 1);
      if (entry->tag == tag) return entry;
    }
    return Add(tag, hash, at);
  }
  T& at(const BlockTag& tag) { return FindOrAdd(tag)->value; }

  // Has the processor fetch where the block with this HashTag is found.
  void Prefetch(uint64_t hash) const { neon_redo::Prefetch(&places_[hash & mask_]); }
  // Where the block's entry may be. The entry itself is not looked at. Null when there is none.
  Entry* Guess(uint64_t hash) {
    for (size_t at = hash & mask_; places_[at].number != 0; at = (at + 1) & mask_)
      if (places_[at].hash == High(hash)) return &At(places_[at].number - 1);
    return nullptr;
  }

  // WAL has created or truncated the relation: blocks from here on are new, and no earlier copy of
  // the file has them.
  uint32_t BaseEnd(const BlockTag& tag) const {
    auto rel = relations_.find(tag.rel);
    return rel == relations_.end() ? UINT32_MAX : rel->second[tag.fork].base_end;
  }

  // Forgets the blocks of one fork from `first` on. Before that, calls forget(T*) for each.
  template <typename F>
  void Truncate(const RelFileNode& rel, uint8_t fork_number, uint32_t first, F forget) {
    if (fork_number > kMaxForkNumber) return;
    Fork& fork = relations_[rel][fork_number];
    fork.base_end = std::min(fork.base_end, first);
    std::erase_if(fork.numbers, [&](uint32_t number) {
      Entry& entry = At(number);
      if (entry.tag.block < first) return false;
      forget(&entry.value);
      Remove(number);
      return true;
    });
  }

  // Forgets all forks. Blocks that are added afterwards are those of a new relation.
  template <typename F>
  void Drop(const RelFileNode& rel, F forget) {
    for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++) Truncate(rel, fork, 0, forget);
  }

  // Forgets every relation of a database in a tablespace.
  template <typename F>
  void DropDatabase(uint32_t db, uint32_t spc, F forget) {
    for (auto rel = relations_.lower_bound(RelFileNode{spc, db, 0});
         rel != relations_.end() && rel->first.spc == spc && rel->first.db == db; ++rel)
      Drop(rel->first, forget);
  }

  // All entries in the order of relation, fork, block: the order of files.
  std::vector<Entry*> Sorted() {
    std::vector<Entry*> all;
    all.reserve(used_);
    for (auto& [rel, forks] : relations_) {
      for (Fork& fork : forks) {
        const size_t first = all.size();
        for (uint32_t number : fork.numbers) all.push_back(&At(number));
        std::sort(all.begin() + static_cast<ptrdiff_t>(first), all.end(),
                  [](const Entry* a, const Entry* b) { return a->tag.block < b->tag.block; });
      }
    }
    return all;
  }

  size_t size() const { return used_; }

 private:
  static constexpr uint32_t kChunkBits = 9;

  struct Place {
    uint32_t hash = 0;    // its upper half
    uint32_t number = 0;  // of the entry, from 1; 0: empty
  };
  struct Fork {
    uint32_t base_end = UINT32_MAX;
    std::vector<uint32_t> numbers;  // of its entries
  };

  static uint32_t High(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  Entry& At(uint32_t number) {
    return chunks_[number >> kChunkBits][number & ((1u << kChunkBits) - 1)];
  }

  Entry* Add(const BlockTag& tag, uint64_t hash, size_t at) {
    if (2 * (used_ + 1) > places_.size()) {
      Grow();
      for (at = hash & mask_; places_[at].number != 0;) at = (at + 1) & mask_;
    }
    uint32_t number = next_;
    if (free_.empty()) {
      if (next_++ % (1u << kChunkBits) == 0) {
        // Beside the entry its number, in a vector that may be half full, and its place in Sorted.
        Charge((sizeof(Entry) + 2 * sizeof(uint32_t) + sizeof(Entry*)) << kChunkBits);
        chunks_.push_back(std::make_unique<Entry[]>(1u << kChunkBits));
      }
    } else {
      number = free_.back();
      free_.pop_back();
    }
    places_[at] = {High(hash), number + 1};
    used_++;
    relations_[tag.rel][tag.fork].numbers.push_back(number);
    Entry& entry = At(number);
    entry.tag = tag;
    return &entry;
  }

  void Charge(size_t bytes) {
    if (budget_ != nullptr) budget_->Force(static_cast<int64_t>(bytes));
  }

  void Grow() {
    Charge(places_.size() * sizeof(Place));
    places_.assign(2 * places_.size(), {});
    mask_ = places_.size() - 1;
    for (auto& [rel, forks] : relations_) {
      for (Fork& fork : forks) {
        for (uint32_t number : fork.numbers) {
          const uint64_t hash = HashTag(At(number).tag);
          size_t at = hash & mask_;
          while (places_[at].number != 0) at = (at + 1) & mask_;
          places_[at] = {High(hash), number + 1};
        }
      }
    }
  }

  // Closes the gap: entries after it in the same run move up, if their hash allows it.
  void Remove(uint32_t number) {
    size_t gap = HashTag(At(number).tag) & mask_;
    while (places_[gap].number != number + 1) gap = (gap + 1) & mask_;
    for (size_t at = (gap + 1) & mask_; places_[at].number != 0; at = (at + 1) & mask_) {
      const size_t home = HashTag(At(places_[at].number - 1).tag) & mask_;
      if (((at - home) & mask_) < ((at - gap) & mask_)) continue;
      places_[gap] = places_[at];
      gap = at;
    }
    places_[gap] = {};
    At(number) = {};
    free_.push_back(number);
    used_--;
  }

  MemoryBudget* const budget_;
  std::vector<Place> places_ = std::vector<Place>(1024);
  size_t mask_ = 1023;
  size_t used_ = 0;
  std::vector<std::unique_ptr<Entry[]>> chunks_;
  uint32_t next_ = 0;
  std::vector<uint32_t> free_;
  std::map<RelFileNode, std::array<Fork, kMaxForkNumber + 1>> relations_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_BLOCK_TABLE_H_
