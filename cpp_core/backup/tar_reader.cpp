// libarchive parses the headers. It ends at the first block of zeroes and says nothing of an archive
// that is cut off between two entries. So the bytes that it takes are counted here, and the end of the
// archive (two blocks of zeroes, then only zeroes) is checked.
#include "cpp_core/backup/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <utility>

#include "cpp_core/backup/manifest.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr uint64_t kTarBlock = 512;
constexpr uint64_t kEndSize = 2 * kTarBlock;
// A header and little more, since the content of an entry is skipped as a rule.
constexpr size_t kPieceSize = 16 * 1024;

bool IsZero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

uint64_t RoundUp(uint64_t size) { return (size + kTarBlock - 1) / kTarBlock * kTarBlock; }

const char* KindName(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return "a hard link";
  switch (archive_entry_filetype(entry)) {
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFIFO:
      return "a FIFO";
    case AE_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

class LibarchiveReader : public TarReader, private ByteSource {
 public:
  LibarchiveReader(std::unique_ptr<ByteSource> source, std::string path, TarNames names)
      : source_(std::move(source)), path_(std::move(path)), names_(names) {}
  ~LibarchiveReader() override { archive_read_free(archive_); }

  Status Begin() {
    archive_ = archive_read_new();
    if (archive_ == nullptr) return MakeError(ErrorCode::kOutOfMemory, "out of memory");
    archive_read_support_format_tar(archive_);
    archive_read_support_filter_none(archive_);
    // Names are bytes, whatever the locale is.
    archive_read_set_options(archive_, "tar:hdrcharset=BINARY");
    archive_read_set_callback_data(archive_, this);
    archive_read_set_read_callback(archive_, ReadCallback);
    archive_read_set_skip_callback(archive_, SkipCallback);
    const int result = archive_read_open1(archive_);
    if (result == ARCHIVE_OK) return {};
    if (failure_) return tl::unexpected(*failure_);
    return Corrupt("it is no tar archive");
  }

  Result<bool> Next(TarEntry* out) override {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_, &entry);
    if (failure_) return tl::unexpected(*failure_);
    if (result == ARCHIVE_EOF) {
      RETURN_IF_ERROR(CheckEnd());
      return false;
    }
    if (result != ARCHIVE_OK) return Corrupt(Reason());
    RETURN_IF_ERROR(CheckName(entry, &out->name));
    out->what.clear();
    out->size = 0;
    out->begin = static_cast<uint64_t>(archive_filter_bytes(archive_, 0));
    if (archive_entry_hardlink(entry) != nullptr || archive_entry_filetype(entry) == AE_IFLNK) {
      out->kind = TarEntry::kLink;
      out->what = KindName(entry);
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      out->kind = TarEntry::kFile;
      RETURN_IF_ERROR(CheckSize(entry, *out));
      out->size = static_cast<uint64_t>(archive_entry_size(entry));
    } else if (archive_entry_filetype(entry) == AE_IFDIR) {
      out->kind = TarEntry::kDirectory;
    } else {
      out->kind = TarEntry::kOther;
      out->what = KindName(entry);
    }
    expected_end_ = out->begin + RoundUp(out->size);
    return true;
  }

  ByteSource* content() override { return this; }

 private:
  // ByteSource: of the entry's content.
  Result<size_t> Read(WritableBytes out) override {
    const la_ssize_t got = archive_read_data(archive_, out.data(), out.size());
    if (failure_) return tl::unexpected(*failure_);
    if (got < 0) return Corrupt(Reason());
    return static_cast<size_t>(got);
  }

  static la_ssize_t ReadCallback(archive*, void* self, const void** out) {
    return static_cast<LibarchiveReader*>(self)->Fill(out);
  }
  static la_int64_t SkipCallback(archive*, void* self, la_int64_t count) {
    auto* reader = static_cast<LibarchiveReader*>(self);
    const uint64_t skipped = reader->source_->Skip(static_cast<uint64_t>(count));
    reader->taken_ += skipped;
    // What was kept of the end is no longer the end.
    if (skipped > 0) reader->piece_size_ = 0;
    return static_cast<la_int64_t>(skipped);
  }

  la_ssize_t Fill(const void** out) {
    auto got = ReadFully(source_.get(), piece_);
    if (!got) {
      failure_ = std::move(got.error());
      archive_set_error(archive_, EIO, "%s", failure_->message.c_str());
      return -1;
    }
    taken_ += *got;
    piece_size_ = *got;
    *out = piece_.data();
    return static_cast<la_ssize_t>(*got);
  }

  // libarchive has stopped at a block of zeroes, or at the end of the bytes.
  Status CheckEnd() {
    if (expected_end_ > taken_) return Corrupt("it is cut off");
    uint64_t after = taken_ - expected_end_;
    // The piece that is still here. It need not begin with the end: libarchive reads a piece on when a
    // block of zeroes is the last one of a piece.
    const auto here = static_cast<size_t>(std::min<uint64_t>(after, piece_size_));
    if (!IsZero(Bytes(piece_.data() + (piece_size_ - here), here)))
      return Corrupt("something stands behind the end of the archive");
    for (;;) {
      ASSIGN_OR_RETURN(const size_t got, ReadFully(source_.get(), piece_));
      if (!IsZero(Bytes(piece_.data(), got)))
        return Corrupt("something stands behind the end of the archive");
      after += got;
      if (got == 0) break;
    }
    if (after < kEndSize) return Corrupt("its end is missing: it is cut off");
    return {};
  }

  Status CheckName(archive_entry* entry, std::string* out) const {
    const char* raw = archive_entry_pathname(entry);
    std::string_view name = raw != nullptr ? raw : "";
    if (raw == nullptr) return Corrupt("an entry has no name");
    if (names_ == TarNames::kRooted && name.starts_with('/')) name.remove_prefix(1);
    if (name == "." || name == "./") name = "";
    while (name.starts_with("./")) name.remove_prefix(2);
    if (name.ends_with('/')) name.remove_suffix(1);
    if (!name.empty() && !IsSafeRelativePath(name))
      return Corrupt(fmt::format("entry \"{}\" would lie outside the backup", raw));
    *out = name;
    return {};
  }

  Status CheckSize(archive_entry* entry, const TarEntry& out) const {
    const la_int64_t size = archive_entry_size(entry);
    if (size < 0 || static_cast<uint64_t>(size) > INT64_MAX / 2)
      return Corrupt(fmt::format("the size of entry \"{}\" cannot be", out.name));
    if (archive_entry_sparse_count(entry) > 0)
      return MakeError(
          ErrorCode::kUnsupported,
          fmt::format("archive \"{}\" has the sparse file \"{}\", which no PostgreSQL tool writes",
                      path_, out.name));
    return {};
  }

  std::string Reason() const {
    const char* text = archive_error_string(archive_);
    return text != nullptr ? text : "damaged";
  }
  tl::unexpected<Error> Corrupt(const std::string& why) const {
    const la_int64_t at = archive_ != nullptr ? archive_filter_bytes(archive_, 0) : 0;
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("archive \"{}\" is damaged at byte {}: {}", path_, at, why));
  }

  const std::unique_ptr<ByteSource> source_;
  const std::string path_;
  const TarNames names_;
  archive* archive_ = nullptr;
  std::array<uint8_t, kPieceSize> piece_;
  size_t piece_size_ = 0;      // bytes in it; they end at taken_
  uint64_t taken_ = 0;         // bytes of the archive that libarchive has got
  uint64_t expected_end_ = 0;  // of the last entry, with its padding
  std::optional<Error> failure_;
};

}  // namespace

Result<std::unique_ptr<TarReader>> TarReader::Open(std::unique_ptr<ByteSource> archive,
                                                   std::string path, TarNames names) {
  auto reader = std::make_unique<LibarchiveReader>(std::move(archive), std::move(path), names);
  RETURN_IF_ERROR(reader->Begin());
  return reader;
}

}  // namespace neon_redo
