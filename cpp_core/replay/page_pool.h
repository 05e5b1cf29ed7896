// Pages in bounded memory: pages that were not used lately are spilled to a file.
#ifndef NEON_REDO_REPLAY_PAGE_POOL_H_
#define NEON_REDO_REPLAY_PAGE_POOL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/memory_budget.h"
#include "cpp_core/replay/large_page.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"

namespace neon_redo {

// The place of a page. Must not move in memory while it holds a page: the pool writes to it.
class PageRef {
 public:
  bool present() const { return at_ != kAbsent; }

 private:
  friend class PagePool;
  static constexpr uint32_t kAbsent = UINT32_MAX;
  static constexpr uint32_t kSpilled = 1u << 31;
  uint32_t at_ = kAbsent;  // frame, or kSpilled and slot of the file
};

// Not thread-safe. The file is made when it is first needed, has no name and is gone with the pool.
class PagePool {
 public:
  // The budget must outlive the pool. However little is left of it, a pool has one chunk of frames.
  // Others it gives back when the budget is overdrawn.
  PagePool(MemoryBudget* budget, std::string spill_directory)
      : budget_(budget), spill_directory_(std::move(spill_directory)) {}
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Gives an absent ref a page of unspecified content. Returns its bytes: kBlockSize of them, at a
  // multiple of kBlockSize, for reading and writing until the next call of Allocate or Get.
  uint8_t* Allocate(PageRef* ref);
  // The bytes of a present ref's page, in the same way.
  uint8_t* Get(PageRef* ref) {
    if (!(ref->at_ & PageRef::kSpilled)) [[likely]] {
      if (full_) used_[ref->at_] = true;
      return Frame(ref->at_);
    }
    return Fetch(ref);
  }
  // Makes the ref absent; it may be so already.
  void Release(PageRef* ref);

  // The bytes of the page if it is in memory, null else. Does not count as a use.
  const uint8_t* Look(const PageRef& ref) const {
    return ref.at_ & PageRef::kSpilled ? nullptr : Frame(ref.at_);
  }

  // The error (ErrnoCode): pages could not be spilled or read back, and their content is lost. To be
  // looked at in the end.
  const Status& status() const { return status_; }
  uint64_t spills() const { return spills_; }

  static constexpr uint64_t kChunkBytes = kLargePageBytes;

 private:
  static constexpr uint32_t kChunkFrames = kChunkBytes / kBlockSize;
  static constexpr uint32_t kPieceFrames = 16;
  static constexpr uint32_t kNoFrame = UINT32_MAX;

  uint8_t* Frame(uint32_t frame) const {
    return chunks_[frame / kChunkFrames] + frame % kChunkFrames * kBlockSize;
  }
  bool AddChunk();
  void AddPiece();
  void DropChunk();
  uint32_t TakeFrame();
  void Evict(uint32_t frame);
  uint8_t* Fetch(PageRef* ref);
  void Fail(const char* what);

  MemoryBudget* const budget_;
  const std::string spill_directory_;
  std::vector<uint8_t*> chunks_;
  std::vector<PageRef*> owners_;  // by frame; null: free
  std::vector<uint8_t> used_;     // by frame: since the clock's hand last passed
  std::vector<uint32_t> free_frames_;
  uint32_t fresh_ = kNoFrame;  // the newest chunk's first frame that was never free, if any
  bool is_populated_ = false;  // all of the newest chunk
  bool full_ = false;          // the budget is spent; frames must be evicted
  uint32_t hand_ = 0;
  FileDescriptor file_;  // for spilled pages; made when it is first needed
  std::vector<uint32_t> free_slots_;
  uint32_t slots_ = 0;  // in the file so far
  uint64_t spills_ = 0;
  Status status_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_PAGE_POOL_H_
