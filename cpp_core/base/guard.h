// Where exceptions end: the standard library throws when there is no memory or no thread to be had,
// and std::filesystem for other reasons. Callers of the library see errors alone.
#ifndef NEON_REDO_BASE_GUARD_H_
#define NEON_REDO_BASE_GUARD_H_

#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

#include "neon_redo/error.h"

namespace neon_redo {

// Calls function, which returns a Status or a Result, and returns what it returns. An exception
// becomes an error: kOutOfMemory for std::bad_alloc and for a thread that cannot be started. Costs
// nothing when none is thrown. What the function has done until then stays done.
template <typename F>
auto Guarded(F function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::system_error& e) {
    const int error = e.code().value();
    return MakeError(error == EAGAIN ? ErrorCode::kOutOfMemory : ErrnoCode(error), e.what());
  } catch (const std::exception& e) {
    return MakeError(ErrorCode::kIo, e.what());
  }
}

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_GUARD_H_
