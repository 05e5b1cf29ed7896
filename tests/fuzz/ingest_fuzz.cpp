// Ingest: records into changes, and the changes into the page server's records, applied to pages.
// Input: records, each with its length before it (2 bytes, little-endian), taken in turn, as what
// WAL said before matters. The input's size picks the version. Their length fields are made right, so that mutations get through.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <vector>

#include "cpp_core/pg/version.h"
#include "neon_redo/ingest.h"
#include "neon_redo/page_server_record.h"

using namespace neon_redo;

namespace {

void Check(const Change& change, const std::vector<uint8_t>& record) {
  const Bytes payload = change.payload;
  if (!payload.empty() && (payload.data() < record.data() ||
                           payload.data() + payload.size() > record.data() + record.size()))
    std::abort();
  if (DescribeChange(change).find('\n') != std::string::npos) std::abort();
  const auto native = ToPageServerRecord(change);
  if (!native) return;
  std::vector<uint8_t> page(kBlockSize);
  const std::vector<uint8_t> before(page);
  if (!ApplyPageServerRecord(*native, Lsn(0x1000028), change.key, &page) && page != before)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  IngestOptions options;
  options.track_commit_timestamp = size % 2 != 0;
  Ingest ingest(options);
  ChangeList changes;
  static RecordView view(pg::kVersions[0]);
  view.set_version(pg::kVersions[size / 2 % std::size(pg::kVersions)]);
  while (size >= 2) {
    const size_t length = std::min<size_t>(data[0] | data[1] << 8, size - 2);
    std::vector<uint8_t> record(data + 2, data + 2 + length);
    data += 2 + length;
    size -= 2 + length;
    if (length < kRecordHeaderSize) continue;
    const auto total = static_cast<uint32_t>(length);
    std::memcpy(record.data(), &total, sizeof(total));
    if (view.Parse(record) || ingest.Take(view, &changes)) continue;
    for (const Change& change : changes) Check(change, record);
  }
  return 0;
}
