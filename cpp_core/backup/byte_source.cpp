#include "cpp_core/backup/byte_source.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

SharedFile Share(FileDescriptor fd) {
  return std::make_shared<const FileDescriptor>(std::move(fd));
}

Result<size_t> ReadFileAt(int fd, uint64_t offset, WritableBytes out, const std::string& path) {
  const ssize_t got = ReadFully(fd, out.data(), out.size(), offset);
  if (got < 0) return FileError("read file", path);
  return static_cast<size_t>(got);
}

Result<uint64_t> FileSize(int fd, const std::string& path) {
  struct stat st;
  if (fstat(fd, &st) != 0) return FileError("examine file", path);
  return static_cast<uint64_t>(st.st_size);
}

Result<size_t> ReadFully(ByteSource* source, WritableBytes out) {
  size_t filled = 0;
  while (filled < out.size()) {
    ASSIGN_OR_RETURN(const size_t got, source->Read(out.subspan(filled)));
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

Result<std::string> ReadRest(ByteSource* source, size_t limit, const std::string& name) {
  std::string out;
  uint8_t buffer[16 * 1024];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t got, source->Read(buffer));
    if (got == 0) return out;
    if (out.size() + got > limit)
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("{} is larger than {} bytes, which no such file is", name, limit));
    out.append(reinterpret_cast<const char*>(buffer), got);
  }
}

}  // namespace neon_redo
