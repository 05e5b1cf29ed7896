// The copied bytes lie in one buffer between head and tail. A borrowed piece remembers the position
// in that buffer where it belongs, so pieces and copies alternate without a list of copies.
#include "cpp_core/redo/worker/out_queue.h"

#include <algorithm>

namespace neon_redo {

void OutQueue::Clear() {
  head_ = tail_ = unsent_ = 0;
  borrowed_.clear();
}

void OutQueue::MakeRoom(size_t n) {
  const size_t kept = tail_ - head_;
  if (capacity_ < kept + n) {
    capacity_ = std::max<size_t>(2 * (kept + n), 256 * 1024);
    std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity_]);
    if (kept > 0) std::memcpy(larger.get(), buffer_.get() + head_, kept);
    buffer_ = std::move(larger);
  } else if (kept > 0) {
    std::memmove(buffer_.get(), buffer_.get() + head_, kept);
  }
  for (Borrowed& piece : borrowed_) piece.position -= head_;
  head_ = 0;
  tail_ = kept;
}

ssize_t OutQueue::WriteTo(int fd) {
  constexpr size_t kMaxVectors = 16;
  iovec vectors[kMaxVectors];
  size_t count = 0;
  size_t position = head_;
  bool all = true;
  for (const Borrowed& piece : borrowed_) {
    all = count + 3 <= kMaxVectors;
    if (!all) break;
    if (piece.position > position) {
      vectors[count++] = {buffer_.get() + position, piece.position - position};
      position = piece.position;
    }
    vectors[count++] = {const_cast<uint8_t*>(piece.bytes.data()), piece.bytes.size()};
  }
  if (all && tail_ > position) {
    vectors[count++] = {buffer_.get() + position, tail_ - position};
  }
  const ssize_t written = writev(fd, vectors, static_cast<int>(count));
  if (written > 0) Consume(static_cast<size_t>(written));
  return written;
}

void OutQueue::Consume(size_t n) {
  unsent_ -= n;
  size_t gone = 0;  // borrowed pieces sent whole
  while (n > 0 && gone < borrowed_.size()) {
    Borrowed& piece = borrowed_[gone];
    const size_t copied = std::min(n, piece.position - head_);
    head_ += copied;
    n -= copied;
    const size_t lent = std::min(n, piece.bytes.size());
    piece.bytes = piece.bytes.subspan(lent);
    n -= lent;
    if (!piece.bytes.empty()) break;
    ++gone;
  }
  borrowed_.erase(borrowed_.begin(), borrowed_.begin() + static_cast<ptrdiff_t>(gone));
  head_ += n;
  if (unsent_ == 0) Clear();
}

}  // namespace neon_redo
