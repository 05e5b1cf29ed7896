#include "cpp_core/archive/segment_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nettle/sha1.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

std::string Sha1Of(Bytes content) {
  sha1_ctx context;
  uint8_t digest[SHA1_DIGEST_SIZE];
  sha1_init(&context);
  sha1_update(&context, content.size(), content.data());
  sha1_digest(&context, sizeof(digest), digest);
  std::string out;
  for (const uint8_t byte : digest) out += fmt::format("{:02x}", byte);
  return out;
}

// Reads the file to `out`, which has room for a segment.
Result<uint64_t> Fill(const Segment& segment, int fd, uint32_t segment_size, uint8_t* out,
                      UnpackOptions options) {
  options.cipher_pass = segment.cipher_pass.get();
  if (segment.packing == Packing::kNone && !segment.cipher_pass) {
    const ssize_t n = ReadFully(fd, out, segment_size, 0);
    if (n < 0) return FileError("read file", segment.path);
    return static_cast<uint64_t>(n);
  }
  ASSIGN_OR_RETURN(const auto unpacked,
                   Unpack(segment.packing, fd, segment.path, out, segment_size, options));
  if (!unpacked.is_cut || segment.is_partial) return unpacked.size;
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("file \"{}\" is cut short: its {} data end after {} bytes of {}", segment.path,
                  PackingName(segment.packing), unpacked.size, segment_size));
}

// The same, checked, and with zeroes to the end of the last page.
Result<uint64_t> FillChecked(const Segment& segment, int fd, uint32_t segment_size, uint8_t* out,
                             const UnpackOptions& options) {
  ASSIGN_OR_RETURN(const uint64_t size, Fill(segment, fd, segment_size, out, options));
  const uint64_t page_end =
      std::min<uint64_t>((size + kWalPageSize - 1) / kWalPageSize * kWalPageSize, segment_size);
  std::memset(out + size, 0, page_end - size);
  if (segment.sha1.empty()) return size;
  const std::string sha1 = Sha1Of(Bytes(out, size));
  if (sha1 == segment.sha1) return size;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" is damaged: its content has the SHA-1 checksum {}",
                               segment.path, sha1));
}

// Memory that is a file.
class Mapping {
 public:
  Mapping(int fd, size_t size)
      : size_(size), bytes_(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {}
  ~Mapping() {
    if (bytes_ != MAP_FAILED) munmap(bytes_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  uint8_t* bytes() const { return bytes_ == MAP_FAILED ? nullptr : static_cast<uint8_t*>(bytes_); }

 private:
  const size_t size_;
  void* const bytes_;
};

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
  ASSIGN_OR_RETURN(out.size, FillChecked(segment, fd.get(), segment_size, out.bytes.get(),
                                         {.input = &out.input}));
  return out;
}

// Its room is taken before anything is written, so that writing to the mapping does not fail.
Result<UnpackedSegment> UnpackSegment(const Segment& segment, uint32_t segment_size,
                                      const std::string& directory, const std::atomic<bool>* stop) {
  ASSIGN_OR_RETURN(const FileDescriptor fd, OpenRegularFile(segment.path, Links::kRefuse));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("stat file", segment.path);
  // No program makes a segment larger than that, and reading a huge file to its end takes long.
  if (st.st_size / 2 > segment_size)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("file \"{}\" is damaged: it has {} bytes, too many for a segment "
                                 "of {}",
                                 segment.path, st.st_size, segment_size));
  UnpackedSegment out;
  ASSIGN_OR_RETURN(out.fd, CreateNamelessFile(directory));
  if (const int failed = posix_fallocate(out.fd.get(), 0, segment_size); failed != 0)
    return MakeError(
        ErrnoCode(failed),
        fmt::format(
            "could not take {} bytes in directory \"{}\" to decompress file \"{}\": {}; make "
            "room there, or name another directory in TMPDIR",
            segment_size, directory, segment.path, strerror(failed)));
  const Mapping mapping(out.fd.get(), segment_size);
  if (mapping.bytes() == nullptr)
    return MakeError(ErrorCode::kOutOfMemory,
                     fmt::format("could not decompress file \"{}\": out of memory", segment.path));
  Segment stored = segment;
  if (segment.cipher_pass) {
    ASSIGN_OR_RETURN(const auto start, ReadFileStart(segment.path, segment.cipher_pass.get()));
    stored.packing = start.packing;
  }
  ASSIGN_OR_RETURN(out.size,
                   FillChecked(stored, fd.get(), segment_size, mapping.bytes(), {.stop = stop}));
  return out;
}

Result<FileDescriptor> OpenSegmentContent(const Segment& segment) {
  if (segment.content < 0) return OpenSegmentFile(segment.path);
  FileDescriptor fd(fcntl(segment.content, F_DUPFD_CLOEXEC, 0));
  if (!fd) return FileError("open file", segment.path);
  return fd;
}

Result<SegmentReader> SegmentReader::Open(const Segment& segment, uint32_t segment_size) {
  SegmentReader out;
  if (segment.is_loaded()) {
    ASSIGN_OR_RETURN(out.content_, LoadSegment(segment, segment_size));
  } else {
    ASSIGN_OR_RETURN(out.fd_, OpenSegmentContent(segment));
  }
  return out;
}

Result<SegmentReader> SegmentReader::OpenStart(const Segment& segment, uint32_t size) {
  SegmentReader out;
  ASSIGN_OR_RETURN(FileDescriptor fd, OpenSegmentFile(segment.path));
  if (segment.packing == Packing::kNone && !segment.cipher_pass) {
    out.fd_ = std::move(fd);
    return out;
  }
  out.content_.bytes = Allocate(size);
  if (!out.content_.bytes)
    return MakeError(ErrorCode::kOutOfMemory,
                     fmt::format("could not read file \"{}\": out of memory", segment.path));
  ASSIGN_OR_RETURN(const auto unpacked,
                   UnpackStart(segment.packing, fd.get(), segment.path, out.content_.bytes.get(),
                               size, {.cipher_pass = segment.cipher_pass.get()}));
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
