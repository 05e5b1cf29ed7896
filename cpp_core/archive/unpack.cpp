#include "cpp_core/archive/unpack.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "cpp_core/archive/codec.h"
#include "cpp_core/archive/decryption.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr size_t kStartSize = 128 * 1024;  // what is read for a file's first bytes
// A frame of zstd that is read as a whole is decompressed without a copy.
constexpr size_t kMostInput = 4 << 20;

size_t InputSize(int fd, bool only_start) {
  struct stat st;
  if (only_start || fstat(fd, &st) != 0) return kStartSize;
  return std::clamp(static_cast<size_t>(st.st_size), kStartSize, kMostInput);
}

using namespace std::string_view_literals;
constexpr std::pair<Packing, std::string_view> kMagics[] = {{Packing::kGzip, "\x1f\x8b"sv},
                                                            {Packing::kLz4, "\x04\x22\x4d\x18"sv},
                                                            {Packing::kZstd, "\x28\xb5\x2f\xfd"sv},
                                                            {Packing::kBzip2, "BZh"sv},
                                                            {Packing::kXz,
                                                             "\xfd"
                                                             "7zXZ\0"sv}};

std::string_view TextOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Unpacking {
 public:
  Unpacking(Packing packing, int fd, const std::string& path, bool only_start,
            const UnpackOptions& options)
      : packing_(packing),
        fd_(fd),
        path_(path),
        what_(fmt::format("file \"{}\"", path)),
        only_start_(only_start),
        stop_(options.stop),
        cipher_pass_(options.cipher_pass),
        input_size_(InputSize(fd, only_start)) {
    UnpackInput* const input = options.input;
    if (cipher_pass_ != nullptr) encrypted_.reset(new uint8_t[input_size_]);
    if (input == nullptr || input->size < input_size_ + Decryption::kBlockSize) {
      own_.size = (input != nullptr ? kMostInput : input_size_) + Decryption::kBlockSize;
      own_.bytes.reset(new uint8_t[own_.size]);
      if (input != nullptr) *input = std::move(own_);
    }
    input_ = input != nullptr ? input->bytes.get() : own_.bytes.get();
  }

  Result<Unpacked> Run(uint8_t* out, size_t capacity) {
    return packing_ == Packing::kNone ? Copy(out, capacity) : Decompress(out, capacity);
  }

 private:
  Result<Unpacked> Copy(uint8_t* out, size_t capacity);
  Result<Unpacked> Decompress(uint8_t* out, size_t capacity);
  Status Fill();
  Status Decrypt(Bytes piece);
  Status CheckWanted() const {
    if (stop_ == nullptr || !*stop_) return {};
    return MakeError(ErrorCode::kCancelled, fmt::format("{} is no longer wanted", what_));
  }
  tl::unexpected<Error> Damage(std::string_view why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{} is damaged: {}", what_, why));
  }

  const Packing packing_;
  const int fd_;
  const std::string& path_;
  const std::string what_;  // for messages
  const bool only_start_;
  const std::atomic<bool>* const stop_;
  const std::string* const cipher_pass_;  // null: it is not encrypted
  const size_t input_size_;
  UnpackInput own_;  // unless the caller has memory
  uint8_t* input_;
  std::unique_ptr<uint8_t[]> encrypted_;  // as it was read
  std::optional<Decryption> decryption_;  // begun
  Codec::Buffers buffers_;
  uint8_t surplus_ = 0;  // written to where the output is full: there must be no more
  off_t read_ = 0;
  bool is_at_end_ = false;
};

Status Unpacking::Fill() {
  while (buffers_.in_bytes == 0 && !is_at_end_) {
    uint8_t* const to = cipher_pass_ ? encrypted_.get() : input_;
    ssize_t n;
    do n = pread(fd_, to, input_size_, read_);
    while (n < 0 && errno == EINTR);
    if (n < 0) return FileError("read file", path_);
    is_at_end_ = n == 0;
    read_ += n;
    buffers_.in = input_;
    buffers_.in_bytes = static_cast<size_t>(n);
    if (cipher_pass_) RETURN_IF_ERROR(Decrypt(Bytes(to, buffers_.in_bytes)));
  }
  return {};
}

// The next piece of the file; an empty one ends it.
Status Unpacking::Decrypt(Bytes piece) {
  constexpr size_t kHeader = kEncryptedMagic.size() + Decryption::kSaltSize;
  if (!decryption_) {
    if (!LooksEncrypted(TextOf(piece))) return Damage("it is not encrypted");
    if (piece.size() < kHeader) return Damage("it is cut short");
    decryption_.emplace(*cipher_pass_, piece.data() + kEncryptedMagic.size());
    piece = piece.subspan(kHeader);
  }
  const std::optional<size_t> made =
      is_at_end_ ? decryption_->Finish(input_) : decryption_->Update(piece, input_);
  if (!made) return Damage("it cannot be decrypted to its end, at least not with this passphrase");
  buffers_.in_bytes = *made;
  return {};
}

Result<Unpacked> Unpacking::Copy(uint8_t* out, size_t capacity) {
  for (size_t size = 0;;) {
    RETURN_IF_ERROR(CheckWanted());
    RETURN_IF_ERROR(Fill());
    if (buffers_.in_bytes == 0 || (only_start_ && size == capacity)) return Unpacked{size, false};
    const size_t part = std::min(buffers_.in_bytes, capacity - size);
    if (part == 0) return Damage(fmt::format("it has more than {} bytes", capacity));
    std::memcpy(out + size, buffers_.in, part);
    size += part;
    buffers_.in += part;
    buffers_.in_bytes -= part;
  }
}

// Each turn reads something, writes something, or ends.
Result<Unpacked> Unpacking::Decompress(uint8_t* out, size_t capacity) {
  std::unique_ptr<Codec> codec;
  bool has_streams = false;
  buffers_.out = out;
  buffers_.out_bytes = capacity;
  bool is_full = capacity == 0;
  for (;;) {
    RETURN_IF_ERROR(CheckWanted());
    RETURN_IF_ERROR(Fill());
    if (!codec && has_streams) {
      Codec::SkipPadding(packing_, &buffers_);
      if (buffers_.in_bytes == 0 && !is_at_end_) continue;
    }
    const size_t size = is_full ? capacity : capacity - buffers_.out_bytes;
    if (!codec && buffers_.in_bytes == 0) return Unpacked{size, false};
    if (!is_full && buffers_.out_bytes == 0) {
      if (only_start_) return Unpacked{size, false};
      is_full = true;
      buffers_.out = &surplus_;
      buffers_.out_bytes = 1;
    }
    if (!codec && !(codec = Codec::Make(packing_)))
      return tl::unexpected(*CodecRefusal(Codec::State::kNoMemory, what_));
    has_streams = true;
    const Codec::Buffers before = buffers_;
    const Codec::State state = codec->Step(&buffers_);
    if (auto refusal = CodecRefusal(state, what_)) return tl::unexpected(std::move(*refusal));
    if (state == Codec::State::kDamaged)
      return Damage(fmt::format("its {} data are not valid{}{}", PackingName(packing_),
                                codec->why() ? ": " : "", codec->why() ? codec->why() : ""));
    if (is_full && buffers_.out_bytes == 0)
      return Damage(fmt::format("it has more than {} bytes when it is decompressed", capacity));
    if (state == Codec::State::kEnd) {
      codec.reset();
      continue;
    }
    if (before.in_bytes != buffers_.in_bytes || before.out_bytes != buffers_.out_bytes) continue;
    if (is_at_end_) return Unpacked{is_full ? capacity : capacity - buffers_.out_bytes, true};
    if (buffers_.in_bytes > 0) return Damage("its decompression does not end");
  }
}

}  // namespace

Packing PackingOf(Bytes head) {
  for (const auto& [packing, magic] : kMagics)
    if (TextOf(head).starts_with(magic)) return packing;
  return Packing::kNone;
}

Packing PackingOf(Bytes head, std::string_view suffix) {
  const Packing packing = PackingOf(head);
  if (packing != Packing::kNone) return packing;
  const Packing named = PackingOfSuffix(suffix);
  return named == Packing::kLzma || named == Packing::kBrotli ? named : Packing::kNone;
}

bool BeginsMagic(Packing packing, Bytes bytes) {
  for (const auto& [of, magic] : kMagics)
    if (of == packing) return magic.starts_with(TextOf(bytes));
  return false;
}

bool IsCompressedSuffix(std::string_view suffix) {
  return std::any_of(std::begin(kCompressedSuffixes), std::end(kCompressedSuffixes),
                     [&](const auto& known) { return suffix == known.second; });
}

Packing PackingOfSuffix(std::string_view suffix) {
  if (suffix.empty()) return Packing::kNone;
  for (const auto& [packing, known] : kCompressedSuffixes)
    if (suffix == known) return packing;
  return Packing::kUnknown;
}

const char* PackingSuffix(Packing packing) {
  for (const auto& [of, suffix] : kCompressedSuffixes)
    if (of == packing && packing != Packing::kUnknown) return suffix;
  return "";
}

const char* PackingName(Packing packing) {
  constexpr const char* kNames[] = {"plain", "gzip", "zlib", "lz4",    "zstd",
                                    "bzip2", "xz",   "lzma", "brotli", "unknown"};
  return kNames[static_cast<size_t>(packing)];
}

Result<Unpacked> Unpack(Packing packing, int fd, const std::string& path, uint8_t* out,
                        size_t capacity, const UnpackOptions& options) {
  return Unpacking(packing, fd, path, false, options).Run(out, capacity);
}

Result<Unpacked> UnpackStart(Packing packing, int fd, const std::string& path, uint8_t* out,
                             size_t capacity, const UnpackOptions& options) {
  return Unpacking(packing, fd, path, true, options).Run(out, capacity);
}

}  // namespace neon_redo
