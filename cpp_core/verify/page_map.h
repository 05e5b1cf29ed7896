// Something kept for each block, found by relation and forgotten by relation: drops and truncations
// come as whole relations.
#ifndef NEON_REDO_VERIFY_PAGE_MAP_H_
#define NEON_REDO_VERIFY_PAGE_MAP_H_

#include <cstdint>
#include <map>

#include "cpp_core/keyspace/block.h"

namespace neon_redo {

// What is kept of one fork of one relation.
template <typename T>
struct ForkPages {
  std::map<uint32_t, T> blocks;
  // Blocks from here on were made anew since the start (relation created, truncated): what any
  // earlier copy of the file holds there is of no use.
  uint32_t base_end = UINT32_MAX;
};

// Not thread-safe. Iteration is in the order of relation, fork, block: the order of files.
template <typename T>
class PageMap {
 public:
  using Forks = std::map<uint8_t, ForkPages<T>>;
  using Relations = std::map<RelFileNode, Forks>;

  ForkPages<T>& fork(const RelFileNode& rel, uint8_t fork) { return relations_[rel][fork]; }
  T& at(const BlockTag& tag) { return relations_[tag.rel][tag.fork].blocks[tag.block]; }
  // Null when nothing is kept for the block.
  T* find(const BlockTag& tag) {
    auto rel = relations_.find(tag.rel);
    if (rel == relations_.end()) return nullptr;
    auto fork = rel->second.find(tag.fork);
    if (fork == rel->second.end()) return nullptr;
    auto block = fork->second.blocks.find(tag.block);
    return block == fork->second.blocks.end() ? nullptr : &block->second;
  }

  // Forgets blocks from first on, of one fork; returns how many it forgot.
  uint64_t Truncate(const RelFileNode& rel, uint8_t fork_number, uint32_t first) {
    ForkPages<T>& pages = fork(rel, fork_number);
    if (first < pages.base_end) pages.base_end = first;
    auto from = pages.blocks.lower_bound(first);
    const auto forgotten = static_cast<uint64_t>(std::distance(from, pages.blocks.end()));
    pages.blocks.erase(from, pages.blocks.end());
    return forgotten;
  }

  // Forgets all forks; what comes for the relation afterwards is a new relation's.
  uint64_t Drop(const RelFileNode& rel) {
    uint64_t forgotten = 0;
    for (uint8_t fork = 0; fork <= kMaxForkNumber; fork++) forgotten += Truncate(rel, fork, 0);
    return forgotten;
  }

  // Forgets every relation of a database in a tablespace.
  uint64_t DropDatabase(uint32_t db, uint32_t spc) {
    uint64_t forgotten = 0;
    for (auto rel = relations_.lower_bound(RelFileNode{spc, db, 0});
         rel != relations_.end() && rel->first.spc == spc && rel->first.db == db; ++rel)
      forgotten += Drop(rel->first);
    return forgotten;
  }

  Relations& relations() { return relations_; }

 private:
  Relations relations_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_PAGE_MAP_H_
