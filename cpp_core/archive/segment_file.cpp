#include "cpp_core/archive/segment_file.h"

#include <fmt/format.h>
#include <nettle/sha1.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
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
  ASSIGN_OR_RETURN(const auto unpacked, Unpack(segment.packing, fd, segment.path, out->bytes.get(),
                                               segment_size, &out->input));
  out->size = unpacked.size;
  if (!unpacked.is_cut || segment.is_partial) return {};
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("file \"{}\" is cut short: its {} data end after {} bytes of {}", segment.path,
                  PackingName(segment.packing), unpacked.size, segment_size));
}

// Large pages where the system has them: a segment of 16 MB has 4,096 small ones.
SegmentBytes Allocate(uint32_t segment_size) {
  constexpr size_t kLargePage = 2 << 20;
  const size_t size = std::max<size_t>(segment_size, kWalPageSize);
  if (size < kLargePage) return SegmentBytes(static_cast<uint8_t*>(std::malloc(size)));
  SegmentBytes out(static_cast<uint8_t*>(
      std::aligned_alloc(kLargePage, (size + kLargePage - 1) / kLargePage * kLargePage)));
  if (out) madvise(out.get(), size, MADV_HUGEPAGE);
  return out;
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
                                   SegmentContent memory) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenSegmentFile(segment.path));
  SegmentContent out = std::move(memory);
  if (!out.bytes) out.bytes = Allocate(segment_size);
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

Result<SegmentReader> SegmentReader::OpenStart(const Segment& segment, uint32_t size) {
  SegmentReader out;
  ASSIGN_OR_RETURN(FileDescriptor fd, OpenSegmentFile(segment.path));
  if (segment.packing == Packing::kNone) {
    out.fd_ = std::move(fd);
    return out;
  }
  out.content_.bytes = Allocate(size);
  if (!out.content_.bytes)
    return MakeError(ErrorCode::kOutOfMemory,
                     fmt::format("could not read file \"{}\": out of memory", segment.path));
  ASSIGN_OR_RETURN(const auto unpacked, UnpackStart(segment.packing, fd.get(), segment.path,
                                                    out.content_.bytes.get(), size));
  out.content_.size = unpacked.size;
  return out;
}

ssize_t SegmentReader::Read(uint8_t* out, size_t n, uint64_t offset) const {
  if (fd_) return ReadFully(fd_.get(), out, n, offset);
  if (offset >= content_.size) return 0;
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(n, content_.size - offset));
  std::memcpy(out, content_.bytes.get() + offset, bytes);
  return static_cast<ssize_t>(bytes);
}

SegmentContent SegmentLoader::TakeMemory() {
  if (free_.empty()) return {};
  SegmentContent memory = std::move(free_.back());
  free_.pop_back();
  return memory;
}

void SegmentLoader::Begin(const Segment& segment) {
  if (ahead_.size() >= most_ahead() || ahead_.contains(segment.path)) return;
  try {
    ahead_.emplace(segment.path, std::async(
                                     std::launch::async,
                                     [segment, size = segment_size_](SegmentContent memory) {
                                       return LoadSegment(segment, size, std::move(memory));
                                     },
                                     TakeMemory()));
  } catch (const std::system_error&) {
    // No thread can be started: Take loads it.
  }
}

Result<SegmentContent> SegmentLoader::Take(const Segment& segment,
                                           const std::vector<const Segment*>& after) {
  const auto found = ahead_.find(segment.path);
  if (found == ahead_.end()) {
    ahead_.clear();
    for (const Segment* next : after) Begin(*next);
    return LoadSegment(segment, segment_size_, TakeMemory());
  }
  auto content = found->second.get();
  ahead_.erase(found);
  for (const Segment* next : after) Begin(*next);
  return content;
}

}  // namespace neon_redo
