// A redo worker of a kind: speaks the protocol, and answers each request with a page that tells
// which request it was (FakePage in redo_worker_test.cpp makes the same). For block 666 it does
// what its argument says, hostile or broken; with "-ping" in the argument's name, at the first
// ping.
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/redo/worker/frames.h"

namespace {

using namespace neon_redo;

std::string mode;
std::vector<uint8_t> answer(kBlockSize);

void Write(int fd, const void* from, size_t size);

// Answers that a worker has ready and will write when it has nothing more to read.
std::vector<uint8_t> hoard;

void Read(void* to, size_t size) {
  int waiting = 0;
  ioctl(0, FIONREAD, &waiting);
  if (waiting == 0) {
    Write(1, hoard.data(), hoard.size());
    hoard.clear();
  }
  auto* p = static_cast<uint8_t*>(to);
  while (size > 0) {
    const ssize_t n = read(0, p, size);
    if (n <= 0) _exit(0);
    p += n;
    size -= static_cast<size_t>(n);
  }
}

void Write(int fd, const void* from, size_t size) {
  const auto* p = static_cast<const uint8_t*>(from);
  while (size > 0) {
    const ssize_t n = write(fd, p, size);
    if (n <= 0) _exit(9);
    p += n;
    size -= static_cast<size_t>(n);
  }
}

void Say(const char* text) { Write(2, text, strlen(text)); }

void Misbehave() {
  const std::string noise(1 << 20, 'x');
  if (mode == "exit") {
    Say("FATAL:  I cannot do that\nDETAIL:  It is too hard.\n");
    _exit(3);
  }
  if (mode == "silent-exit" || mode == "hoard") _exit(0);
  if (mode == "mid-exit") {
    Write(1, answer.data(), 100);
    _exit(1);
  }
  if (mode == "kill") raise(SIGKILL);
  if (mode == "sigsys") raise(SIGSYS);
  if (mode == "segv") {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would exit
    raise(SIGSEGV);
  }
  if (mode == "never") pause();
  if (mode == "dribble") {
    for (int i = 0; i < 3; ++i) Write(1, answer.data(), 1);
    pause();
  }
  if (mode == "close") {
    close(1);
    pause();
  }
  if (mode == "short") Write(1, answer.data(), kBlockSize - 100);
  if (mode == "long") {
    answer.resize(kBlockSize + 1);
    Write(1, answer.data(), answer.size());
    answer.resize(kBlockSize);
  }
  if (mode == "late") {
    const timespec nap{0, 200'000'000};
    nanosleep(&nap, nullptr);
    Write(1, answer.data(), answer.size());
  }
  if (mode == "noise") {
    Write(2, noise.data(), noise.size());
    Write(1, answer.data(), answer.size());
  }
  if (mode == "endless-line") {
    for (int i = 0; i < 4; ++i) Write(2, noise.data(), noise.size());
    _exit(1);
  }
  if (mode == "binary-noise") {
    Write(2, "\x01\xff\x1b[31mred\n", 10);
    _exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  mode = argc > 1 ? argv[1] : "";
  if (mode == "no-start") {
    Say("FATAL:  could not access file \"neon\": No such file or directory\n");
    return 1;
  }
  std::vector<uint8_t> payload;
  uint32_t sum = 0;
  for (;;) {
    uint8_t header[kFrameHeaderSize];
    Read(header, sizeof(header));
    payload.resize(LoadBe32(header + 1) - 4);
    Read(payload.data(), payload.size());
    switch (header[0]) {
      case kFramePing:
        if (mode == "mute-start") pause();
        std::fill(answer.begin(), answer.end(), 0);
        Write(1, answer.data(), answer.size());
        break;
      case kFrameBegin:
        sum = 0;
        if (mode == "early" && LoadTag(payload.data()).block == 666) {
          Write(1, answer.data(), answer.size());
        }
        break;
      case kFrameGet:
        std::fill(answer.begin(), answer.end(), 0);
        std::memcpy(answer.data(), payload.data(), kTagSize);
        StoreBe32(answer.data() + 20, sum);
        StoreBe32(answer.data() + kBlockSize - 4, sum);
        if (LoadTag(payload.data()).block == 666 && !mode.empty()) {
          if (mode != "early") Misbehave();
        } else if (mode == "hoard") {
          hoard.insert(hoard.end(), answer.begin(), answer.end());
        } else {
          Write(1, answer.data(), answer.size());
        }
        break;
      default:
        for (uint8_t byte : payload) sum = sum * 31 + byte;
    }
  }
}
