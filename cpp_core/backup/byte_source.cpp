#include "cpp_core/backup/byte_source.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

class FileRange : public ByteSource {
 public:
  FileRange(SharedFile file, uint64_t begin, uint64_t length, std::string path)
      : file_(std::move(file)), at_(begin), left_(length), path_(std::move(path)) {}

  Result<size_t> Read(WritableBytes out) override {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), left_));
    if (wanted == 0) return 0;
    ASSIGN_OR_RETURN(const size_t got, ReadFileAt(file_->get(), at_, out.first(wanted), path_));
    Pass(got);
    return got;
  }

  uint64_t Skip(uint64_t count) override {
    const auto size = FileSize(file_->get(), path_);
    if (!size) return 0;
    const uint64_t there = *size > at_ ? *size - at_ : 0;
    const uint64_t skipped = std::min({count, left_, there});
    Pass(skipped);
    return skipped;
  }

 private:
  void Pass(uint64_t count) {
    at_ += count;
    left_ -= count;
  }

  const SharedFile file_;
  uint64_t at_;
  uint64_t left_;
  const std::string path_;
};

}  // namespace

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

std::unique_ptr<ByteSource> ReadRange(SharedFile file, uint64_t begin, uint64_t length,
                                      std::string path) {
  return std::make_unique<FileRange>(std::move(file), begin, length, std::move(path));
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
