#include "cli/report_facts.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "cpp_core/base/guarded_files.h"

namespace neon_redo::cli {

namespace {

constexpr size_t kMaxCommandLine = 4 << 20;

// Without its name: the number.
std::string UserName() {
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(geteuid());
}

// Empty: the system does not say.
std::vector<std::string> CommandLine() {
  std::vector<std::string> words;
  const FileDescriptor fd(open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return words;
  const auto text = ReadAll(fd, "/proc/self/cmdline", kMaxCommandLine);
  if (!text) return words;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\0', at), text->size());
    words.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace

std::string TimeNow() {
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())));
}

DirectoryIdentity IdentityOf(const std::string& given,
                             const Result<std::unique_ptr<BaseBackup>>& opened) {
  DirectoryIdentity out{.given = given, .path = given, .control = {}, .label = {}, .problem = {}};
  if (!opened) {
    out.problem = opened.error().message;
    return out;
  }
  const BaseBackup& backup = **opened;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(backup.path().c_str(), nullptr),
                                                         std::free);
  if (real) out.path = real.get();
  if (auto control = ReadControlData(backup))
    out.control = std::move(*control);
  else
    out.problem = control.error().message;
  if (auto label = backup.Label())
    out.label = std::move(*label);
  else if (label.error().code != ErrorCode::kNotFound && out.problem.empty())
    out.problem = label.error().message;
  return out;
}

ReportFacts FactsOfProcess() {
  ReportFacts facts;
  facts.started = TimeNow();
  utsname system{};
  if (uname(&system) == 0) {
    facts.host = system.nodename;
    facts.system = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  }
  facts.user = UserName();
  std::error_code error;
  facts.working_directory = std::filesystem::current_path(error).string();
  facts.command_line = CommandLine();
  return facts;
}

int ReportedRun::status() const {
  return failure != nullptr ? kExitTrouble : result->different > 0 ? kExitDifference : kExitFine;
}

const char* ReportedRun::verdict() const {
  switch (status()) {
    case kExitFine:
      return result->backup.was_read ? "No damage found" : "No damage found in what was checked";
    case kExitDifference:
      return "Damage found";
    default:
      return "Not verified";
  }
}

std::string ReportedRun::summary() const {
  if (failure != nullptr)
    return fmt::format("The verification could not be done: {}. This report proves nothing.",
                       failure->message);
  return VerdictText(*report, *result);
}

}  // namespace neon_redo::cli
