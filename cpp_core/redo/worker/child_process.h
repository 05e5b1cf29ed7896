// A child process with its standard streams on pipes.
#ifndef NEON_REDO_REDO_WORKER_CHILD_PROCESS_H_
#define NEON_REDO_REDO_WORKER_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/redo/worker/command_line.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct ChildProgram {
  std::string path;  // absolute
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> environment;  // empty: this process's own
  std::optional<UserIdentity> user;                     // empty: this process's own
};

// For execve: points to the characters of the strings, and ends with a null pointer.
std::vector<char*> ExecStrings(const std::vector<std::string>& strings);

// How a child ended.
struct ChildExit {
  bool known = false;  // false when other code reaped it, or SIGCHLD is ignored
  int signal = 0;      // non-zero: killed by it
  int status = 0;      // exit status otherwise

  // "exit status 1", "killed by SIGKILL", "killed by the sandbox (SIGSYS: …)".
  std::string ToString() const;
};

// Movable, not copyable, not thread-safe. Start may be called from any number of threads.
class ChildProcess {
 public:
  // Starts a program without copying this process's page tables (vfork), however large it is. The
  // child is in a session of its own (a terminal's Ctrl-C is the parent's to handle), has default
  // signal handling, no descriptor above 2, and is killed when the thread that started it ends
  // (PR_SET_PDEATHSIG goes by thread). The parent's ends do not block. The error has the code of
  // errno (ErrnoCode) when the program cannot be started.
  static Result<ChildProcess> Start(const ChildProgram& program);

  // Kills and reaps what still runs.
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;

  pid_t pid() const { return pid_; }
  int input() const { return input_.get(); }    // write here what the child reads
  int output() const { return output_.get(); }  // its stdout
  int error() const { return error_.get(); }    // its stderr

  // Closes the child's input: a well-behaved child ends.
  void CloseInput() { input_.Reset(); }

  // Kills the child, if it runs. Thread-safe, also beside Finish: once the child is reaped, its
  // number may be another process's, which is left alone.
  void Kill() const;

  // Whether the child has ended, so that Finish need not wait.
  bool HasEnded() const;

  // Waits up to patience for the child to end by itself, then kills it and its process group, and
  // reaps it. Later calls return the same.
  ChildExit Finish(std::chrono::milliseconds patience);

 private:
  ChildProcess() = default;

  pid_t pid_ = 0;
  FileDescriptor pidfd_;
  FileDescriptor input_;
  // The reading end of the child's input, kept open and never read. While the pipe has a reader, a
  // write to a dead child raises no SIGPIPE, which would kill the host program. The child's death
  // shows as the end of its output. Unlike masking the signal this costs nothing per write.
  FileDescriptor input_reader_;
  FileDescriptor output_;
  FileDescriptor error_;
  std::optional<ChildExit> exit_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_CHILD_PROCESS_H_
