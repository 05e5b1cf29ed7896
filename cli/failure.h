// How commands fail. A command returns its exit status or a Failure; main prints the Failure, on
// standard error and, with --format json, as an object on standard output, and ends with status 2.
#ifndef NEON_REDO_CLI_FAILURE_H_
#define NEON_REDO_CLI_FAILURE_H_

#include <string>
#include <utility>

#include "neon_redo/error.h"

namespace neon_redo::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitDifference = 1;
inline constexpr int kExitTrouble = 2;

// The message ends without a full stop, as PostgreSQL's primary messages do. The hint is whole
// sentences, or empty.
struct Failure {
  std::string message;
  std::string hint;
  bool in_output = false;  // the JSON that the command printed already has the error

  Failure(Error error);  // for RETURN_IF_ERROR
  explicit Failure(std::string m, std::string h = "") : message(std::move(m)), hint(std::move(h)) {}
};

// An exit status: kExitFine or kExitDifference.
using Outcome = tl::expected<int, Failure>;

inline tl::unexpected<Failure> Fail(std::string message, std::string hint = "") {
  return tl::unexpected(Failure(std::move(message), std::move(hint)));
}

// Writes what standard output still buffers. Fails when this or an earlier write has failed, for
// example because the disk is full.
Status FlushOutput();

// One line on standard error: "neon-redo: MESSAGE".
void Say(const std::string& message);

// "neon-redo: error: …" and, if there is one, "neon-redo: hint: …" on standard error. json: also an
// object with "error" and "hint" on standard output.
void PrintFailure(const Failure& failure, bool json);

// What helps against an error of the library, in whole sentences; empty: nothing known.
std::string HintOf(const std::string& message);

// From here on, an exception that nothing catches (in a thread, say) ends the program with status 2
// and a message, instead of a core dump.
void EndOnUncaughtExceptions();

// What the exception that is being handled says: "out of memory", for example.
std::string DescribeException();

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_FAILURE_H_
