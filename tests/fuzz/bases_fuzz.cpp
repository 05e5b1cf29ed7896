// What base backups are made of. Input: which of the parsers (a byte), then the bytes that it reads.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "cpp_core/backup/barman_info.h"
#include "cpp_core/backup/incremental_file.h"
#include "cpp_core/backup/pgbackrest_block_map.h"
#include "cpp_core/backup/pgbackrest_manifest.h"
#include "cpp_core/backup/range_file.h"
#include "cpp_core/backup/tar_reader.h"
#include "cpp_core/backup/unpack.h"
#include "cpp_core/backup/walg_increment.h"
#include "cpp_core/backup/walg_sentinel.h"
#include "neon_redo/block.h"

using namespace neon_redo;

namespace {

class BytesSource : public ByteSource {
 public:
  explicit BytesSource(Bytes bytes) : bytes_(bytes) {}
  Result<size_t> Read(WritableBytes out) override {
    const size_t count = std::min(out.size(), bytes_.size());
    std::copy_n(bytes_.begin(), count, out.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }
  uint64_t Skip(uint64_t count) override {
    const auto skipped = static_cast<size_t>(std::min<uint64_t>(count, bytes_.size()));
    bytes_ = bytes_.subspan(skipped);
    return skipped;
  }

 private:
  Bytes bytes_;
};

// Where content is said to be, it is.
void ReadTar(Bytes bytes) {
  auto tar = TarReader::Open(std::make_unique<BytesSource>(bytes), "x");
  if (!tar) return;
  for (TarEntry entry;;) {
    const auto next = (*tar)->Next(&entry);
    if (!next || !*next) return;
    if (entry.kind != TarEntry::kFile || entry.begin + entry.size > bytes.size()) continue;
    std::vector<uint8_t> content(entry.size);
    const auto got = ReadFully((*tar)->content(), content);
    const Bytes there = bytes.subspan(entry.begin, entry.size);
    if (got && (*got != entry.size || !std::equal(content.begin(), content.end(), there.begin())))
      std::abort();
  }
}

void ReadIncremental(const std::string& text) {
  IncrementalSource newest{MakeTextFile(text), "x", {}, false};
  auto header = ReadIncrementalHeader(*newest.file, "x");
  if (!header) return;
  newest.header = std::move(*header);
  const auto file = MakeIncrementalFile(
      {std::move(newest), {MakeTextFile(std::string(3 * kBlockSize, 'x')), "y", {}, true}});
  std::vector<uint8_t> page(kBlockSize + 1);
  for (const uint64_t at : {uint64_t{0}, 3 * kBlockSize - 1, file->Size().value_or(0) - 1})
    (void)file->Read(at, page);
}

void ReadWalgParts(const std::string& text) {
  WalgSource newest{MakeTextFile(text), "x", {}, false};
  auto increment = ReadWalgIncrement(*newest.file, "x");
  if (!increment) return;
  newest.increment = std::move(*increment);
  const auto file = MakeWalgFile(
      {std::move(newest), {MakeTextFile(std::string(3 * kBlockSize - 100, 'x')), "y", {}, true}});
  std::vector<uint8_t> page(kBlockSize + 1);
  for (const uint64_t at : {uint64_t{0}, 3 * kBlockSize - 1, file->Size().value_or(0) - 1})
    (void)file->Read(at, page);
}

void ReadMap(Bytes bytes) {
  const PgBackRestMapShape shape{8192, 6, 8192 * 4 + 100, 2};
  const auto blocks = ParsePgBackRestBlockMap(bytes, shape, "x");
  if (blocks && (blocks->size() != 5 || blocks->back().reference >= shape.references)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Bytes bytes(data + 1, size - 1);
  const std::string text(bytes.begin(), bytes.end());
  switch (data[0] % 15) {
    case 0:
      ReadTar(bytes);
      return 0;
    case 1:
      ReadIncremental(text);
      return 0;
    case 2:
      ReadMap(bytes);
      return 0;
    case 3:
      (void)ParsePgBackRestManifest(text, "x");
      return 0;
    case 4:
      (void)ParseBarmanInfo(text, "x");
      return 0;
    case 5:
      ReadWalgParts(text);
      return 0;
    case 6:
      (void)ParseWalgSentinel(text, "x");
      (void)ParseWalgFiles(text, "x");
      return 0;
    default: {
      const auto packing = static_cast<Packing>(data[0] % 15 - 6);
      const auto source = Unpack(std::make_unique<BytesSource>(bytes), packing, "x");
      (void)ReadRest(source.get(), 1 << 20, "x");
      return 0;
    }
  }
}
