#include "cpp_core/redo/worker/worker_end.h"

#include <csignal>

#include "cpp_core/redo/worker/frames.h"

namespace neon_redo {

std::string DescribeEnd(const ChildExit& exit, const StreamTail& messages) {
  const std::string call = messages.LastLineWith(kViolationPrefix);
  if (exit.signal != SIGSYS || call.empty()) return exit.ToString();
  if (messages.WithoutLines(kViolationPrefix).text().empty()) return call;
  return exit.ToString() + " after its message";
}

std::string DescribeMessages(const StreamTail& messages) {
  const std::string said = messages.WithoutLines(kViolationPrefix).OneLine();
  return said.empty() ? "" : ": " + said;
}

}  // namespace neon_redo
