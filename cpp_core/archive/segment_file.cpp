#include "cpp_core/archive/segment_file.h"

#include <fmt/format.h>
#include <nettle/sha1.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

std::string Sha1Of(const SegmentContent& content) {
  sha1_ctx context;
  uint8_t digest[SHA1_DIGEST_SIZE];
  sha1_init(&context);
  sha1_update(&context, content.size, content.bytes.get());
  sha1_digest(&context, sizeof(digest), digest);
  std::string out;
  for (const uint8_t byte : digest) out += fmt::format("{:02x}", byte);
  return out;
}

Status Fill(const Segment& segment, int fd, uint32_t segment_size, SegmentContent* out) {
  if (segment.packing == Packing::kNone) {
    const ssize_t n = ReadFully(fd, out->bytes.get(), segment_size, 0);
    if (n < 0) return FileError("read file", segment.path);
    out->size = static_cast<uint64_t>(n);
    return {};
  }
  ASSIGN_OR_RETURN(const auto unpacked,
                   Unpack(segment.packing, fd, segment.path, out->bytes.get(), segment_size));
  out->size = unpacked.size;
  if (!unpacked.is_cut || segment.is_partial) return {};
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("file \"{}\" is cut short: its {} data end after {} bytes of {}", segment.path,
                  PackingName(segment.packing), unpacked.size, segment_size));
}

}  // namespace

Result<FileDescriptor> OpenSegmentFile(std::string path) {
  auto fd = OpenRegularFile(path, Links::kFollow);
  if (!fd && fd.error().code == ErrorCode::kNotFound && path.ends_with(kPartialSuffix)) {
    path.resize(path.size() - kPartialSuffix.size());
    auto whole = OpenRegularFile(path, Links::kFollow);
    if (whole || whole.error().code != ErrorCode::kNotFound) fd = std::move(whole);
  }
  if (!fd && fd.error().code == ErrorCode::kInvalidArgument) fd.error().code = ErrorCode::kIo;
  return fd;
}

Result<SegmentContent> LoadSegment(const Segment& segment, uint32_t segment_size,
                                   std::unique_ptr<uint8_t[]> buffer) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenSegmentFile(segment.path));
  SegmentContent out;
  out.bytes = std::move(buffer);
  if (!out.bytes) out.bytes.reset(new (std::nothrow) uint8_t[segment_size]);
  if (!out.bytes)
    return MakeError(ErrorCode::kOutOfMemory,
                     fmt::format("could not read file \"{}\": out of memory", segment.path));
  RETURN_IF_ERROR(Fill(segment, fd.get(), segment_size, &out));
  const uint64_t page_end =
      std::min<uint64_t>((out.size + kWalPageSize - 1) / kWalPageSize * kWalPageSize, segment_size);
  std::memset(out.bytes.get() + out.size, 0, page_end - out.size);
  if (segment.sha1.empty()) return out;
  const std::string sha1 = Sha1Of(out);
  if (sha1 == segment.sha1) return out;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" is damaged: its content has the SHA-1 checksum {}",
                               segment.path, sha1));
}

Result<SegmentReader> SegmentReader::Open(const Segment& segment, uint32_t segment_size) {
  SegmentReader out;
  if (segment.is_loaded()) {
    ASSIGN_OR_RETURN(out.content_, LoadSegment(segment, segment_size));
  } else {
    ASSIGN_OR_RETURN(out.fd_, OpenSegmentFile(segment.path));
  }
  return out;
}

ssize_t SegmentReader::Read(uint8_t* out, size_t n, uint64_t offset) const {
  if (fd_) return ReadFully(fd_.get(), out, n, offset);
  if (offset >= content_.size) return 0;
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(n, content_.size - offset));
  std::memcpy(out, content_.bytes.get() + offset, bytes);
  return static_cast<ssize_t>(bytes);
}

void SegmentLoader::Begin(const Segment& segment) {
  if (ahead_.size() >= most_ahead() || ahead_.contains(segment.path)) return;
  std::unique_ptr<uint8_t[]> buffer;
  if (!free_.empty()) {
    buffer = std::move(free_.back());
    free_.pop_back();
  }
  try {
    ahead_.emplace(segment.path,
                   std::async(
                       std::launch::async,
                       [segment, size = segment_size_](std::unique_ptr<uint8_t[]> memory) {
                         return LoadSegment(segment, size, std::move(memory));
                       },
                       std::move(buffer)));
  } catch (const std::system_error&) {
    // No thread can be started: Take loads it.
  }
}

Result<SegmentContent> SegmentLoader::Take(const Segment& segment) {
  const auto found = ahead_.find(segment.path);
  if (found == ahead_.end()) {
    ahead_.clear();
    return LoadSegment(segment, segment_size_);
  }
  auto content = found->second.get();
  ahead_.erase(found);
  return content;
}

}  // namespace neon_redo
