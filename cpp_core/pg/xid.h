// Transaction and multixact IDs, which are compared in a circle (access/transam.h,
// access/transam/transam.c, multixact.c).
#ifndef NEON_REDO_PG_XID_H_
#define NEON_REDO_PG_XID_H_

#include <cstdint>

namespace neon_redo {

inline constexpr uint32_t kFirstNormalXid = 3;  // FirstNormalTransactionId
inline constexpr uint32_t kFirstMultixact = 1;  // FirstMultiXactId

// The way from a to b is less than half the circle (MultiXactIdPrecedes).
constexpr bool PrecedesInCircle(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

// TransactionIdPrecedes: IDs below kFirstNormalXid precede all others.
constexpr bool XidPrecedes(uint32_t a, uint32_t b) {
  return a < kFirstNormalXid || b < kFirstNormalXid ? a < b : PrecedesInCircle(a, b);
}

}  // namespace neon_redo

#endif  // NEON_REDO_PG_XID_H_
