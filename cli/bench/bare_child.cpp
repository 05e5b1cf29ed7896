// The mark that a redo worker is measured against: moves the same bytes over the same pipes and
// does nothing else. Reads as much as there is, steps from frame header to frame header, and
// answers the gets and pings of one read with 8192 bytes each: all in one write, or, with any
// argument, in a write each, as the simplest child would. No redo, no check, no look at the
// payload. A program of its own, since its launch is a mark too: it needs the C library only.
#include <unistd.h>

#include <cstring>

#include "cpp_core/redo/worker/frames.h"

namespace {

using namespace neon_redo;

constexpr size_t kAnswersAtOnce = 32;
uint8_t input[262144];
uint8_t answers[kAnswersAtOnce * kBlockSize];

void Answer(size_t count, size_t at_once) {
  while (count > 0) {
    const size_t now = count < at_once ? count : at_once;
    for (size_t sent = 0; sent < now * kBlockSize;) {
      const ssize_t n = write(1, answers + sent, now * kBlockSize - sent);
      if (n <= 0) _exit(1);
      sent += static_cast<size_t>(n);
    }
    count -= now;
  }
}

}  // namespace

int main(int argc, char**) {
  const size_t at_once = argc > 1 ? 1 : kAnswersAtOnce;
  size_t have = 0;  // bytes in input, from a frame header on
  size_t skip = 0;  // bytes of a frame under way that are still to come
  for (;;) {
    const ssize_t n = read(0, input + have, sizeof(input) - have);
    if (n <= 0) return n == 0 ? 0 : 1;
    have += static_cast<size_t>(n);
    size_t at = skip < have ? skip : have;
    skip -= at;
    size_t asked = 0;
    while (have - at >= kFrameHeaderSize) {
      const bool answer = input[at] == kFrameGet || input[at] == kFramePing;
      const size_t length = size_t{1} + LoadBe32(input + at + 1);
      if (length > have - at) {
        if (answer) break;  // not before its last byte is here
        skip = length - (have - at);
        at = have;
        break;
      }
      asked += answer;
      at += length;
    }
    std::memmove(input, input + at, have - at);
    have -= at;
    Answer(asked, at_once);
  }
}
