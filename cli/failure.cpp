#include "cli/failure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "cli/foreign_text.h"
#include "cpp_core/redo/worker/home.h"

namespace neon_redo::cli {

Failure::Failure(Error error) : message(std::move(error.message)), hint(HintOf(message)) {}

std::string HintOf(const std::string& message) {
  if (message.find("of the worker's home: No space left on device") != std::string::npos)
    return fmt::format("Directory \"{}\" is full. Set TMPDIR to use another one.",
                       HomeParentDirectory());
  return "";
}

Status FlushOutput() {
  const std::string what = "could not write to standard output";
  if (std::fflush(stdout) != 0)
    return MakeError(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno)));
  if (std::ferror(stdout) != 0) return MakeError(ErrorCode::kIo, what);
  return {};
}

void Say(const std::string& message) {
  fmt::print(stderr, "neon-redo: {}\n", PrintableLines(message));
}

void PrintFailure(const Failure& failure, bool json) {
  if (json && !failure.in_output) {
    nlohmann::ordered_json object = {{"error", failure.message}};
    if (!failure.hint.empty()) object["hint"] = failure.hint;
    fmt::print("{}\n", JsonText(object));
  }
  std::fflush(stdout);
  Say("error: " + failure.message);
  if (!failure.hint.empty()) Say("hint: " + failure.hint);
}

std::string DescribeException() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::system_error& e) {
    // std::thread's constructor is the only one in the program that meets this code.
    if (e.code() == std::errc::resource_unavailable_try_again)
      return fmt::format("could not create a thread: {}", e.code().message());
    return fmt::format("unexpected error: {}", e.what());
  } catch (const std::exception& e) {
    return fmt::format("unexpected error: {}", e.what());
  } catch (...) {
    return "unexpected error";
  }
}

void EndOnUncaughtExceptions() {
  std::set_terminate([] {
    // Without an exception it is a broken promise of the code: that deserves a core dump.
    if (!std::current_exception() && std::uncaught_exceptions() == 0) std::abort();
    // Other threads may hold the locks of standard output, so it is left as it is.
    char line[512];
    const int n =
        std::snprintf(line, sizeof(line), "neon-redo: error: %s\n", DescribeException().c_str());
    if (n > 0) {
      const auto size = std::min(static_cast<size_t>(n), sizeof(line) - 1);
      static_cast<void>(!write(STDERR_FILENO, line, size));
    }
    _exit(kExitTrouble);
  });
}

}  // namespace neon_redo::cli
