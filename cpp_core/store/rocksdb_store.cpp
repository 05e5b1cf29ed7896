// A RocksDB key is the page key, the LSN and the index, all big-endian, so that the entries of a
// page lie side by side in the order they are applied. Reading goes backwards from the LSN asked
// for. There is no write-ahead log: WAL itself is one, and a store that was not flushed is built
// anew from it.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "cpp_core/base/files.h"
#include "cpp_core/store/store.h"

namespace neon_redo {

namespace {

constexpr size_t kKeySize = PageKey::kSize + 8 + 4;
constexpr uint64_t kLeastMemory = 8 << 20;

rocksdb::Slice AsSlice(const uint8_t* bytes, size_t n) {
  return {reinterpret_cast<const char*>(bytes), n};
}
const uint8_t* AsBytes(const rocksdb::Slice& slice) {
  return reinterpret_cast<const uint8_t*>(slice.data());
}

void StoreKey(const PageKey& key, Lsn lsn, uint32_t index, uint8_t* out) {
  key.Store(out);
  StoreBe64(out + PageKey::kSize, lsn.value);
  StoreBe32(out + PageKey::kSize + 8, index);
}

Error ToError(const rocksdb::Status& status) {
  return {status.IsCorruption() ? ErrorCode::kCorrupt : ErrorCode::kIo,
          "the store of changes failed: " + status.ToString()};
}

class RocksDbStore : public Store {
 public:
  explicit RocksDbStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {
    write_options_.disableWAL = true;
  }

  Status Put(const PageKey& key, Lsn lsn, uint32_t index, bool initialises, Bytes value) override {
    uint8_t bytes[kKeySize];
    StoreKey(key, lsn, index, bytes);
    buffer_.assign(1, static_cast<char>(initialises));
    buffer_.append(reinterpret_cast<const char*>(value.data()), value.size());
    const auto status = db_->Put(write_options_, AsSlice(bytes, kKeySize), buffer_);
    if (!status.ok()) return tl::unexpected(ToError(status));
    return {};
  }

  Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) override {
    uint8_t bytes[kKeySize];
    StoreKey(key, lsn, ~uint32_t{0}, bytes);
    std::vector<StoredChange> found;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
    for (it->SeekForPrev(AsSlice(bytes, kKeySize)); it->Valid(); it->Prev()) {
      if (it->key().size() != kKeySize || it->value().empty())
        return MakeError(ErrorCode::kCorrupt, "the store of changes has an entry of a wrong size");
      const uint8_t* k = AsBytes(it->key());
      if (PageKey::Load(k) != key) break;
      const bool initialises = it->value()[0] != 0;
      found.push_back({Lsn(LoadBe64(k + PageKey::kSize)), LoadBe32(k + PageKey::kSize + 8),
                       initialises, it->value().ToString().substr(1)});
      if (initialises) break;
    }
    if (!it->status().ok()) return tl::unexpected(ToError(it->status()));
    std::reverse(found.begin(), found.end());
    return found;
  }

  Result<std::optional<PageKey>> NextKey(const PageKey& from) override {
    uint8_t bytes[kKeySize];
    StoreKey(from, Lsn(0), 0, bytes);
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
    it->Seek(AsSlice(bytes, kKeySize));
    if (!it->status().ok()) return tl::unexpected(ToError(it->status()));
    if (!it->Valid()) return std::nullopt;
    return PageKey::Load(AsBytes(it->key()));
  }

  Status Flush() override {
    const auto status = db_->Flush(rocksdb::FlushOptions());
    if (!status.ok()) return tl::unexpected(ToError(status));
    return {};
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_options_;
  std::string buffer_;
};

}  // namespace

Result<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbStoreOptions& options) {
  const uint64_t memory = std::max(options.memory, kLeastMemory);
  // Write buffers are charged to the cache, so that both together have one limit, and writers wait
  // when the disk does not keep up.
  const auto cache = rocksdb::NewLRUCache(memory, -1, /*strict_capacity_limit=*/false);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.block_size = 32 << 10;
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  db_options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(memory / 2, cache, /*allow_stall=*/true);
  db_options.write_buffer_size = memory / 4;
  db_options.max_open_files = 256;
  db_options.compression = rocksdb::kLZ4Compression;
  db_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // It holds what the database holds. RocksDB would make it readable by all.
  if (mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST && errno != ENOENT)
    return FileError("create directory", options.directory);
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::Open(db_options, options.directory, &db);
  if (!status.ok()) return tl::unexpected(ToError(status));
  return std::make_unique<RocksDbStore>(std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace neon_redo
