// A redo worker of a kind, for the manager's tests: what it answers tells which request it was, and
// it is hostile where a request says so. The page it answers (PageOf in manager_test.cpp makes the
// same) carries the last record's LSN, as a redone page does, and a sum of all that was sent.
//
// The first byte of a record that follows its 24 bytes of header is a command for the worker.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cpp_core/redo/worker/frames.h"

namespace {

using namespace neon_redo;

std::string input(1 << 16, '\0');
size_t input_at = 0;
size_t input_end = 0;
std::vector<uint8_t> output;  // answers not yet written

void Write(int fd, const void* from, size_t size) {
  const auto* p = static_cast<const uint8_t*>(from);
  while (size > 0) {
    const ssize_t n = write(fd, p, size);
    if (n <= 0) _exit(9);
    p += n;
    size -= static_cast<size_t>(n);
  }
}

void Flush() {
  Write(1, output.data(), output.size());
  output.clear();
}

// As the real worker does, answers are written when there is nothing left to read.
void Read(void* to, size_t size) {
  auto* p = static_cast<uint8_t*>(to);
  while (size > 0) {
    if (input_at == input_end) {
      Flush();
      const ssize_t n = read(0, input.data(), input.size());
      if (n <= 0) _exit(0);
      input_at = 0;
      input_end = static_cast<size_t>(n);
    }
    const size_t part = std::min(size, input_end - input_at);
    std::memcpy(p, input.data() + input_at, part);
    p += part;
    input_at += part;
    size -= part;
  }
}

void Answer(const std::vector<uint8_t>& page, size_t size = kBlockSize) {
  output.insert(output.end(), page.begin(), page.begin() + static_cast<ptrdiff_t>(size));
}

void Nap(long milliseconds) {
  Flush();
  const timespec nap{milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&nap, nullptr);
}

// Does what a command says before the answer; false: there is no answer.
bool Obey(char command, const std::vector<uint8_t>& page) {
  const std::string noise(1 << 20, 'x');
  switch (command) {
    case 'x':
      Write(2, "PANIC:  I cannot do that\n", 25);
      _exit(3);
    case 'k':
      raise(SIGKILL);
      return false;
    case 'h':  // hangs
      for (;;) pause();
    case 's':  // a short answer
      Answer(page, kBlockSize - 100);
      return false;
    case 'z':  // a short answer, zeroes behind it, and no more
      Answer(page, kBlockSize - 100);
      Answer(std::vector<uint8_t>(1000), 1000);
      Flush();
      for (;;) pause();
    case 'l':  // one byte too many
      Answer(page);
      output.push_back(1);
      return false;
    case 'g': {  // noise of a page's length before the answer
      const std::vector<uint8_t> garbage(kBlockSize, 0x47);
      Answer(garbage);
      return true;
    }
    case 'e':  // an endless line on stderr
      for (int i = 0; i < 4; ++i) Write(2, noise.data(), noise.size());
      return true;
    case 'c':
      close(1);
      for (;;) pause();
    case 'w':
      Nap(30);
      return true;
    case 'W':
      Nap(300);
      return true;
    default:
      return true;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "no-start") {
    Write(2, "FATAL:  no such module\n", 23);
    return 1;
  }
  if (mode == "slow-start") Nap(100);
  std::vector<uint8_t> payload;
  std::vector<uint8_t> page(kBlockSize);
  uint32_t sum = 0;
  uint64_t lsn = 0;
  std::string commands;
  for (;;) {
    uint8_t header[kFrameHeaderSize];
    Read(header, sizeof(header));
    payload.resize(LoadBe32(header + 1) - 4);
    Read(payload.data(), payload.size());
    switch (header[0]) {
      case kFramePing:
        if (mode == "mute-start") pause();
        Answer(std::vector<uint8_t>(kBlockSize));
        continue;
      case kFrameBegin:
        sum = 0;
        lsn = 0;
        commands.clear();
        break;
      case kFrameApply:
        lsn = LoadBe64(payload.data());
        if (payload.size() > 8 + 24) commands += static_cast<char>(payload[8 + 24]);
        break;
      case kFrameGet: {
        const uint32_t halves[2] = {static_cast<uint32_t>(lsn >> 32), static_cast<uint32_t>(lsn)};
        std::fill(page.begin(), page.end(), static_cast<uint8_t>(sum));
        std::memcpy(page.data(), halves, 8);
        std::memcpy(page.data() + 8, &sum, 4);
        std::memcpy(page.data() + kBlockSize - 4, &sum, 4);
        bool answer = true;
        for (char command : commands) answer = answer && Obey(command, page);
        if (answer) Answer(page);
        continue;
      }
      default:
        break;
    }
    for (uint8_t byte : payload) sum = sum * 31 + byte;
  }
}
