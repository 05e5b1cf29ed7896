// Errors are values. A function that can fail returns Result<T> or Status (tl::expected of
// libexpected, the one third-party type in the public headers). No function of the library throws,
// except that the standard library may throw std::bad_alloc.
//
//   neon_redo::Result<neon_redo::Lsn> lsn = neon_redo::Lsn::Parse(text);
//   if (!lsn) std::cerr << lsn.error().message << '\n';
#ifndef NEON_REDO_ERROR_H_
#define NEON_REDO_ERROR_H_

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace neon_redo {

// What a caller may want to branch on. The message says the rest.
enum class ErrorCode {
  kInvalidArgument,   // the caller asked for something that cannot be
  kNotFound,          // a file, directory, page or record is not there
  kIo,                // the operating system refused; the message has its reason
  kCorrupt,           // bytes that cannot be what they claim to be (WAL, page, frame)
  kUnsupported,       // well-formed, but not something this build can do
  kWorker,            // a redo worker failed: died, refused the request, answered wrongly
  kTimeout,           // a deadline passed
  kShutdown,          // the object no longer takes work
  kCancelled,         // the caller's cancellation ended the work
  kOutOfMemory,       // there is no memory, or no thread can be started
  kTooManyOpenFiles,  // the process or the system has no file descriptor left
};

// An error: a code to branch on and one line for a person. The message names what was being done,
// to what (file, LSN, block), what went wrong and, where it helps, what to do next. It ends without
// a full stop or newline, as PostgreSQL's primary messages do.
struct Error {
  ErrorCode code;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

// Makes the error half of any Result<T> or Status.
inline tl::unexpected<Error> MakeError(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// The code for an errno of the operating system: kOutOfMemory, kTooManyOpenFiles or kIo. Where a
// missing file is no surprise, the caller looks for ENOENT itself.
ErrorCode ErrnoCode(int error);
// "WHAT: REASON" with the reason and the code of an errno.
tl::unexpected<Error> ErrnoError(int error, const std::string& what);

// The short name of a code, for logs and JSON: "corrupt", "timeout", …
const char* ErrorCodeName(ErrorCode code);

}  // namespace neon_redo

#endif  // NEON_REDO_ERROR_H_
