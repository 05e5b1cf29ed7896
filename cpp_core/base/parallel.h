// The same work on many things, by several threads.
#ifndef NEON_REDO_BASE_PARALLEL_H_
#define NEON_REDO_BASE_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "neon_redo/error.h"

namespace neon_redo {

// Calls work(lane, item) for each item from 0 to `items`, on up to `lanes` threads, of which the caller's
// is lane 0. Items are begun in order. A lane is never used by two threads. Returns once all is done, or
// has ended after an error, which is the first one's. If the system has fewer threads, fewer do the
// work. An exception becomes an error as by Guarded.
Status ForEachInParallel(size_t lanes, size_t items,
                         const std::function<Status(size_t lane, size_t item)>& work);

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_PARALLEL_H_
