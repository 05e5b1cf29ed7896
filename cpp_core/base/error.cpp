#include "neon_redo/error.h"

#include <cerrno>
#include <cstring>

namespace neon_redo {

ErrorCode ErrnoCode(int error) {
  switch (error) {
    case ENOMEM:
      return ErrorCode::kOutOfMemory;
    case EMFILE:
    case ENFILE:
      return ErrorCode::kTooManyOpenFiles;
    default:
      return ErrorCode::kIo;
  }
}

tl::unexpected<Error> ErrnoError(int error, const std::string& what) {
  return MakeError(ErrnoCode(error), what + ": " + std::strerror(error));
}

const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kWorker:
      return "worker";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kShutdown:
      return "shutdown";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kOutOfMemory:
      return "out_of_memory";
    case ErrorCode::kTooManyOpenFiles:
      return "too_many_open_files";
  }
  return "unknown";
}

}  // namespace neon_redo
