#include "cpp_core/backup/range_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

class RangeFile : public BaseFile {
 public:
  RangeFile(SharedFile file, uint64_t begin, uint64_t length, std::string path)
      : file_(std::move(file)), begin_(begin), length_(length), path_(std::move(path)) {}

  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    if (offset >= length_) return 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), length_ - offset));
    return ReadFileAt(file_->get(), begin_ + offset, out.first(wanted), path_);
  }
  Result<uint64_t> Size() const override {
    ASSIGN_OR_RETURN(const uint64_t size, FileSize(file_->get(), path_));
    return std::min(length_, size > begin_ ? size - begin_ : 0);
  }

 private:
  const SharedFile file_;
  const uint64_t begin_, length_;
  const std::string path_;
};

class TextFile : public BaseFile {
 public:
  explicit TextFile(std::string text) : text_(std::move(text)) {}

  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    if (offset >= text_.size()) return 0;
    const auto at = static_cast<size_t>(offset);
    const size_t count = std::min(out.size(), text_.size() - at);
    std::memcpy(out.data(), text_.data() + at, count);
    return count;
  }
  Result<uint64_t> Size() const override { return text_.size(); }

 private:
  const std::string text_;
};

class WholeFile : public ByteSource {
 public:
  explicit WholeFile(std::shared_ptr<const BaseFile> file) : file_(std::move(file)) {}
  Result<size_t> Read(WritableBytes out) override {
    ASSIGN_OR_RETURN(const size_t got, file_->Read(at_, out));
    at_ += got;
    return got;
  }

  uint64_t Skip(uint64_t count) override {
    const auto size = file_->Size();
    if (!size || *size <= at_) return 0;
    const uint64_t skipped = std::min(count, *size - at_);
    at_ += skipped;
    return skipped;
  }

 private:
  const std::shared_ptr<const BaseFile> file_;
  uint64_t at_ = 0;
};

}  // namespace

std::shared_ptr<const BaseFile> MakeRangeFile(SharedFile file, uint64_t begin, uint64_t length,
                                              std::string path) {
  return std::make_shared<RangeFile>(std::move(file), begin, length, std::move(path));
}

std::shared_ptr<const BaseFile> MakeTextFile(std::string text) {
  return std::make_shared<TextFile>(std::move(text));
}

std::unique_ptr<ByteSource> ReadWholeFile(std::shared_ptr<const BaseFile> file) {
  return std::make_unique<WholeFile>(std::move(file));
}

std::unique_ptr<ByteSource> ReadRange(SharedFile file, uint64_t begin, uint64_t length,
                                      std::string path) {
  return ReadWholeFile(MakeRangeFile(std::move(file), begin, length, std::move(path)));
}

}  // namespace neon_redo
