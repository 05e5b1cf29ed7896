// neon-redo doctor
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/examine_sandbox.h"
#include "cpp_core/redo/worker/server_files.h"

namespace neon_redo::cli {

namespace {

struct DoctorArguments {
  WorkerOptions worker;
  bool json = false;
};

// A major version, and whether this system can run workers for it.
struct Served {
  const pg::Version* version;
  std::string bindir;  // empty: there is no server
  std::string module;  // empty: there is none that the program knows of
  Status worker;       // a worker started and answered; else why not
};

// neon.so for this version as the server has it installed; else the one beside the program, or in the
// tree that the program was built in. Empty: there is none of them.
Result<std::string> FindOwnModule(const pg::Version& version, const std::string& modules,
                                  const std::string& bindir) {
  namespace fs = std::filesystem;
  Result<std::string> installed = FindModule(modules, version, bindir);
  if (!installed || !installed->empty()) return installed;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  // The last two: the program is build/cli/neon-redo.
  for (const fs::path& place : {program, program / "..", program / "../..",
                                program / fmt::format("../neon/{}", version.major)}) {
    const fs::path module = (place / "neon.so").lexically_normal();
    if (MajorOfModule(module) == version.major) return module.string();
  }
  return std::string();
}

// An error: one of the files that were named is of a version that no worker is started for.
Status CheckNamed(const WorkerOptions& options) {
  for (const std::string& module : SplitPaths(options.module)) {
    if (const auto version = VersionOfFiles("", module); !version)
      return tl::unexpected(version.error());
  }
  for (const std::string& bindir : SplitPaths(options.bindir)) {
    if (const auto version = VersionOfFiles(bindir, ""); !version)
      return tl::unexpected(version.error());
  }
  return {};
}

Status FindFiles(const WorkerOptions& options, Served* served) {
  ASSIGN_OR_RETURN(served->bindir, FindBindir(options.bindir, options.module, *served->version));
  ASSIGN_OR_RETURN(served->module, FindOwnModule(*served->version, options.module, served->bindir));
  return {};
}

WorkerOptions OptionsFor(const Served& served, WorkerOptions options) {
  options.version = served.version;
  if (!served.bindir.empty()) options.bindir = served.bindir;
  if (!served.module.empty()) options.module = served.module;
  return options;
}

std::vector<Served> TryVersions(const WorkerOptions& options) {
  std::vector<Served> all;
  for (const pg::Version& version : pg::kVersions) {
    if (!pg::CheckTested(version, "")) continue;
    Served& served = all.emplace_back(Served{&version, "", "", {}});
    served.worker = FindFiles(options, &served);
    if (served.worker) served.worker = RedoWorker(OptionsFor(served, options)).Start();
  }
  return all;
}

// No worker starts for a reason that no layer has to do with.
bool LayersAreUnknown(const SandboxReport& report) {
  return !report.worker &&
         std::all_of(report.layers.begin(), report.layers.end(), [&](const LayerReport& layer) {
           return !layer.supported &&
                  layer.supported.error().message == report.worker.error().message;
         });
}

nlohmann::ordered_json ToJson(const std::vector<Served>& all) {
  using Json = nlohmann::ordered_json;
  Json servers = Json::array();
  for (const Served& served : all) {
    Json one = {{"major", served.version->major},
                {"bindir", served.bindir.empty() ? Json() : Json(served.bindir)},
                {"module", served.module.empty() ? Json() : Json(served.module)},
                {"worker_starts", served.worker.has_value()}};
    if (!served.worker) one["reason"] = served.worker.error().message;
    servers.push_back(one);
  }
  return servers;
}

nlohmann::ordered_json ToJson(const SandboxReport& report, const std::vector<Served>& versions,
                              const Served& chosen) {
  using Json = nlohmann::ordered_json;
  const bool unknown = LayersAreUnknown(report);
  Json layers = Json::array();
  for (const LayerReport& layer : report.layers) {
    Json one = {{"name", layer.name},
                {"on", layer.on},
                {"supported", unknown ? Json() : Json(layer.supported.has_value())}};
    if (!layer.supported && !unknown) one["reason"] = layer.supported.error().message;
    layers.push_back(one);
  }
  Json facts = Json::object();
  for (const auto& [name, value] : report.facts) facts[name] = value;
  Json all = {{"kernel", report.kernel},
              {"servers", ToJson(versions)},
              {"major", chosen.version->major},
              {"module", chosen.module.empty() ? Json() : Json(chosen.module)},
              {"worker_starts", report.worker.has_value()},
              {"layers", layers},
              {"worker_process", facts}};
  if (!report.worker) all["reason"] = report.worker.error().message;
  return all;
}

void Print(const SandboxReport& report, const std::vector<Served>& all, const Served& chosen) {
  const bool colour = isatty(STDOUT_FILENO) != 0;
  auto mark = [colour](bool good, const char* text) {
    if (!colour) return fmt::format("{:<10}", text);
    return fmt::format("\x1b[{}m{:<10}\x1b[0m", good ? 32 : 33, text);
  };
  const bool unknown = LayersAreUnknown(report);
  fmt::print("{}\n\n{:<12}{:<10}{}\n", report.kernel, "PostgreSQL", "served", "by");
  for (const Served& served : all) {
    fmt::print("{:<12}{}", served.version->major,
               mark(served.worker.has_value(), served.worker ? "yes" : "no"));
    if (served.bindir.empty()) {
      fmt::print("{}\n", served.worker.error().message);
      continue;
    }
    fmt::print("{}, module: {}\n", served.bindir,
               served.module.empty() ? "not found" : served.module);
    // Of the version that the rest is about, the reason stands at the end.
    if (!served.worker && &served != &chosen)
      fmt::print("{:<22}{}\n", "", served.worker.error().message);
  }
  fmt::print("\nA worker of PostgreSQL {}:\n\n", chosen.version->major);
  fmt::print("{:<12}{:<10}{:<10}{}\n", "layer", "on", "supported", "takes away");
  for (const LayerReport& layer : report.layers) {
    fmt::print("{:<12}{}{}{}{}\n", layer.name, mark(layer.on, layer.on ? "yes" : "no"),
               mark(layer.supported.has_value(), unknown           ? "unknown"
                                                 : layer.supported ? "yes"
                                                                   : "no"),
               layer.what, layer.notes.empty() ? "" : fmt::format(" ({})", layer.notes));
    if (!layer.supported && !unknown) fmt::print("{:<12}{}\n", "", layer.supported.error().message);
  }
  fmt::print("\n");
  if (!report.worker) {
    fmt::print("No worker starts: {}\n", report.worker.error().message);
    return;
  }
  fmt::print("A worker started and answered. Of its process:");
  for (const auto& [name, value] : report.facts) fmt::print(" {} {};", name, value);
  fmt::print("\n");
}

}  // namespace

CommandFunction DeclareDoctor(Options* options) {
  auto arguments = std::make_shared<DoctorArguments>();
  options->Usage("[OPTION]...");
  AddModule(options, &arguments->worker.bindir, &arguments->worker.module, &arguments->worker.user);
  AddUntestedVersion(options);
  AddSandboxLayers(options, &arguments->worker.sandbox, &arguments->worker.landlock,
                   &arguments->worker.namespaces);
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Notes(
      "Without --module, the command takes neon.so as it is installed, else beside the\n"
      "program or in the tree that built it.\n\n"
      "The command starts a worker of each PostgreSQL version that has a server and a\n"
      "module, and says why not of the others. It then starts workers of one version,\n"
      "the one that \"neon-redo worker\" serves with these options, with each layer of the\n"
      "sandbox in turn. It shows which layers the system supports and which are on. The exit status is 0 if a worker\n"
      "with the requested layers starts, and 2 if it does not.\n\n"
      "Examples:\n"
      "  neon-redo doctor\n"
      "  neon-redo doctor --namespaces --format=json\n");
  return [arguments]() -> Outcome {
    RETURN_IF_ERROR(CheckNamed(arguments->worker));
    // The sandbox is that of a worker as `neon-redo worker` would start it.
    ASSIGN_OR_RETURN(const pg::Version* version,
                     VersionOf(arguments->worker.bindir, arguments->worker.module));
    const std::vector<Served> all = TryVersions(arguments->worker);
    const Served& chosen = *std::find_if(
        all.begin(), all.end(), [&](const Served& served) { return served.version == version; });
    const WorkerOptions worker = OptionsFor(chosen, arguments->worker);
    const SandboxReport report = ExamineSandbox(worker);
    if (arguments->json) {
      fmt::print("{}\n", JsonText(ToJson(report, all, chosen), 2));
    } else {
      Print(report, all, chosen);
    }
    if (!report.worker && worker.module.empty())
      Say("hint: Install the extension, or give --module=FILE, the path of neon.so.");
    else if (const std::string hint = report.worker ? "" : HintOf(report.worker.error().message);
             !hint.empty())
      Say("hint: " + hint);
    return report.worker ? kExitFine : kExitTrouble;
  };
}

}  // namespace neon_redo::cli
