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

#include <cstring>
#include <utility>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

namespace {

constexpr size_t kKeySize = PageKey::kSize + 8;
constexpr PageKey kHeaderKey{0xff, 0xffffffff, 0xffffffff, 0xffffffff, 0xff, 0xffffffff};
constexpr uint64_t kFormat = 0x31785f6f64657201;  // its first byte counts the formats

struct StoredHeader {
  uint64_t format;
  uint64_t system_identifier;
  uint32_t segment_size;
  uint32_t last_crc;
  uint64_t begin, end, last_start;
  uint32_t segments, is_cut;
};
static_assert(sizeof(StoredHeader) == 56);

struct StoredSegment {
  uint64_t number, stored_size, hash, device, inode;
  int64_t modified, changed;
  uint64_t timeline;
};
static_assert(sizeof(StoredSegment) == 64);

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

rocksdb::Options TableOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 16 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;
  // Else they are kept in memory besides, for as many files as there are.
  table.cache_index_and_filter_blocks = true;
  if (cache) table.block_cache = cache;
  rocksdb::Options options;
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(PageKey::kSize));
  options.compression = rocksdb::kZSTD;
  options.compression_opts.level = 1;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

struct IndexFileWriter::Table {
  explicit Table(std::string shown)
      : path(std::move(shown)),
        options(TableOptions(nullptr)),
        writer(rocksdb::EnvOptions(), options) {}

  Status Put(const PageKey& key, Lsn start, const std::string& bytes) {
    const rocksdb::Status status = writer.Put(Key(key, start).slice(), bytes);
    return status.ok() ? Status() : Failed(status);
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
  std::string value;
};

IndexFileWriter::IndexFileWriter(std::unique_ptr<Table> table) : table_(std::move(table)) {}
IndexFileWriter::~IndexFileWriter() = default;

Result<std::unique_ptr<IndexFileWriter>> IndexFileWriter::Create(int fd, const std::string& path) {
  auto table = std::make_unique<Table>(path);
  if (const auto status = table->writer.Open(NameOf(fd)); !status.ok())
    return table->Failed(status);
  return std::unique_ptr<IndexFileWriter>(new IndexFileWriter(std::move(table)));
}

Status IndexFileWriter::Add(const PageKey& key, const std::vector<IndexEntry>& entries) {
  const EntryKind kind = EntryKindOf(key);
  for (size_t at = 0; at < entries.size();) {
    const size_t end = std::min(entries.size(), at + kMostEntriesOfPart);
    IndexEntry last{.start = entries[at].start};
    const Lsn start = last.start;
    table_->value.clear();
    for (; at < end; at++) {
      EncodeEntry(kind, entries[at], last, &table_->value);
      last = entries[at];
    }
    RETURN_IF_ERROR(table_->Put(key, start, table_->value));
  }
  return {};
}

Status IndexFileWriter::Finish(const IndexHeader& header) {
  const StoredHeader stored{.format = kFormat,
                            .system_identifier = header.system_identifier,
                            .segment_size = header.segment_size,
                            .last_crc = header.last_crc,
                            .begin = header.begin.value,
                            .end = header.end.value,
                            .last_start = header.last_start.value,
                            .segments = static_cast<uint32_t>(header.segments.size()),
                            .is_cut = header.is_cut};
  std::string bytes(reinterpret_cast<const char*>(&stored), sizeof(stored));
  for (const IndexedSegment& s : header.segments) {
    const StoredSegment segment{s.number, s.stored_size, s.hash,    s.device,
                                s.inode,  s.modified,    s.changed, s.timeline};
    bytes.append(reinterpret_cast<const char*>(&segment), sizeof(segment));
  }
  RETURN_IF_ERROR(table_->Put(kHeaderKey, Lsn(), bytes));
  if (const auto status = table_->writer.Finish(); !status.ok()) return table_->Failed(status);
  return {};
}

struct IndexFile::Table {
  explicit Table(const std::shared_ptr<rocksdb::Cache>& cache)
      : options(TableOptions(cache)), reader(options) {}

  const rocksdb::Options options;
  rocksdb::SstFileReader reader;
  std::unique_ptr<rocksdb::Iterator> at;  // of one key: it uses the filter
  std::vector<IndexEntry> part;
};

IndexFile::IndexFile(std::string path, std::unique_ptr<Table> table)
    : path_(std::move(path)), table_(std::move(table)) {}
IndexFile::~IndexFile() = default;

tl::unexpected<Error> IndexFile::Damaged(const std::string& what) const {
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("index file \"{}\" is damaged: {}", path_, what));
}

Result<std::unique_ptr<IndexFile>> IndexFile::Open(const Directory& directory,
                                                   const std::string& name,
                                                   const std::shared_ptr<rocksdb::Cache>& cache) {
  const std::string path = directory.PathOf(name);
  ASSIGN_OR_RETURN(const FileDescriptor fd, directory.OpenFile(name, O_RDONLY));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return FileError("examine file", path);
  std::unique_ptr<IndexFile> out(new IndexFile(path, std::make_unique<Table>(cache)));
  out->bytes_ = static_cast<uint64_t>(st.st_size);
  const auto status = out->table_->reader.Open(NameOf(fd.get()));
  if (status.IsIOError())
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not open index file \"{}\": {}", path, status.ToString()));
  if (!status.ok()) return out->Damaged(status.ToString());
  RETURN_IF_ERROR(out->ReadHeader());
  rocksdb::ReadOptions of_key;
  of_key.prefix_same_as_start = true;
  out->table_->at.reset(out->table_->reader.NewIterator(of_key));
  return out;
}

Status IndexFile::ReadHeader() {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> at(table_->reader.NewIterator(options));
  at->Seek(Key(kHeaderKey, Lsn()).slice());
  if (!at->status().ok()) return Damaged(at->status().ToString());
  StoredHeader stored;
  const size_t size = at->Valid() ? at->value().size() : 0;
  if (!at->Valid() || at->key() != Key(kHeaderKey, Lsn()).slice() || size < sizeof(stored))
    return Damaged("it has no header");
  std::memcpy(&stored, at->value().data(), sizeof(stored));
  if (stored.format != kFormat) return Damaged("it is of another format");
  if (stored.segments != (size - sizeof(stored)) / sizeof(StoredSegment) || stored.segments == 0)
    return Damaged("its header names no segments");
  header_ = {.system_identifier = stored.system_identifier,
             .segment_size = stored.segment_size,
             .begin = Lsn(stored.begin),
             .end = Lsn(stored.end),
             .last_start = Lsn(stored.last_start),
             .last_crc = stored.last_crc,
             .is_cut = stored.is_cut != 0};
  for (size_t i = 0; i < stored.segments; i++) {
    StoredSegment s;
    std::memcpy(&s, at->value().data() + sizeof(stored) + i * sizeof(s), sizeof(s));
    header_.segments.push_back({static_cast<uint32_t>(s.timeline), s.number, s.stored_size, s.hash,
                                s.device, s.inode, s.modified, s.changed});
  }
  return {};
}

Status IndexFile::ReadBack(const PageKey& key, Lsn to, const Take& take) {
  if (to <= header_.begin) return {};
  rocksdb::Iterator& at = *table_->at;
  const EntryKind kind = EntryKindOf(key);
  std::vector<IndexEntry>& part = table_->part;
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

Status IndexFile::ForEach(const PageKey& first, const PageKey& last, const Sink& sink) {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> at(table_->reader.NewIterator(options));
  std::vector<IndexEntry> part;
  for (at->Seek(Key(first, Lsn()).slice()); at->Valid(); at->Next()) {
    if (at->key().size() != kKeySize) return Damaged("it has a key of a wrong size");
    const PageKey key = PageKeyOf(at->key());
    if (key > last || key == kHeaderKey) break;
    part.clear();
    if (Status s = DecodeEntries(EntryKindOf(key), StartOf(at->key()), BytesOf(at->value()), &part);
        !s)
      return Damaged(s.error().message);
    RETURN_IF_ERROR(sink(key, part));
  }
  return at->status().ok() ? Status() : Damaged(at->status().ToString());
}

}  // namespace neon_redo
