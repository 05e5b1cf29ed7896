#include "cpp_core/redo/worker/command_line.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/redo/worker/server_files.h"

namespace neon_redo {

namespace {

// The module takes over before the server sizes anything by its settings; these matter until then.
struct Setting {
  const char* name;
  const char* value;
};

constexpr Setting kSettings[] = {
    // The lock file of a home that lives for milliseconds need not reach the disk.
    {"fsync", "off"},
    // Messages go to a program, which knows the time and the process.
    {"log_line_prefix", ""},
};

// For shared_preload_libraries. The server looks for it after it has gone to its home directory.
std::string ModuleName(const WorkerServer& server) {
  if (server.module.empty()) return "neon";
  std::error_code error;
  return std::filesystem::absolute(server.module, error).string();
}

// The directory of the stub libraries, if they were made for the program as it is now.
std::optional<std::string> StubLibraries(const WorkerServer& server, const std::string& program) {
  namespace fs = std::filesystem;
  // An installed module lies in pkglibdir, which is beside bindir in every packaging.
  const fs::path modules = server.module.empty()
                               ? fs::path(program).parent_path().parent_path() / "lib"
                               : fs::path(server.module).parent_path();
  std::error_code error;
  const fs::path stubs = fs::absolute(modules / "neon_redo_stubs", error);
  std::ifstream made_for(stubs / "for_postgres");
  int64_t size = 0;
  int64_t time = 0;
  struct stat status;
  if (!(made_for >> size >> time) || stat(program.c_str(), &status) != 0 ||
      status.st_size != size || status.st_mtime != time) {
    return std::nullopt;
  }
  return stubs.string();
}

}  // namespace

int LandlockVersion() {
  constexpr unsigned kAskVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION
  static const long version = syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, kAskVersion);
  return version > 0 ? static_cast<int>(version) : 0;
}

SandboxLayers LayersOf(const WorkerServer& server) {
  if (!server.sandbox) return {};
  return {!server.sandbox_log, server.landlock.value_or(true) && LandlockVersion() > 0,
          server.namespaces};
}

const pg::Version& BuildVersion() {
  static constexpr const pg::Version* kVersion = pg::FindVersionByMajor(NEON_REDO_DEFAULT_MAJOR);
  // Does not compile when the table lacks the version of the pg_config built with.
  static_assert(kVersion->major == NEON_REDO_DEFAULT_MAJOR);
  return *kVersion;
}

Result<const pg::Version*> VersionOf(const std::string& bindirs, const std::string& modules) {
  ASSIGN_OR_RETURN(const pg::Version* version, VersionOfFiles(bindirs, modules));
  if (version != nullptr) return version;
  RETURN_IF_ERROR(pg::CheckTested(BuildVersion(), "the server that this program was built for"));
  return &BuildVersion();
}

Status ResolveServer(WorkerServer* server) {
  if (server->version == nullptr) {
    ASSIGN_OR_RETURN(server->version, VersionOf(server->bindir, server->module));
  }
  ASSIGN_OR_RETURN(server->bindir, FindBindir(server->bindir, server->module, *server->version));
  ASSIGN_OR_RETURN(server->module, FindModule(server->module, *server->version, server->bindir));
  return {};
}

Status CheckWorkerFiles(const WorkerOptions& options, const pg::Version& version, Engine engine) {
  if (engine == Engine::kNative && !version.is_complete)
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("the native engine does not know the records of PostgreSQL {}: "
                                 "only workers rebuild its pages",
                                 version.major));
  if (engine == Engine::kNative || !options.command.empty() || !options.program.empty()) return {};
  WorkerServer server;
  server.bindir = options.bindir;
  server.module = options.module;
  server.version = &version;
  return ResolveServer(&server);
}

std::string WorkerProgram(const WorkerServer& server) {
  std::error_code error;
  return std::filesystem::absolute(server.bindir + "/postgres", error);
}

std::vector<std::string> WorkerArguments(const WorkerServer& server, const std::string& program,
                                         const std::string& home) {
  std::vector<std::string> arguments = {program, "--single", "-D", home};
  auto set = [&arguments](const std::string& name, const std::string& value) {
    arguments.push_back("-c");
    arguments.push_back(name + "=" + value);
  };
  for (const Setting& setting : kSettings) set(setting.name, setting.value);
  set("shared_preload_libraries", ModuleName(server));
  set("neon.wal_redo", "on");
  if (!server.sandbox || server.sandbox_log) {
    set("neon.redo_sandbox", server.sandbox ? "log" : "off");
  }
  const SandboxLayers layers = LayersOf(server);
  // Each setting costs launch time; this one is on by itself where the kernel has it.
  if (server.sandbox && !server.landlock.value_or(true)) set("neon.redo_landlock", "off");
  if (layers.namespaces) set("neon.redo_namespaces", "on");
  if (server.memory_limit_mb) {
    set("neon.redo_memory_limit", fmt::format("{}MB", *server.memory_limit_mb));
  }
  arguments.push_back("postgres");
  return arguments;
}

std::vector<std::string> WorkerEnvironment(const WorkerServer& server, const std::string& program) {
  // With no LANG and a C locale the server loads no locale data; PG* variables stay outside.
  std::vector<std::string> environment = {"LC_ALL=C"};
  if (std::optional<std::string> stubs = StubLibraries(server, program)) {
    environment.push_back("LD_LIBRARY_PATH=" + *stubs);
  }
  return environment;
}

Result<std::optional<UserIdentity>> WorkerUser(const std::string& user) {
  if (geteuid() != 0) return std::optional<UserIdentity>();
  const std::string name = user.empty() ? "postgres" : user;
  std::vector<char> buffer(16384);
  passwd entry;
  passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("a redo worker cannot run as root, and there is no user \"{}\" to "
                                 "run it as",
                                 name));
  }
  return std::optional<UserIdentity>(UserIdentity{entry.pw_uid, entry.pw_gid});
}

}  // namespace neon_redo
