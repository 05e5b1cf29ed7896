// The worker's side of the pipe protocol: src/worker/serve.cpp itself, with the engine replaced by one
// that counts. Input: a byte that says how the bytes are cut, then frames. The answers must be
// those of a parser that takes one frame after the other from memory, whatever the cut: the same
// pages, and all of those before a refusal.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cpp_core/redo/worker/frames.h"
#include "src/server.h"
#include "src/worker/engine.h"
#include "src/worker/serve.h"

namespace {

struct Refused {};

const uint8_t* feed;
size_t feed_left;
size_t cut;
std::vector<uint8_t> written;

ssize_t FuzzRead(int, void* to, size_t size) {
  const size_t n = std::min({size, feed_left, cut});
  std::memcpy(to, feed, n);
  feed += n;
  feed_left -= n;
  return static_cast<ssize_t>(n);
}

ssize_t FuzzWrite(int, const void* from, size_t size) {
  const size_t n = std::min(size, cut * 100);
  const auto* p = static_cast<const uint8_t*>(from);
  written.insert(written.end(), p, p + n);
  return static_cast<ssize_t>(n);
}

// Made once: it is so large that getting it takes longer than all the rest.
void* FuzzOutput(size_t alignment, size_t size) {
  static void* const output = aligned_alloc(alignment, size);
  return output;
}

}  // namespace

extern "C" {
bool errstart(int, const char*) { return true; }
bool errstart_cold(int, const char*) { return true; }
int errcode(int) { return 0; }
int errmsg(const char*, ...) { return 0; }
void errfinish(const char*, int, const char*) { throw Refused(); }
}

#define read FuzzRead
#define write FuzzWrite
#define aligned_alloc FuzzOutput
#include "src/worker/serve.cpp"
#undef read
#undef write
#undef aligned_alloc

namespace neon_redo {

namespace {

// What the engine below leaves of a request: the sum of all that it was given.
struct Sum {
  uint32_t value = 0;
  bool have = false;
  void Add(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) value = value * 31 + bytes[i];
    have = true;
  }
};

Sum engine;
uint8_t* engine_page;

void Store(uint8_t* page, const Sum& sum) {
  memset(page, 0xaa, kBlockSize);
  memcpy(page, &sum.value, sizeof(sum.value));
}

// The reference: answers to the frames, until one that cannot be right.
std::vector<uint8_t> Expected(const uint8_t* data, size_t size) {
  std::vector<uint8_t> out;
  Sum sum;
  bool begun = false;
  const uint8_t* begin = nullptr;
  while (size >= kFrameHeaderSize) {
    const uint64_t length = uint64_t{1} + LoadBe32(data + 1);
    const uint8_t* payload = data + kFrameHeaderSize;
    const bool tagged = data[0] == 'B' || data[0] == 'P' || data[0] == 'G';
    if (data[0] == 'A' ? length <= kApplyPrefixSize || length > kApplyPrefixSize + 0x3fffffff
                       : length != (data[0] == 'P'   ? kPushFrameSize
                                    : data[0] == 'H' ? kPingFrameSize
                                    : tagged         ? kGetFrameSize
                                                     : 0))
      return out;
    if (length > size) return out;
    if (data[0] != 'B' && data[0] != 'H' && !begun) return out;
    if ((data[0] == 'P' || data[0] == 'G') && memcmp(payload, begin, kTagSize) != 0) return out;
    out.reserve(out.size() + kBlockSize);
    switch (data[0]) {
      case 'B':
        if (payload[0] > kMaxForkNumber) return out;
        begun = true;
        begin = payload;
        sum = Sum();
        break;
      case 'P':
        sum.Add(payload + kTagSize, kBlockSize);
        break;
      case 'A':
        sum.Add(payload, length - kFrameHeaderSize);
        break;
      case 'G':
        if (!sum.have) return out;
        out.resize(out.size() + kBlockSize);
        Store(out.data() + out.size() - kBlockSize, sum);
        begun = false;
        break;
      case 'H':
        out.resize(out.size() + kBlockSize);
        break;
    }
    data += length;
    size -= length;
  }
  return out;
}

}  // namespace

void BeginRequest(const BlockTag&, uint8_t* page) {
  engine = Sum();
  engine_page = page;
}
void MovePage(uint8_t* to, const uint8_t* from) {
  memcpy(to, from, kBlockSize);
  engine_page = to;
}
void PushBase(const uint8_t* image) {
  engine.Add(image, kBlockSize);
  Store(engine_page, engine);
}
void ApplyRecord(uint64_t end_lsn, uint8_t* record, uint32_t length) {
  uint8_t lsn[8];
  StoreBe64(lsn, end_lsn);
  engine.Add(lsn, sizeof(lsn));
  engine.Add(record, length);
  memset(record, 0xee, length);  // scratch
  Store(engine_page, engine);
}
bool HavePage() { return engine.have; }
void EndRequest() {}

}  // namespace neon_redo

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neon_redo;
  if (size < 1) return 0;
  cut = size_t{1} << data[0] % 16;
  feed = data + 1;
  feed_left = size - 1;
  written.clear();
  input_room = size_t{64} << data[0] / 16;  // from less than a frame on, so that it grows
  input = output = nullptr;
  input_begin = input_end = output_pages = 0;
  in_request = false;
  only_pings = true;
  try {
    Serve();
  } catch (const Refused&) {
    WriteLastAnswers();
  }
  free(input);
  if (written != Expected(data + 1, size - 1)) std::abort();
  return 0;
}
