// Starts the worker. Everything that opens or maps something happens before EnterSandbox. After it
// the worker only reads, computes and writes.
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

// Ends the process inside proc_exit, before proc_exit and exit(3) make system calls that the
// sandbox forbids. Requests before a refused one get their answers first.
void ExitAtOnce(int code, Datum) {
  WriteLastAnswers();
  _exit(code);
}

// Removes all signal handlers, since returning from one needs rt_sigreturn, which the sandbox
// forbids. Signals from outside then end the worker.
void ResetSignals() {
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Wipes the environment that PostgreSQL copied (save_ps_display_args). EnterSandbox wipes the
// original.
void ForgetEnvironment() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; variable++)
    explicit_bzero(*variable, strlen(*variable));
  clearenv();
}

void Confine(const WorkerConfig& config) {
  if (!config.sandboxed) {
    ereport(WARNING, (errmsg("the WAL redo worker runs without its sandbox"),
                      errdetail("neon.redo_sandbox is off."),
                      errhint("Do not send WAL that you do not trust to this worker.")));
    return;
  }
  const SandboxFailure failure = EnterSandbox(config.sandbox);
  if (failure.step != nullptr) {
    errno = failure.error;
    ereport(FATAL, (errmsg("could not enter the sandbox: %s: %m", failure.step),
                    errdetail("The WAL redo worker does not start without its sandbox."),
                    errhint("Run \"neon-redo doctor\" to see what this system supports. To debug a "
                            "worker without seccomp, set neon.redo_sandbox to off.")));
  }
  if (config.sandbox.forbidden == OnForbiddenCall::kLog)
    ereport(WARNING, (errmsg("the WAL redo worker's sandbox forbids no system call"),
                      errdetail("neon.redo_sandbox is log: system calls that the policy lacks are "
                                "executed and written to the audit log.")));
}

// Unregisters the C library's restartable sequence (sys/rseq.h). With it the kernel writes the
// processor's number to user memory at each switch to the thread, of which a request causes two. A
// worker never uses the number.
void StopReportingProcessor() {
  if (__rseq_size == 0) return;
  char* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  // The registered length is at least 32, the size of the kernel's first version (rseq(2)).
  syscall(SYS_rseq, area, __rseq_size < 32 ? 32 : __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

// Removes the server's code from this process's page table. Startup has run through megabytes of it
// that redo does not use, and mapped pages count as the process's memory. The kernel maps pages
// again on use. The program is the first object that dl_iterate_phdr reports; the libraries, which
// are small, stay mapped.
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
  // The sandbox has no mmap, so all memory must come from brk, from the first large allocation on.
  mallopt(M_MMAP_MAX, 0);
  SetConfigOption("log_line_prefix", "", PGC_POSTMASTER, PGC_S_OVERRIDE);
  SetConfigOption("log_destination", "stderr", PGC_POSTMASTER, PGC_S_OVERRIDE);
  SetConfigOption("backtrace_functions", "", PGC_POSTMASTER, PGC_S_OVERRIDE);
  setlocale(LC_ALL, "C");  // so that messages need no catalog file
  ForgetEnvironment();

  StartEngine();
  on_exit_reset();  // among others the callback that removes postmaster.pid
  on_proc_exit(ExitAtOnce, 0);
  ResetSignals();
  dl_iterate_phdr(DropProgramPages, nullptr);
  StopReportingProcessor();

  Confine(config);
  Serve();
  _exit(0);
}

}  // namespace neon_redo
