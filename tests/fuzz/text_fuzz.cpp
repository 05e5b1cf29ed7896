// What is read from text: LSNs, page keys, segment names; and a worker's stderr. Input: the text.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cpp_core/archive/segment.h"
#include "cpp_core/redo/worker/frames.h"
#include "cpp_core/redo/worker/pipe_loop.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

using namespace neon_redo;

namespace {

void CheckLine(const std::string& line, size_t most) {
  if (line.size() > most) std::abort();
  for (const char c : line) {
    if (c == '\n' || c == '\x1b') std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto lsn = Lsn::Parse(text)) {
    if (*Lsn::Parse(lsn->ToString()) != *lsn) std::abort();
  }
  if (const auto key = PageKey::Parse(text)) {
    if (*PageKey::Parse(key->ToString()) != *key) std::abort();
    key->Describe();
  }
  ParseSegmentName(text);
  StreamTail tail;
  for (size_t at = 0; at < size; at += 7)
    tail.Append(Bytes(data + at, std::min<size_t>(7, size - at)));
  CheckLine(tail.OneLine(), 1300);
  CheckLine(tail.LastLineWith(kViolationPrefix), 100);
  const StreamTail rest = tail.WithoutLines(kViolationPrefix);
  if (!rest.LastLineWith(kViolationPrefix).empty()) std::abort();
  return 0;
}
