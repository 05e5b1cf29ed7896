#include "cpp_core/backup/spool.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <utility>
#include <vector>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kPieceSize = 256 * 1024;

}  // namespace

Spool::Spool(SharedFile file, std::string directory, uint64_t room)
    : file_(std::move(file)),
      directory_(std::move(directory)),
      path_(fmt::format("{}/(unpacked files)", directory_)),
      room_(room) {}

Result<std::unique_ptr<Spool>> Spool::Create(std::string directory) {
  if (directory.empty()) directory = TemporaryDirectory();
  ASSIGN_OR_RETURN(FileDescriptor fd, CreateNamelessFile(directory));
  struct statvfs st;
  if (fstatvfs(fd.get(), &st) != 0) return FileError("examine directory", directory);
  const uint64_t room = uint64_t{st.f_bavail} * st.f_frsize;
  return std::unique_ptr<Spool>(new Spool(Share(std::move(fd)), std::move(directory), room));
}

Result<uint64_t> Spool::Take(ByteSource* source, uint64_t size, const std::string& name) {
  uint64_t begin = size_;
  do {
    if (size > room_ || begin > room_ - size)
      return MakeError(
          ErrorCode::kIo,
          fmt::format(
              "could not unpack {} of {} bytes: directory \"{}\" had room for {} bytes, and "
              "{} are taken; make room or name another directory",
              name, size, directory_, room_, begin));
  } while (!size_.compare_exchange_weak(begin, begin + size));
  std::vector<uint8_t> piece(kPieceSize);
  for (uint64_t done = 0;;) {
    ASSIGN_OR_RETURN(const size_t got, source->Read(piece));
    if (got == 0 && done == size) return begin;
    if (got == 0 || got > size - done)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{} has {} bytes, and should have {}", name,
                                   got == 0 ? fmt::to_string(done) : "more", size));
    RETURN_IF_ERROR(WriteAll(file_->get(), Bytes(piece.data(), got), begin + done, path_));
    done += got;
  }
}

}  // namespace neon_redo
