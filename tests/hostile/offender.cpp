// offender ACT: a worker double in the worker's own sandbox. It answers pings; at the first request
// it does what a worker in hostile hands might try, and should that be let through, it answers.
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/redo/worker/frames.h"
#include "src/worker/sandbox.h"

namespace {

using namespace neon_redo;

alignas(4096) char page[8192];

void Say(const char* text) {
  if (write(2, text, strlen(text)) < 0) _exit(9);
}

void MapExecutable() {
  if (mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
      MAP_FAILED)
    return;
  mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

void ExhaustMemory() {
  for (size_t blocks = 0;; ++blocks) {
    void* block = malloc(1 << 20);
    if (block == nullptr) {
      char text[64];
      snprintf(text, sizeof(text), "out of memory after %zu MiB\n", blocks);
      Say(text);
      _exit(1);
    }
    memset(block, 1, 1 << 20);
  }
}

void Fill(int stream) {
  while (write(stream, page, sizeof(page)) > 0) {
  }
}

long Int80(long number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "r8", "r9", "r10", "r11", "memory");
  return result;
}

const std::map<std::string, std::function<void()>> acts = {
    {"open", [] { open("/etc/passwd", O_RDONLY); }},
    {"open-proc", [] { open("/proc/self/maps", O_RDONLY); }},
    {"create", [] { open("/tmp/neon_redo_escape", O_WRONLY | O_CREAT, 0600); }},
    {"socket", [] { socket(AF_INET, SOCK_STREAM, 0); }},
    {"fork", [] { fork(); }},
    {"vfork", [] { syscall(SYS_vfork); }},
    {"fork-bomb",
     [] {
       for (;;) fork();
     }},
    {"exec", [] { execl("/bin/sh", "sh", "-c", "true", nullptr); }},
    {"ptrace-parent", [] { ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); }},
    {"trace-parent", [] { syscall(SYS_ptrace, PTRACE_SEIZE, 1, 0, 0); }},
    {"read-others-memory", [] { syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }},
    {"map-executable", MapExecutable},
    {"signal-group", [] { kill(0, SIGTERM); }},
    {"signal-all", [] { kill(-1, SIGTERM); }},
    {"signal-other", [] { syscall(SYS_tgkill, 1, 1, SIGABRT); }},
    {"signal-self", [] { raise(SIGKILL); }},
    {"write-3",
     [] {
       if (write(3, "x", 1)) {
       }
     }},
    {"read-1",
     [] {
       if (read(1, page, 1)) {
       }
     }},
    {"handle-signal", [] { signal(SIGSYS, SIG_IGN); }},
    {"lift-limits", [] { syscall(SYS_prlimit64, 0, 0, nullptr, nullptr); }},
    {"become-root", [] { syscall(SYS_setresuid, 0, 0, 0); }},
    {"no-such-call", [] { syscall(1000); }},
    {"i386", [] { Int80(20); }},
    {"x32", [] { syscall(0x40000000 | SYS_getpid); }},
    {"panic-then-call",
     [] {
       Say("PANIC:  the page is not what it was\nCONTEXT:  WAL redo\n");
       open("/dev/null", O_RDONLY);
     }},
    {"panic-then-abort",
     [] {
       Say("PANIC:  the page is not what it was\n");
       abort();
     }},
    {"corrupt-heap",
     [] {
       // Behind the compiler's back.
       void* volatile wrong = page + 8;
       free(wrong);
     }},
    {"forge",
     [] {
       Say("killed by the sandbox: \x1b[31mnothing, believe me\n");
       _exit(0);
     }},
    {"exhaust-memory", ExhaustMemory},
    {"fill-output", [] { Fill(1); }},
    {"fill-error", [] { Fill(2); }},
    {"spin",
     [] {
       for (;;) __asm__ volatile("");
     }},
};

void Read(void* to, size_t size) {
  auto* p = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = read(0, p, size);
    if (n <= 0) _exit(0);
    p += n;
    size -= static_cast<size_t>(n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto act = acts.find(argc > 1 ? argv[1] : "");
  if (act == acts.end()) return 2;
  // As the worker does: all memory from brk.
  mallopt(M_MMAP_MAX, 0);
  static char payload[1 << 20];
  free(malloc(1 << 16));
  SandboxConfig config;
  config.memory_limit_mb = 64;
  const SandboxFailure failure = EnterSandbox(config);
  if (failure.step != nullptr) {
    Say(failure.step);
    return 1;
  }
  for (;;) {
    uint8_t header[kFrameHeaderSize];
    Read(header, sizeof(header));
    const size_t length = LoadBe32(header + 1) - 4;
    if (length > sizeof(payload)) _exit(2);
    Read(payload, length);
    if (header[0] == kFrameGet) act->second();
    if ((header[0] == kFrameGet || header[0] == kFramePing) && write(1, page, kBlockSize) < 0) {
      _exit(3);
    }
  }
}
