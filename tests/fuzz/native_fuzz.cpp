// libFuzzer target: one record on one page, through every block reference of the record.
//
// Input: a byte whose value modulo 4 picks the base (none, then pages with 0, 8 or 16 bytes of
// special area) and whose other bits pick a version, two bytes of length, that many bytes of a WAL record, and whatever is left over
// the start of the page. The record's length field is made right, so that mutations get through.
// Seeds: native_oracle --corpus DIR.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <vector>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/redo/native/page_edit.h"
#include "neon_redo/native.h"

namespace {

struct alignas(8) AlignedPage {
  uint8_t bytes[neon_redo::kBlockSize];
};

void ApplyToBlock(const neon_redo::RecordView& view, int id, const AlignedPage& base, bool have) {
  // A buffer of its own: AddressSanitizer sees a step over either end.
  const auto page = std::make_unique<AlignedPage>(base);
  const auto result = neon_redo::ApplyNative(view, id, neon_redo::Lsn(1u << 30), page->bytes, have);
  const bool supported = neon_redo::NativeSupports(view, id);
  if (!supported && result != neon_redo::NativeResult::kUnsupported) std::abort();
  if (result == neon_redo::NativeResult::kUnsupported &&
      std::memcmp(page->bytes, base.bytes, sizeof(base.bytes)) != 0)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3 + neon_redo::kRecordHeaderSize) return 0;
  const unsigned kind = data[0] % 4;
  const auto& version = neon_redo::pg::kVersions[data[0] / 4 % std::size(neon_redo::pg::kVersions)];
  const size_t length = data[1] | size_t{data[2]} << 8;
  data += 3;
  size -= 3;
  if (length < neon_redo::kRecordHeaderSize || length > size) return 0;
  std::vector<uint8_t> record(data, data + length);
  const auto total = static_cast<uint32_t>(length);
  std::memcpy(record.data(), &total, sizeof(total));

  AlignedPage base{};
  if (kind != 0) {
    neon_redo::native::InitPage(base.bytes, (kind - 1) * 8);
    const size_t left = size - length;
    std::memcpy(base.bytes, data + length, left < sizeof(base.bytes) ? left : sizeof(base.bytes));
  }
  static neon_redo::RecordView view(version);
  view.set_version(version);
  if (view.Parse(record)) return 0;
  for (int id = 0; id <= view.max_block_id(); id++) ApplyToBlock(view, id, base, kind != 0);
  return 0;
}
