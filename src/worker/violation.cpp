// An attacker may control the process and the stack that the handler runs on. The handler gives the
// attacker nothing: it may do only what the policy allows, it reads only its own code and
// constants, and it cannot return, because rt_sigreturn is forbidden. It runs once (SA_RESETHAND).
// Its own last call is forbidden and therefore kills the process by SIGSYS, as a second violation
// would.
#include "src/worker/violation.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "cpp_core/redo/worker/frames.h"

namespace neon_redo {

const char kSystemCalls[] =
#include "src/worker/system_calls.inc"
    ;

namespace {

constexpr int kSeccompCode = 1;  // SYS_SECCOMP (asm-generic/siginfo.h)

// A system call without the C library, whose state may be damaged.
long RawCall(long number, long first, const void* second, size_t third) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third)
                   : "rcx", "r11", "memory");
  return result;
}

// The name of a system call in the table; *length is 0 if the table has none.
const char* FindName(int number, size_t* length) {
  *length = 0;
  for (const char* p = kSystemCalls; *p == '\n';) {
    int entry = 0;
    for (++p; *p >= '0' && *p <= '9'; ++p) entry = entry * 10 + (*p - '0');
    const char* name = ++p;
    while (*p != '\n' && *p != '\0') ++p;
    if (entry != number) continue;
    *length = static_cast<size_t>(p - name);
    return name;
  }
  return kSystemCalls;
}

// A short line of text, built without allocation.
class Line {
 public:
  void Add(const char* text, size_t length) {
    for (size_t i = 0; i < length && length_ < sizeof(text_); ++i) text_[length_++] = text[i];
  }
  void AddNumber(unsigned number) {
    char digits[10];
    size_t at = sizeof(digits);
    do digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    Add(digits + at, sizeof(digits) - at);
  }
  void Write() const { RawCall(SYS_write, STDERR_FILENO, text_, length_); }

 private:
  char text_[96];
  size_t length_ = 0;
};

void OnForbiddenCall(int, siginfo_t* info, void*) {
  if (info->si_code == kSeccompCode) {
    Line line;
    line.Add(kViolationPrefix, sizeof(kViolationPrefix) - 1);
    size_t length = 0;
    const char* name = FindName(info->si_syscall, &length);
    if (length > 0) {
      line.Add(name, length);
    } else {
      line.Add("system call ", 12);
      line.AddNumber(static_cast<unsigned>(info->si_syscall));
    }
    line.Add("\n", 1);
    line.Write();
  }
  for (;;) RawCall(SYS_pause, 0, nullptr, 0);
}

}  // namespace

int ReportForbiddenCalls() {
  struct sigaction action = {};
  action.sa_sigaction = OnForbiddenCall;
  action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND) | SA_NODEFER;
  return sigaction(SIGSYS, &action, nullptr) == 0 ? 0 : errno;
}

}  // namespace neon_redo
