// A sorted table of RocksDB, which has a checksum for each block and a filter for each file. Its keys are
// the page's key, as a page server writes it, and the first position of a part, big-endian; its values
// are the entries (entry.cpp). The header is the value of a key after all others.
#include "cpp_core/index/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr size_t kKeySize = PageKey::kSize + 8;
constexpr PageKey kHeaderKey{0xff, 0xffffffff, 0xffffffff, 0xffffffff, 0xff, 0xffffffff};
constexpr uint64_t kFormat = 0x31785f6f64657203;  // its first byte counts the formats

struct StoredHeader {
  uint64_t format;
  uint64_t system_identifier;
  uint32_t segment_size, is_cut;
  uint32_t segments, stretches;
};
static_assert(sizeof(StoredHeader) == 32);

struct StoredSegment {
  uint64_t number, stored_size, hash, device, inode;
  int64_t modified, changed;
  uint64_t timeline;
};
static_assert(sizeof(StoredSegment) == 64);

struct StoredStretch {
  uint64_t begin, end, last_start, last_end, last_crc;
};
static_assert(sizeof(StoredStretch) == 40);

template <typename T>
void AppendStored(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

class Key {
 public:
  Key(const PageKey& key, Lsn start) {
    key.Store(bytes_);
    StoreBe64(bytes_ + PageKey::kSize, start.value);
  }
  rocksdb::Slice slice() const { return {reinterpret_cast<const char*>(bytes_), kKeySize}; }

 private:
  uint8_t bytes_[kKeySize];
};

PageKey PageKeyOf(const rocksdb::Slice& key) {
  return PageKey::Load(reinterpret_cast<const uint8_t*>(key.data()));
}
Lsn StartOf(const rocksdb::Slice& key) {
  return Lsn(LoadBe64(reinterpret_cast<const uint8_t*>(key.data()) + PageKey::kSize));
}
Bytes BytesOf(const rocksdb::Slice& value) {
  return {reinterpret_cast<const uint8_t*>(value.data()), value.size()};
}

// RocksDB opens files by name. This one leads to the open file, whatever its own name leads to by now.
std::string NameOf(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

rocksdb::Options TableOptions(const std::shared_ptr<rocksdb::Cache>& cache, bool is_large) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 16 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;
  // Else they are kept in memory besides, for as many files as there are.
  table.cache_index_and_filter_blocks = true;
  if (cache) table.block_cache = cache;
  if (is_large) {
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 64 << 10;
  }
  rocksdb::Options options;
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(PageKey::kSize));
  options.compression = rocksdb::kZSTD;
  options.compression_opts.level = 1;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

// Segments and stretches are neighbours, and are of the same WAL. Each stretch but the last has WAL. What has the
// numbers of others cannot be trusted: no product of them is taken, which may overflow.
static bool IsOrderly(const IndexHeader& header) {
  const uint64_t size = header.segment_size, number = header.segments.front().number;
  if (size == 0 || header.begin().value % size != 0 || header.begin().value / size != number)
    return false;
  for (size_t i = 0; i < header.segments.size(); i++)
    if (header.segments[i].number != number + i) return false;
  for (size_t i = 1; i < header.stretches.size(); i++)
    if (header.stretches[i].begin != header.stretches[i - 1].end ||
        header.stretches[i].begin <= header.stretches[i - 1].begin ||
        header.stretches[i].begin.value % size != 0)
      return false;
  const IndexedStretch& last = header.stretches.back();
  const uint64_t newest = header.segments.back().number;
  return last.begin.value / size <= newest && last.begin <= last.end &&
         (last.end == last.begin || (last.end.value - 1) / size <= newest);
}

const IndexedStretch& IndexHeader::StretchOf(Lsn start) const {
  const auto after =
      std::upper_bound(stretches.begin(), stretches.end(), start,
                       [](Lsn lsn, const IndexedStretch& s) { return lsn < s.begin; });
  return after == stretches.begin() ? *after : *std::prev(after);
}

struct IndexFileWriter::Table {
  Table(std::string shown, bool is_large)
      : path(std::move(shown)),
        options(TableOptions(nullptr, is_large)),
        writer(rocksdb::EnvOptions(), options) {}

  Status Put(const PageKey& of, Lsn from, const std::string& bytes) {
    const rocksdb::Status status = writer.Put(Key(of, from).slice(), bytes);
    return status.ok() ? Status() : Failed(status);
  }
  // Writes the part that is begun.
  Status PutPart() {
    if (count == 0) return {};
    RETURN_IF_ERROR(Put(key, start, value));
    value.clear();
    count = 0;
    return {};
  }
  tl::unexpected<Error> Failed(const rocksdb::Status& status) const {
    const ErrorCode code =
        status.IsNoSpace() || status.IsIOError() ? ErrorCode::kIo : ErrorCode::kCorrupt;
    return MakeError(code,
                     fmt::format("could not write index file \"{}\": {}", path, status.ToString()));
  }

  const std::string path;
  const rocksdb::Options options;
  rocksdb::SstFileWriter writer;
  // The part that is begun: its key, how many entries it has, and the last one.
  PageKey key{};
  Lsn start;
  size_t count = 0;
  IndexEntry last;
  std::string value;
};

IndexFileWriter::IndexFileWriter(std::unique_ptr<Table> table) : table_(std::move(table)) {}
IndexFileWriter::~IndexFileWriter() = default;

Result<std::unique_ptr<IndexFileWriter>> IndexFileWriter::Create(int fd, const std::string& path,
                                                                 bool is_large) {
  auto table = std::make_unique<Table>(path, is_large);
  if (const auto status = table->writer.Open(NameOf(fd)); !status.ok())
    return table->Failed(status);
  return std::unique_ptr<IndexFileWriter>(new IndexFileWriter(std::move(table)));
}

Status IndexFileWriter::Add(const PageKey& key, std::span<const IndexEntry> entries) {
  const EntryKind kind = EntryKindOf(key);
  Table& table = *table_;
  for (const IndexEntry& entry : entries) {
    if (table.count == kMostEntriesOfPart || key != table.key) RETURN_IF_ERROR(table.PutPart());
    if (table.count == 0) {
      table.key = key;
      table.start = entry.start;
      table.last = {.start = entry.start};
    }
    EncodeEntry(kind, entry, table.last, &table.value);
    table.last = entry;
    table.count++;
  }
  return {};
}

Status IndexFileWriter::Finish(const IndexHeader& header) {
  RETURN_IF_ERROR(table_->PutPart());
  std::string bytes;
  AppendStored(StoredHeader{.format = kFormat,
                            .system_identifier = header.system_identifier,
                            .segment_size = header.segment_size,
                            .is_cut = header.is_cut,
                            .segments = static_cast<uint32_t>(header.segments.size()),
                            .stretches = static_cast<uint32_t>(header.stretches.size())},
               &bytes);
  for (const IndexedSegment& s : header.segments) {
    const FileIdentity& file = s.file;
    AppendStored(StoredSegment{s.number, file.size, s.hash, file.device, file.inode, file.modified,
                               file.changed, s.timeline},
                 &bytes);
  }
  for (const IndexedStretch& s : header.stretches)
    AppendStored(
        StoredStretch{s.begin.value, s.end.value, s.last_start.value, s.last_end.value, s.last_crc},
        &bytes);
  RETURN_IF_ERROR(table_->Put(kHeaderKey, Lsn(), bytes));
  if (const auto status = table_->writer.Finish(); !status.ok()) return table_->Failed(status);
  return {};
}

struct IndexFile::Table {
  explicit Table(const std::shared_ptr<rocksdb::Cache>& cache)
      : options(TableOptions(cache, false)), reader(options) {}

  const rocksdb::Options options;
  rocksdb::SstFileReader reader;
  uint64_t bytes = 0;  // of the file
  IndexHeader header{};
};

IndexFile::IndexFile(std::string path, std::string name, std::shared_ptr<Table> table)
    : path_(std::move(path)), name_(std::move(name)), table_(std::move(table)) {}
IndexFile::~IndexFile() = default;

const IndexHeader& IndexFile::header() const { return table_->header; }
uint64_t IndexFile::bytes() const { return table_->bytes; }

std::shared_ptr<IndexFile> IndexFile::Share() const {
  std::shared_ptr<IndexFile> out(new IndexFile(path_, name_, table_));
  out->ReadByKey();
  return out;
}

void IndexFile::ReadByKey() {
  rocksdb::ReadOptions of_key;
  of_key.prefix_same_as_start = true;
  at_.reset(table_->reader.NewIterator(of_key));
}

tl::unexpected<Error> IndexFile::Damaged(const std::string& what) {
  is_damaged_ = true;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("index file \"{}\" is damaged: {}", path_, what));
}

Result<std::unique_ptr<IndexFile>> IndexFile::Open(const Directory& directory,
                                                   const std::string& name,
                                                   const std::shared_ptr<rocksdb::Cache>& cache,
                                                   const std::string& later) {
  const std::string& called = later.empty() ? name : later;
  const std::string path = directory.PathOf(called);
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", path);
  std::unique_ptr<IndexFile> out(new IndexFile(path, called, std::make_shared<Table>(cache)));
  out->table_->bytes = static_cast<uint64_t>(st.st_size);
  const auto status = out->table_->reader.Open(NameOf(fd.get()));
  if (status.IsIOError())
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not open index file \"{}\": {}", path, status.ToString()));
  if (!status.ok()) return out->Damaged(status.ToString());
  RETURN_IF_ERROR(out->ReadHeader());
  out->ReadByKey();
  return out;
}

Status IndexFile::ReadHeader() {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> at(table_->reader.NewIterator(options));
  at->Seek(Key(kHeaderKey, Lsn()).slice());
  if (!at->status().ok()) return Damaged(at->status().ToString());
  if (!at->Valid() || at->key() != Key(kHeaderKey, Lsn()).slice())
    return Damaged("it has no header");
  ByteReader in(BytesOf(at->value()));
  StoredHeader stored;
  if (!in.Read(&stored)) return Damaged("its header is too short");
  if (stored.format != kFormat)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("index file \"{}\" is of another version of the program", path_));
  const uint64_t size = uint64_t{stored.segments} * sizeof(StoredSegment) +
                        uint64_t{stored.stretches} * sizeof(StoredStretch);
  if (stored.segments == 0 || stored.stretches == 0 || in.remaining() != size)
    return Damaged("its header names no segments");
  IndexHeader& header = table_->header;
  header = {.system_identifier = stored.system_identifier,
            .segment_size = stored.segment_size,
            .is_cut = stored.is_cut != 0};
  for (StoredSegment s; header.segments.size() < stored.segments && in.Read(&s);)
    header.segments.push_back({static_cast<uint32_t>(s.timeline),
                               s.number,
                               s.hash,
                               {s.device, s.inode, s.stored_size, s.modified, s.changed}});
  for (StoredStretch s; header.stretches.size() < stored.stretches && in.Read(&s);)
    header.stretches.push_back({Lsn(s.begin), Lsn(s.end), Lsn(s.last_start), Lsn(s.last_end),
                                static_cast<uint32_t>(s.last_crc)});
  return IsOrderly(header) ? Status() : Damaged("its header is no list of neighbours");
}

Status IndexFile::ReadBack(const PageKey& key, Lsn to, const Take& take) {
  if (to <= header().begin()) return {};
  rocksdb::Iterator& at = *at_;
  const EntryKind kind = EntryKindOf(key);
  std::vector<IndexEntry>& part = part_;
  for (at.SeekForPrev(Key(key, Lsn(to.value - 1)).slice()); at.Valid(); at.Prev()) {
    if (at.key().size() != kKeySize) return Damaged("it has a key of a wrong size");
    if (PageKeyOf(at.key()) != key) break;
    part.clear();
    if (Status s = DecodeEntries(kind, StartOf(at.key()), BytesOf(at.value()), &part); !s)
      return Damaged(s.error().message);
    while (!part.empty() && part.back().start >= to) part.pop_back();
    if (!part.empty() && !take(part)) return {};
  }
  return at.status().ok() ? Status() : Damaged(at.status().ToString());
}

IndexFile::Cursor::Cursor(IndexFile* file, const PageKey& first, Lsn from) : file_(file) {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  options.fill_cache = false;
  at_.reset(file->table_->reader.NewIterator(options));
  // A part that begins before `from` may have entries after it.
  at_->SeekForPrev(Key(first, from).slice());
  if (!at_->status().ok()) return;
  if (!at_->Valid() || at_->key().size() != kKeySize || PageKeyOf(at_->key()) < first)
    at_->Seek(Key(first, Lsn()).slice());
}

IndexFile::Cursor::~Cursor() = default;
IndexFile::Cursor::Cursor(Cursor&&) noexcept = default;
IndexFile::Cursor& IndexFile::Cursor::operator=(Cursor&&) noexcept = default;

Result<bool> IndexFile::Cursor::Next() {
  if (!is_first_ && at_->Valid()) at_->Next();
  is_first_ = false;
  if (!at_->status().ok()) return file_->Damaged(at_->status().ToString());
  if (!at_->Valid()) return false;
  if (at_->key().size() != kKeySize) return file_->Damaged("it has a key of a wrong size");
  key_ = PageKeyOf(at_->key());
  if (key_ == kHeaderKey) return false;
  part_.clear();
  if (Status s =
          DecodeEntries(EntryKindOf(key_), StartOf(at_->key()), BytesOf(at_->value()), &part_);
      !s)
    return file_->Damaged(s.error().message);
  return true;
}

}  // namespace neon_redo
