// SIGINT and SIGTERM, for commands that run until they are told to stop.
#ifndef NEON_REDO_CLI_STOP_SIGNAL_H_
#define NEON_REDO_CLI_STOP_SIGNAL_H_

#include <csignal>

#include "neon_redo/cancel.h"

namespace neon_redo::cli {

// Turns both signals into a cancellation; a second one ends the program the hard way. SIGPIPE is
// ignored: a broken pipe shows as a failed write. Lives as long as the process.
inline const CancelSignal& StopOnSignals() {
  static const CancelSignal stop;
  struct sigaction action = {};
  action.sa_handler = [](int) { stop.Set(); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return stop;
}

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_STOP_SIGNAL_H_
