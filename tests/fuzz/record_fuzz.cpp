// One WAL record: decoding, description as text and as JSON, page images. Input: the record. Its
// length field is made right, so that mutations get through.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "neon_redo/describe.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/version_15.h"

using namespace neon_redo;

namespace {

// Every view of the record must lie within it.
void CheckWithin(Bytes inner, Bytes outer) {
  if (inner.empty()) return;
  if (inner.data() < outer.data() || inner.data() + inner.size() > outer.data() + outer.size())
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kRecordHeaderSize) return 0;
  std::vector<uint8_t> record(data, data + size);
  const auto total = static_cast<uint32_t>(size);
  std::memcpy(record.data(), &total, sizeof(total));
  RecordView::VerifyCrc(record);
  static RecordView view(kPg15);
  if (view.Parse(record)) return 0;
  CheckWithin(view.main_data(), record);
  std::vector<uint8_t> page(kBlockSize);
  for (int id = 0; id <= view.max_block_id(); ++id) {
    const BlockRef* block = view.block(id);
    if (block == nullptr) continue;
    CheckWithin(block->data, record);
    CheckWithin(block->image, record);
    if (block->has_image) (void)RestoreImage(*block, page.data());
  }
  const std::string line = DescribeRecord(view, Lsn(0x1000028));
  if (line.find('\n') != std::string::npos) std::abort();
  const std::string json = DescribeRecordAsJson(view, Lsn(0x1000028), Lsn(0x1000100));
  if (!nlohmann::json::accept(json)) std::abort();
  return 0;
}
