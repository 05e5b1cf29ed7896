#include "cpp_core/backup/pgbackrest_backup.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <utility>

#include "cpp_core/backup/checksum.h"
#include "cpp_core/backup/pgbackrest_block_file.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/backup/spool.h"
#include "cpp_core/backup/unpack.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Computes the checksum of what passes.
class ChecksumSource : public ByteSource {
 public:
  ChecksumSource(std::unique_ptr<ByteSource> source, FileChecksum checksum)
      : source_(std::move(source)), checksum_(std::move(checksum)) {}
  Result<size_t> Read(WritableBytes out) override {
    ASSIGN_OR_RETURN(const size_t got, source_->Read(out));
    RETURN_IF_ERROR(checksum_.Add(out.first(got)));
    return got;
  }
  Result<std::string> Finish() { return checksum_.Finish(); }

 private:
  const std::unique_ptr<ByteSource> source_;
  FileChecksum checksum_;
};

// Ends with an error unless the source has exactly so many bytes.
class SizedSource : public ByteSource {
 public:
  SizedSource(std::unique_ptr<ByteSource> source, uint64_t size, std::string where)
      : source_(std::move(source)), size_(size), where_(std::move(where)) {}
  Result<size_t> Read(WritableBytes out) override {
    ASSIGN_OR_RETURN(const size_t got, source_->Read(out));
    done_ += got;
    if (done_ > size_ || (got == 0 && done_ < size_))
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{} has {} bytes, and should have {}", where_,
                                   done_ > size_ ? "more" : fmt::to_string(done_), size_));
    return got;
  }

 private:
  const std::unique_ptr<ByteSource> source_;
  const uint64_t size_;
  const std::string where_;
  uint64_t done_ = 0;
};

constexpr const char* kManifestName = "backup.manifest";

class PgBackRestBackup : public BaseBackup {
 public:
  PgBackRestBackup(std::string path, PgBackRestRepository repository,
                   PgBackRestRepository::ReadManifest read, FileBefore manifest_before,
                   std::string spool_directory)
      : BaseBackup(std::move(path)),
        repository_(std::move(repository)),
        manifest_(std::move(read.manifest)),
        remark_(std::move(read.remark)),
        manifest_before_(std::move(manifest_before)),
        spool_directory_(std::move(spool_directory)) {}

  std::string kind() const override { return "a pgBackRest backup"; }

  std::vector<std::string> Remarks() const override {
    if (remark_.empty()) return {};
    return {remark_ + "; its copy was read"};
  }

  uint64_t spooled() const override {
    const std::lock_guard lock(mutex_);
    return spool_ ? spool_->size() : 0;
  }

  Result<BaseFiles> List() const override {
    BaseFiles out;
    for (const auto& [name, file] : manifest_.files) out.files[name].size = file.size;
    out.directories = manifest_.directories;
    for (const auto& [oid, target] : manifest_.tablespaces) out.tablespaces[oid].target = target;
    return out;
  }

  Result<std::optional<BackupManifest>> Manifest() const override {
    BackupManifest out;
    out.version = 2;
    out.system_identifier = manifest_.system_identifier;
    if (manifest_.wal) out.wal_ranges.push_back(*manifest_.wal);
    for (const auto& [name, file] : manifest_.files)
      out.files.push_back({name, file.size,
                           file.sha1.empty() ? ChecksumKind::kNone : ChecksumKind::kSha1,
                           file.sha1});
    return out;
  }

  // The map of a file that is stored by blocks may name any file of the backups that this one refers to.
  Result<StoredFiles> Stored(const BaseFiles& list) const override {
    RETURN_IF_ERROR(manifest_before_.CheckSame());
    StoredFiles out;
    bool has_blocks = false;
    for (const auto& [name, info] : list.files) {
      const auto found = manifest_.files.find(name);
      if (found == manifest_.files.end() || found->second.size == 0) continue;
      out[repository_.PathOf(RangeOf(found->second))].push_back(name);
      has_blocks |= found->second.map_size > 0;
    }
    for (auto& [path, names] : out)
      if (has_blocks) names.clear();
    for (const std::string& label : manifest_.labels) {
      if (has_blocks) RETURN_IF_ERROR(AddAllFiles(repository_.PathOf({label, "", 0, 0}), 0, &out));
      if (label == manifest_.label) out[repository_.PathOf({label, kManifestName, 0, 0})] = {};
    }
    return out;
  }

  Result<std::shared_ptr<const BaseFile>> OpenFile(std::string_view name) const override {
    ASSIGN_OR_RETURN(const PgBackRestFile* file, Find(name));
    if (file->size == 0) return MakeTextFile("");
    if (file->map_size > 0) return OpenPgBackRestBlockFile(repository_, manifest_, *file);
    if (!IsAsItWas()) return OpenSpooled(std::string(name), *file);
    const PgBackRestRange range = RangeOf(*file);
    ASSIGN_OR_RETURN(auto stored, repository_.Open(range));
    return MakeRangeFile(std::move(stored), range.begin, range.length, repository_.PathOf(range));
  }

  Result<std::unique_ptr<ByteSource>> OpenStream(std::string_view name) const override {
    ASSIGN_OR_RETURN(const PgBackRestFile* file, Find(name));
    if (file->size == 0 || file->map_size > 0) return BaseBackup::OpenStream(name);
    ASSIGN_OR_RETURN(auto source, OpenContent(*file));
    return std::make_unique<SizedSource>(std::move(source), file->size, WhereStored(*file));
  }

 private:
  struct Spooled {
    std::mutex mutex;
    std::optional<Result<uint64_t>> begin;
  };

  // Those that are not known already have something of any file. directory: with a slash at its end.
  static Status AddAllFiles(const std::string& directory, int level, StoredFiles* out) {
    constexpr int kMostLevels = 32;
    if (level > kMostLevels) return {};
    ASSIGN_OR_RETURN(const Directory opened, Directory::Open(directory));
    ASSIGN_OR_RETURN(const auto names, opened.Names());
    for (const std::string& name : names) {
      const std::string path = directory + name;
      ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(path, Links::kRefuse));
      if (is_directory)
        RETURN_IF_ERROR(AddAllFiles(path + "/", level + 1, out));
      else
        out->try_emplace(path);
    }
    return {};
  }

  // Files are stored as they are: neither packed nor encrypted.
  bool IsAsItWas() const {
    return manifest_.packing == Packing::kNone && manifest_.cipher_pass.empty();
  }

  Result<const PgBackRestFile*> Find(std::string_view name) const {
    const auto found = manifest_.files.find(std::string(name));
    if (found == manifest_.files.end())
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("could not open {}: its manifest does not have it", Where(name)));
    const PgBackRestFile& file = found->second;
    if (!IsAsItWas() || file.size == 0 || file.map_size > 0 || file.stored_size == file.size)
      return &file;
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{}: its manifest says {} bytes, and that {} are stored",
                                 Where(name), file.size, file.stored_size));
  }

  PgBackRestRange RangeOf(const PgBackRestFile& file) const {
    return {manifest_.labels[file.reference],
            PgBackRestRepository::NameOf(file.bundle, file.stored_name,
                                         PackingSuffix(manifest_.packing)),
            file.offset, file.stored_size};
  }
  std::string WhereStored(const PgBackRestFile& file) const {
    return fmt::format("file \"{}\" in {}", file.stored_name, repository_.Where(RangeOf(file)));
  }

  // What is stored, decrypted and unpacked.
  Result<std::unique_ptr<ByteSource>> OpenContent(const PgBackRestFile& file) const {
    const bool raw = file.bundle > 0 && manifest_.bundles_are_raw;
    const std::string where = WhereStored(file);
    ASSIGN_OR_RETURN(auto stored,
                     repository_.OpenStored(RangeOf(file), manifest_.cipher_pass, raw, where));
    return Unpack(std::move(stored), raw ? RawPacking(manifest_.packing) : manifest_.packing,
                  where);
  }

  // Each file is unpacked once, by the first who opens it, even if it is damaged: what came of it stays
  // in the spool. That the machine was short of something may be over next time.
  Result<std::shared_ptr<const BaseFile>> OpenSpooled(const std::string& name,
                                                      const PgBackRestFile& file) const {
    std::shared_ptr<Spooled> entry;
    {
      const std::lock_guard lock(mutex_);
      if (!spool_) {
        ASSIGN_OR_RETURN(spool_, Spool::Create(spool_directory_));
      }
      auto& known = spooled_[name];
      if (!known) known = std::make_shared<Spooled>();
      entry = known;
    }
    const std::lock_guard lock(entry->mutex);
    if (!entry->begin || (!*entry->begin && IsShortage(entry->begin->error().code)))
      entry->begin = SpoolContent(file);
    ASSIGN_OR_RETURN(const uint64_t begin, *entry->begin);
    return MakeRangeFile(spool_->file(), begin, file.size, WhereStored(file));
  }

  Result<uint64_t> SpoolContent(const PgBackRestFile& file) const {
    ASSIGN_OR_RETURN(auto source, OpenContent(file));
    ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(ChecksumKind::kSha1));
    ChecksumSource checked(std::move(source), std::move(checksum));
    ASSIGN_OR_RETURN(const uint64_t begin, spool_->Take(&checked, file.size, WhereStored(file)));
    ASSIGN_OR_RETURN(const std::string sha1, checked.Finish());
    if (sha1 == file.sha1) return begin;
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{} is not as it was backed up: its SHA-1 is not the manifest's",
                                 WhereStored(file)));
  }

  const PgBackRestRepository repository_;
  const PgBackRestManifest manifest_;
  const std::string remark_;
  const FileBefore manifest_before_;
  const std::string spool_directory_;
  mutable std::mutex mutex_;  // of the two below; entries have one of their own
  mutable std::unique_ptr<Spool> spool_;
  mutable std::map<std::string, std::shared_ptr<Spooled>> spooled_;
};

}  // namespace

Result<std::unique_ptr<BaseBackup>> OpenPgBackRestBackup(PgBackRestLayout layout,
                                                         const BaseBackupOptions& options) {
  ASSIGN_OR_RETURN(auto repository,
                   PgBackRestRepository::Open(layout.directory, options.cipher_pass_file));
  if (layout.label.empty()) {
    ASSIGN_OR_RETURN(layout.label, repository.NewestLabel());
  }
  ASSIGN_OR_RETURN(auto manifest_before,
                   FileBefore::LookAt(repository.PathOf({layout.label, kManifestName, 0, 0}),
                                      options.awaits_age));
  ASSIGN_OR_RETURN(auto read, repository.Manifest(layout.label));
  return std::make_unique<PgBackRestBackup>(layout.directory + "/" + layout.label,
                                            std::move(repository), std::move(read),
                                            std::move(manifest_before), options.spool_directory);
}

}  // namespace neon_redo
