// A segment is read whole (16 MB as a rule, 1 GB at most), compressed in one call, and written. The
// frames hold the content's size and a checksum of it, so that a damaged archive shows.
#include "cpp_core/wal_client/segment_compressor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <lz4frame.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/wal_page.h"

namespace neon_redo {

namespace {

Result<size_t> SizeOf(const FileDescriptor& fd, const std::string& path) {
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", path);
  return static_cast<size_t>(st.st_size);
}

// The first bytes of a file, at most `limit`.
Result<std::vector<uint8_t>> ReadUpTo(const Directory& directory, const std::string& name,
                                      size_t limit) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
  const std::string path = directory.PathOf(name);
  ASSIGN_OR_RETURN(const size_t size, SizeOf(fd, path));
  std::vector<uint8_t> out(std::min(size, limit));
  const ssize_t n = ReadFully(fd.get(), out.data(), out.size(), 0);
  if (n < 0) return FileError("read file", path);
  out.resize(static_cast<size_t>(n));
  return out;
}

tl::unexpected<Error> CompressionFailed(const std::string& path, const char* why) {
  return MakeError(ErrorCode::kIo, fmt::format("could not compress file \"{}\": {}", path, why));
}

Result<std::vector<uint8_t>> CompressBytes(const std::string& path, Bytes in,
                                           Compression compression) {
  std::vector<uint8_t> out;
  if (compression == Compression::kLz4) {
    LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
    preferences.frameInfo.contentSize = in.size();
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    out.resize(LZ4F_compressFrameBound(in.size(), &preferences));
    const size_t n = LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), &preferences);
    if (LZ4F_isError(n)) return CompressionFailed(path, LZ4F_getErrorName(n));
    out.resize(n);
    return out;
  }
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                   ZSTD_freeCCtx);
  if (!context) return CompressionFailed(path, "out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compressBound(in.size()));
  const size_t n = ZSTD_compress2(context.get(), out.data(), out.size(), in.data(), in.size());
  if (ZSTD_isError(n)) return CompressionFailed(path, ZSTD_getErrorName(n));
  out.resize(n);
  return out;
}

}  // namespace

const char* CompressionSuffix(Compression compression) {
  if (compression == Compression::kLz4) return ".lz4";
  return compression == Compression::kZstd ? ".zst" : "";
}

tl::unexpected<Error> WrongSegmentSize(const std::string& path, uint64_t size,
                                       uint32_t segment_size) {
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" has {} bytes, a segment has {}; move it away, then "
                               "start again",
                               path, size, segment_size));
}

Status CompressFile(const Directory& directory, const std::string& name, uint32_t segment_size,
                    Compression compression) {
  ASSIGN_OR_RETURN(const auto content, ReadUpTo(directory, name, size_t{segment_size} + 1));
  if (content.size() != segment_size) {
    ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
    ASSIGN_OR_RETURN(const size_t size, SizeOf(fd, directory.PathOf(name)));
    return WrongSegmentSize(directory.PathOf(name), size, segment_size);
  }
  ASSIGN_OR_RETURN(const auto compressed,
                   CompressBytes(directory.PathOf(name), content, compression));
  RETURN_IF_ERROR(directory.WriteFile(name + CompressionSuffix(compression), compressed));
  return directory.Remove(name);
}

Result<std::string> DecompressHead(const Directory& directory, const std::string& name,
                                   Packing packing, size_t length) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
  const std::string path = directory.PathOf(name);
  std::string out(length, '\0');
  ASSIGN_OR_RETURN(
      const auto unpacked,
      UnpackStart(packing, fd.get(), path, reinterpret_cast<uint8_t*>(out.data()), length));
  if (unpacked.size == length) return out;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" is not a compressed WAL segment", path));
}

Result<bool> IsWhole(const Directory& directory, const std::string& name, Packing packing,
                     uint32_t segment_size) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
  std::vector<uint8_t> out(segment_size);
  const auto unpacked = Unpack(packing, fd.get(), directory.PathOf(name), out.data(), segment_size);
  if (!unpacked && unpacked.error().code == ErrorCode::kCorrupt) return false;
  if (!unpacked) return tl::unexpected(unpacked.error());
  return !unpacked->is_cut && unpacked->size == segment_size;
}

bool HoldsWal(const Directory& directory, const std::string& name) {
  const auto head = ReadUpTo(directory, name, kLongPageHeaderSize);
  if (!head) return false;
  WalSegmentHead wal;
  return CompressionOf(*head) != nullptr || (wal.Load(*head) && wal.IsOfAnySegment());
}

SegmentCompressor::~SegmentCompressor() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status SegmentCompressor::Add(std::string name) {
  if (compression_ == Compression::kNone) return {};
  const std::lock_guard lock(mutex_);
  if (failure_) return tl::unexpected(*failure_);
  queue_.push_back(std::move(name));
  changed_.notify_all();
  if (thread_.joinable()) return {};
  try {
    thread_ = std::thread([this] { Loop(); });
  } catch (const std::system_error& e) {
    return MakeError(ErrorCode::kIo,
                     std::string("could not create a thread: ") + e.code().message());
  }
  return {};
}

Status SegmentCompressor::Finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return failure_ || (queue_.empty() && !busy_); });
  if (failure_) return tl::unexpected(*failure_);
  return {};
}

void SegmentCompressor::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || (!queue_.empty() && !failure_); });
    if (stop_) return;
    const std::string name = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    const Status done =
        Guarded([&] { return CompressFile(directory_, name, segment_size_, compression_); });
    lock.lock();
    busy_ = false;
    if (!done) failure_ = done.error();
    changed_.notify_all();
  }
}

}  // namespace neon_redo
