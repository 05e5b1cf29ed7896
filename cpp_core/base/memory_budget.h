// A number of bytes that several users of memory share.
#ifndef NEON_REDO_BASE_MEMORY_BUDGET_H_
#define NEON_REDO_BASE_MEMORY_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace neon_redo {

// A user that can do with less asks for memory (Take). A user that cannot takes it anyway (Force).
// When more is taken than there is, users of the first kind give some back. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : left_(static_cast<int64_t>(bytes)) {}

  // False, and nothing, when so much is not left.
  bool Take(int64_t bytes) {
    if (left_.fetch_sub(bytes, std::memory_order_relaxed) >= bytes) return true;
    Return(bytes);
    return false;
  }
  void Force(int64_t bytes) { left_.fetch_sub(bytes, std::memory_order_relaxed); }
  void Return(int64_t bytes) { left_.fetch_add(bytes, std::memory_order_relaxed); }
  bool IsOverdrawn() const { return left_.load(std::memory_order_relaxed) < 0; }

 private:
  std::atomic<int64_t> left_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_MEMORY_BUDGET_H_
