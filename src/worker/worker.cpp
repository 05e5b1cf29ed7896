// Start-up of the worker. The order matters: everything that opens, maps or asks the system for
// anything happens before EnterSandbox; afterwards there is only reading, computing and writing.
#include "src/worker/worker.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "src/server.h"
#include "src/worker/engine.h"
#include "src/worker/sandbox.h"
#include "src/worker/serve.h"

namespace neon_redo {

namespace {

// A refusal's proc_exit ends here, before it and exit(3) do things that the sandbox forbids and a
// worker does not need. The requests before the refused one have their answers.
void ExitAtOnce(int code, Datum) {
  WriteLastAnswers();
  _exit(code);
}

// A FATAL or PANIC says its message and then must be able to end the process; a handler would want
// rt_sigreturn. The caller's signals simply end the worker.
void ResetSignals() {
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Also what PostgreSQL copied of it (save_ps_display_args); the sandbox wipes the original.
void ForgetEnvironment() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; variable++)
    explicit_bzero(*variable, strlen(*variable));
  clearenv();
}

void Confine(const WorkerConfig& config) {
  if (!config.sandboxed) {
    ereport(WARNING, (errmsg("the WAL redo worker runs without its sandbox"),
                      errdetail("neon.redo_sandbox is off."),
                      errhint("Never feed it WAL that you do not trust.")));
    return;
  }
  const SandboxFailure failure = EnterSandbox(config.sandbox);
  if (failure.step != nullptr) {
    errno = failure.error;
    ereport(FATAL, (errmsg("could not enter the sandbox: %s: %m", failure.step),
                    errdetail("The WAL redo worker does not start unconfined."),
                    errhint("\"neon-redo doctor\" shows what this system supports. To debug on one "
                            "without seccomp, set neon.redo_sandbox to off.")));
  }
  if (config.sandbox.forbidden == OnForbiddenCall::kLog)
    ereport(WARNING, (errmsg("the WAL redo worker's sandbox forbids nothing"),
                      errdetail("neon.redo_sandbox is log: system calls that the policy lacks are "
                                "executed, and written to the audit log.")));
}

// The C library has every thread tell it its processor (sys/rseq.h), for which the kernel writes
// to user memory at each switch to the thread. A worker switches twice a request and never asks.
void StopTellingProcessor() {
  if (__rseq_size == 0) return;
  char* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  // The registered length is what the kernel knew first, or more (rseq(2)).
  syscall(SYS_rseq, area, __rseq_size < 32 ? 32 : __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

// Start-up has run through megabytes of the server's code that redo never comes back to. Taken out
// of this process's page table they count for it no more; what is needed again is mapped again.
// The program is the first object told; the libraries, which are small, stay.
int DropProgramPages(struct dl_phdr_info* program, size_t, void*) {
  const uintptr_t page_mask = ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
  for (int i = 0; i < program->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = program->dlpi_addr + segment.p_vaddr;
    const uintptr_t end = begin + segment.p_memsz;
    madvise(reinterpret_cast<void*>(begin & page_mask), end - (begin & page_mask), MADV_DONTNEED);
  }
  return 1;  // no more objects
}

}  // namespace

void RunWorker(const WorkerConfig& config) {
  // All memory from brk: the sandbox has no mmap. Before the first large allocation.
  mallopt(M_MMAP_MAX, 0);
  SetConfigOption("log_line_prefix", "", PGC_POSTMASTER, PGC_S_OVERRIDE);
  SetConfigOption("log_destination", "stderr", PGC_POSTMASTER, PGC_S_OVERRIDE);
  SetConfigOption("backtrace_functions", "", PGC_POSTMASTER, PGC_S_OVERRIDE);
  setlocale(LC_ALL, "C");  // messages need no catalogue file
  ForgetEnvironment();

  StartEngine();
  on_exit_reset();  // among others, what would remove postmaster.pid
  on_proc_exit(ExitAtOnce, 0);
  ResetSignals();
  dl_iterate_phdr(DropProgramPages, nullptr);
  StopTellingProcessor();

  Confine(config);
  Serve();
  _exit(0);
}

}  // namespace neon_redo
