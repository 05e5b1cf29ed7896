// What is seen of the pages of a running server. A difference is not damage yet: the page may be half
// written, or newer than the WAL that was read (running.h).
#ifndef NEON_REDO_VERIFY_RUNNING_LOOK_H_
#define NEON_REDO_VERIFY_RUNNING_LOOK_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "neon_redo/block.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// The damage is in a page that is there.
inline bool DamagesPage(Damage damage) {
  return damage != Damage::kNone && damage != Damage::kMissingFile &&
         damage != Damage::kShortFile && damage != Damage::kUnreadable;
}

// Of a page as it was read: another hash shows that it was written since.
inline uint64_t HashPage(const uint8_t* page) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(page), kBlockSize});
}

// Begins what is said of a page that is to be as in the base backup.
inline constexpr const char* kNotChanged = "no WAL since the base backup changes this page, but ";

struct RunningOptions {
  // Blocks that differed before, and that no WAL has changed: what they have for an LSN is no excuse.
  std::set<BlockTag> proven{};
};

// Of one thread.
struct RunningLook {
  struct Suspect {
    Mismatch mismatch;
    uint8_t rmid;        // of the last record; not of a page that WAL does not change
    bool is_unchanged;   // WAL does not change it
    uint64_t disk_hash;  // HashPage; 0: there was no page
    // Of the file, if it is about a whole one (kNoBlockNumber): the blocks that were not compared.
    uint32_t first_block = 0, file_blocks = 0;
  };
  // A suspect page that was proven before, without a description: there is no room for more of them.
  struct Brief {
    BlockTag tag;
    uint64_t disk_hash;
    uint8_t rmid;
    bool is_unchanged;
    Damage damage;
  };
  static constexpr size_t kMostSuspects = 2000;
  bool is_full() const { return suspects.size() >= kMostSuspects; }

  void Add(Suspect suspect);

  std::vector<Suspect> suspects;
  std::vector<Brief> briefs;
  std::vector<BlockTag> undecided;  // a record changes them after the last checkpoint
  std::vector<BlockTag> newer;      // differ, and were not examined further
  uint64_t unchanged = 0;           // of all these, those that were counted as compared
};

// What is not there is kept as runs of blocks.
inline void RunningLook::Add(Suspect suspect) {
  const Mismatch& next = suspect.mismatch;
  if (!suspects.empty() && suspect.disk_hash == 0 && next.tag.block != kNoBlockNumber) {
    Mismatch& last = suspects.back().mismatch;
    const bool continues = last.damage == next.damage && last.tag.rel == next.tag.rel &&
                           last.tag.fork == next.tag.fork && last.file == next.file &&
                           last.tag.block + last.blocks == next.tag.block &&
                           last.problem == next.problem &&
                           suspects.back().is_unchanged == suspect.is_unchanged;
    if (continues) {
      last.blocks += next.blocks;
      return;
    }
  }
  suspects.push_back(std::move(suspect));
}

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RUNNING_LOOK_H_
