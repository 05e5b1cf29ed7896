// Memory comes in chunks, each of them one of the kernel's large pages if there is one
// (large_page.h). If there is none, small pages are asked for many at once: fault by fault they
// cost half as much again. A piece is small enough to be still in the processor's cache, where the
// kernel has filled it with zeroes, when it is used.
//
// Frames are aligned, so that one lies in two of the kernel's small pages and not in three: where
// pages are changed in no order, finding addresses in the kernel's tables takes much of the time.
//
// While the budget lasts a new page takes a new frame. After that a clock's hand goes round the
// frames: a frame used since the last round gets another round, any other is written to the file
// and taken. A page read back is written again when it is evicted again. Replay changes nearly every
// page that it looks at, so it would not pay to know which ones it did not change.
#include "cpp_core/replay/page_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cpp_core/replay/large_page.h"

namespace neon_redo {

PagePool::~PagePool() {
  for (uint8_t* chunk : chunks_) std::free(chunk);
}

bool PagePool::AddChunk() {
  if (full_) return false;
  uint8_t* chunk = nullptr;
  const bool is_first = chunks_.empty();
  if (is_first) budget_->Force(kChunkBytes);
  if (is_first || budget_->Take(kChunkBytes))
    chunk = static_cast<uint8_t*>(std::aligned_alloc(kChunkBytes, kChunkBytes));
  if (chunk == nullptr) {
    if (is_first) throw std::bad_alloc();  // caught where the pool's partition is called
    full_ = true;
    return false;
  }
  const auto first = static_cast<uint32_t>(chunks_.size() * kChunkFrames);
  chunks_.push_back(chunk);
  owners_.resize(first + kChunkFrames, nullptr);
  used_.resize(owners_.size(), false);
  fresh_ = first;
  is_populated_ = PopulateByLargePage(chunk);
  return true;
}

// The next frames of the newest chunk.
void PagePool::AddPiece() {
  const uint32_t chunk_end = (fresh_ / kChunkFrames + 1) * kChunkFrames;
  const uint32_t end = is_populated_ ? chunk_end : std::min(fresh_ + kPieceFrames, chunk_end);
  // If it cannot, there will be faults.
  if (!is_populated_) madvise(Frame(fresh_), (end - fresh_) * kBlockSize, MADV_POPULATE_WRITE);
  for (uint32_t frame = end; frame-- > fresh_;) free_frames_.push_back(frame);
  fresh_ = end == chunk_end ? kNoFrame : end;
}

void PagePool::DropChunk() {
  full_ = true;
  const auto first = static_cast<uint32_t>((chunks_.size() - 1) * kChunkFrames);
  for (uint32_t frame = first; frame < first + kChunkFrames; frame++)
    if (owners_[frame] != nullptr) Evict(frame);
  fresh_ = kNoFrame;
  std::erase_if(free_frames_, [first](uint32_t frame) { return frame >= first; });
  std::free(chunks_.back());
  chunks_.pop_back();
  owners_.resize(first);
  used_.resize(first);
  if (hand_ >= first) hand_ = 0;
  budget_->Return(kChunkBytes);
}

uint32_t PagePool::TakeFrame() {
  while (chunks_.size() > 1 && budget_->IsOverdrawn()) DropChunk();
  if (free_frames_.empty() && (fresh_ != kNoFrame || AddChunk())) AddPiece();
  if (free_frames_.empty()) {
    for (;; hand_ = (hand_ + 1) % static_cast<uint32_t>(owners_.size())) {
      if (owners_[hand_] == nullptr) continue;
      if (!used_[hand_]) break;
      used_[hand_] = false;
    }
    Evict(hand_);
  }
  const uint32_t frame = free_frames_.back();
  free_frames_.pop_back();
  return frame;
}

void PagePool::Fail(const char* what) {
  const int error = errno;
  if (status_)
    status_ = MakeError(ErrnoCode(error),
                        fmt::format("{} the temporary file in {}: {} (choose another directory "
                                    "with TMPDIR, or allow more memory)",
                                    what, spill_directory_, std::strerror(error)));
}

void PagePool::Evict(uint32_t frame) {
  if (!file_ && status_) {
    file_.Reset(open(spill_directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!file_) Fail("could not create");
  }
  uint32_t slot = slots_;
  if (free_slots_.empty()) {
    slots_++;
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const ssize_t put =
      pwrite(file_.get(), Frame(frame), kBlockSize, static_cast<off_t>(slot) * off_t{kBlockSize});
  if (put != static_cast<ssize_t>(kBlockSize)) {
    if (put >= 0) errno = ENOSPC;
    Fail("could not write to");
  }
  owners_[frame]->at_ = slot | PageRef::kSpilled;
  owners_[frame] = nullptr;
  free_frames_.push_back(frame);
  spills_++;
}

uint8_t* PagePool::Allocate(PageRef* ref) {
  const uint32_t frame = TakeFrame();
  ref->at_ = frame;
  owners_[frame] = ref;
  used_[frame] = true;
  return Frame(frame);
}

uint8_t* PagePool::Fetch(PageRef* ref) {
  const uint32_t slot = ref->at_ & ~PageRef::kSpilled;
  uint8_t* page = Allocate(ref);
  const ssize_t got =
      pread(file_.get(), page, kBlockSize, static_cast<off_t>(slot) * off_t{kBlockSize});
  if (got != static_cast<ssize_t>(kBlockSize)) {
    if (got >= 0) errno = EIO;
    std::memset(page, 0, kBlockSize);
    Fail("could not read from");
  }
  free_slots_.push_back(slot);
  return page;
}

void PagePool::Release(PageRef* ref) {
  if (!ref->present()) return;
  if (ref->at_ & PageRef::kSpilled) {
    free_slots_.push_back(ref->at_ & ~PageRef::kSpilled);
  } else {
    owners_[ref->at_] = nullptr;
    free_frames_.push_back(ref->at_);
  }
  ref->at_ = PageRef::kAbsent;
}

}  // namespace neon_redo
