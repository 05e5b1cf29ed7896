#include "cpp_core/redo/worker_end.h"

#include <csignal>

#include "cpp_core/redo/frames.h"

namespace neon_redo {

std::string DescribeEnd(const ChildExit& exit, const StreamTail& messages) {
  const std::string call = messages.LastLineWith(kViolationPrefix);
  if (exit.signal != SIGSYS || call.empty()) return exit.ToString();
  if (messages.WithoutLines(kViolationPrefix).text().empty()) return call;
  return exit.ToString() + " after its message";
}

std::string LastWords(const StreamTail& messages) {
  return messages.WithoutLines(kViolationPrefix).OneLine();
}

}  // namespace neon_redo
