#include "cpp_core/backup/limited_backup.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "cpp_core/base/try.h"

namespace neon_redo {

void RateLimit::Wait(uint64_t bytes) {
  Clock::time_point start;
  {
    const std::lock_guard lock(mutex_);
    start = std::max(free_at_, Clock::now());
    free_at_ = start + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(static_cast<double>(bytes) / rate_));
  }
  std::this_thread::sleep_until(start);
}

namespace {

class LimitedFile : public BaseFile {
 public:
  LimitedFile(std::shared_ptr<const BaseFile> file, RateLimit* limit)
      : file_(std::move(file)), limit_(*limit) {}

  Result<size_t> Read(uint64_t offset, WritableBytes out) const override {
    auto got = file_->Read(offset, out);
    if (got) limit_.Wait(*got);
    return got;
  }
  Result<uint64_t> Size() const override { return file_->Size(); }

 private:
  const std::shared_ptr<const BaseFile> file_;
  RateLimit& limit_;
};

class LimitedSource : public ByteSource {
 public:
  LimitedSource(std::unique_ptr<ByteSource> source, RateLimit* limit)
      : source_(std::move(source)), limit_(*limit) {}

  Result<size_t> Read(WritableBytes out) override {
    auto got = source_->Read(out);
    if (got) limit_.Wait(*got);
    return got;
  }
  uint64_t Skip(uint64_t count) override { return source_->Skip(count); }

 private:
  const std::unique_ptr<ByteSource> source_;
  RateLimit& limit_;
};

class LimitedBackup : public BaseBackup {
 public:
  LimitedBackup(const BaseBackup& files, RateLimit* limit)
      : BaseBackup(files.path()), files_(files), limit_(*limit) {
    for (const BaseBackup* link : files.Links()) links_.push_back(LimitRate(*link, limit));
  }

  std::string kind() const override { return files_.kind(); }
  Result<BaseFiles> List() const override { return files_.List(); }
  Result<BaseFiles> ListData() const override { return files_.ListData(); }
  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    ASSIGN_OR_RETURN(auto file, files_.OpenFile(name));
    return std::make_shared<LimitedFile>(std::move(file), &limit_);
  }
  Result<std::unique_ptr<ByteSource>> OpenStream(std::string_view name) const override {
    ASSIGN_OR_RETURN(auto source, files_.OpenStream(name));
    return std::make_unique<LimitedSource>(std::move(source), &limit_);
  }
  Result<std::optional<BackupManifest>> Manifest() const override { return files_.Manifest(); }
  std::string_view manifest_name() const override { return files_.manifest_name(); }
  std::vector<const BaseBackup*> Links() const override {
    std::vector<const BaseBackup*> out;
    for (const auto& link : links_) out.push_back(link.get());
    return out;
  }
  Result<StoredFiles> Stored(const BaseFiles& list) const override { return files_.Stored(list); }
  std::vector<std::string> Lost() const override { return files_.Lost(); }
  std::vector<std::string> Remarks() const override { return files_.Remarks(); }
  bool may_be_copy() const override { return files_.may_be_copy(); }
  size_t descriptors() const override { return files_.descriptors(); }
  uint64_t spooled() const override { return files_.spooled(); }

 private:
  const BaseBackup& files_;
  RateLimit& limit_;
  std::vector<std::unique_ptr<BaseBackup>> links_;
};

}  // namespace

std::unique_ptr<BaseBackup> LimitRate(const BaseBackup& files, RateLimit* limit) {
  return std::make_unique<LimitedBackup>(files, limit);
}

}  // namespace neon_redo
