// Plain code: write(2), which this file falls back to. Test: tests/unit/manager_frame_queue_test.cpp.
// Benchmark: BM_Pipe in tests/bench/fast_path_bench.cpp.
//
// A large piece goes into the pipe by vmsplice(2): no copy and no page of the kernel's, for either
// side, but the pipe then refers to our pages until the worker has read them. That it has read a
// request is known when it has answered it, so the frames stay as they are until then. A small
// piece is written: to copy it is cheaper, and many of them share a page of the pipe.
//
// The memory is mapped, not taken from the heap: what a worker has not read when it is given up
// must not become anything else while the worker can still read it. A worker that answers without
// having read sees later requests of its own manager, which it gets anyway.
#include "cpp_core/redo/manager/frame_queue.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace neon_redo {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kChunkSize = 128 * 1024;
constexpr size_t kMaxSpares = 8;
// From here on vmsplice is faster.
constexpr size_t kSpliceSize = 12 * 1024;

}  // namespace

FrameQueue::~FrameQueue() {
  for (const Chunk& chunk : chunks_) Unmap(chunk);
  for (const Chunk& chunk : spares_) Unmap(chunk);
}

FrameQueue::Chunk FrameQueue::Map(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();  // as operator new does
  return {static_cast<uint8_t*>(memory), size};
}

void FrameQueue::Unmap(const Chunk& chunk) { munmap(chunk.memory, chunk.size); }

void FrameQueue::Recycle(Chunk chunk) {
  if (chunk.size == kChunkSize && spares_.size() < kMaxSpares) {
    spares_.push_back({chunk.memory, chunk.size});
  } else {
    Unmap(chunk);
  }
}

uint8_t* FrameQueue::Grow(size_t n) {
  if (chunks_.empty() || chunks_.back().size - chunks_.back().used < n) {
    if (n <= kChunkSize && !spares_.empty()) {
      chunks_.push_back(spares_.back());
      spares_.pop_back();
    } else {
      chunks_.push_back(Map(n <= kChunkSize ? kChunkSize : (n + kPage - 1) / kPage * kPage));
    }
  }
  Chunk& chunk = chunks_.back();
  uint8_t* place = chunk.memory + chunk.used;
  chunk.used += n;
  queued_ += n;
  chunk.end = queued_;
  return place;
}

bool FrameQueue::Send(int fd) {
  if (unsent() == 0) return true;
  for (Chunk& chunk : chunks_) {
    while (chunk.sent < chunk.used) {
      if (!SendPiece(fd, &chunk)) return false;
    }
  }
  return true;
}

bool FrameQueue::SendPiece(int fd, Chunk* chunk) {
  const iovec piece{chunk->memory + chunk->sent, chunk->used - chunk->sent};
  const bool splice = splices_ && piece.iov_len >= kSpliceSize;
  const ssize_t n = splice ? vmsplice(fd, &piece, 1, SPLICE_F_NONBLOCK)
                           : write(fd, piece.iov_base, piece.iov_len);
  if (n > 0) {
    chunk->sent += static_cast<size_t>(n);
    sent_ += static_cast<size_t>(n);
    return true;
  }
  if (n < 0 && errno == EINTR) return true;
  if (!splice || errno == EAGAIN) return false;
  splices_ = false;
  return true;
}

void FrameQueue::HasRead(uint64_t position) {
  while (!chunks_.empty() && chunks_.front().end <= position) {
    Chunk& chunk = chunks_.front();
    if (chunks_.size() == 1 && chunk.size == kChunkSize) {
      chunk.used = chunk.sent = 0;
      return;
    }
    Recycle(chunk);
    chunks_.pop_front();
  }
}

void FrameQueue::Clear() {
  for (const Chunk& chunk : chunks_) Recycle(chunk);
  chunks_.clear();
  queued_ = sent_ = 0;
}

}  // namespace neon_redo
