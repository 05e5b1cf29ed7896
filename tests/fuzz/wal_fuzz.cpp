// The WAL reader, from file to records. Input: the segment's number (8 bytes, little-endian), then
// the start of a segment of 1 MB; the rest of the file is zeroes. Whatever the bytes, each record
// that comes out is whole and its checksum is right.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "cpp_core/archive/segment.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"
#include "tests/fuzz/scratch.h"
#include "tests/unit/version_15.h"

using namespace neon_redo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint32_t kSegmentSize = 1 << 20;
  if (size < 8 || size > 8 + kSegmentSize) return 0;
  uint64_t number = LoadNative<uint64_t>(data) & 0xffff'ffff'ffff;
  const std::string name = FormatSegmentName(1, number, kSegmentSize);
  const ScratchFile file(name, data + 8, size - 8, kSegmentSize);
  auto reader = WalReader::Open({{ScratchDirectory()}, {}, {}, {}});
  if (!reader) return 0;
  static RecordView view(kPg15);
  for (;;) {
    auto record = (*reader)->Next();
    if (!record || !*record) break;
    if ((*record)->start >= (*record)->end) std::abort();
    if (!RecordView::VerifyCrc((*record)->bytes)) std::abort();
    if (ParseRecord(**record, &view)) DescribeRecord(view, (*record)->start);
  }
  return 0;
}
