// neon-redo doctor
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/examine_sandbox.h"

namespace neon_redo::cli {

namespace {

struct DoctorArguments {
  WorkerOptions worker;
  bool json = false;
};

// neon.so as the server has it installed; else the one beside the program, or in the tree that the
// program was built in. Empty: there is none of them.
std::string FindModule(const WorkerOptions& worker) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path bindir =
      worker.bindir.empty() ? DefaultBindir(ServerVersion(worker.version)) : worker.bindir;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  // The last one: build/cli/neon-redo.
  for (const fs::path& place : {bindir / "../lib", program, program / "..", program / "../.."}) {
    const fs::path module = (place / "neon.so").lexically_normal();
    if (fs::is_regular_file(module, error)) return module;
  }
  return "";
}

// No worker starts for a reason that no layer has to do with.
bool LayersAreUnknown(const SandboxReport& report) {
  return !report.worker &&
         std::all_of(report.layers.begin(), report.layers.end(), [&](const LayerReport& layer) {
           return !layer.supported &&
                  layer.supported.error().message == report.worker.error().message;
         });
}

nlohmann::ordered_json ToJson(const SandboxReport& report, const std::string& module) {
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
              {"module", module.empty() ? Json() : Json(module)},
              {"worker_starts", report.worker.has_value()},
              {"layers", layers},
              {"worker_process", facts}};
  if (!report.worker) all["reason"] = report.worker.error().message;
  return all;
}

void Print(const SandboxReport& report, const std::string& module) {
  const bool colour = isatty(STDOUT_FILENO) != 0;
  auto mark = [colour](bool good, const char* text) {
    if (!colour) return fmt::format("{:<10}", text);
    return fmt::format("\x1b[{}m{:<10}\x1b[0m", good ? 32 : 33, text);
  };
  const bool unknown = LayersAreUnknown(report);
  fmt::print("{}\nmodule: {}\n\n", report.kernel, module.empty() ? "not found" : module);
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
  AddSandboxLayers(options, &arguments->worker.sandbox, &arguments->worker.landlock,
                   &arguments->worker.namespaces);
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Notes(
      "Without --module, the command takes neon.so as it is installed, else beside the\n"
      "program or in the tree that built it.\n\n"
      "The command starts workers with each layer of the sandbox in turn. It shows which\n"
      "layers the system supports and which are on. The exit status is 0 if a worker\n"
      "with the requested layers starts, and 2 if it does not.\n\n"
      "Examples:\n"
      "  neon-redo doctor\n"
      "  neon-redo doctor --namespaces --format=json\n");
  return [arguments]() -> Outcome {
    WorkerOptions& worker = arguments->worker;
    if (worker.module.empty()) worker.module = FindModule(worker);
    const SandboxReport report = ExamineSandbox(worker);
    if (arguments->json) {
      fmt::print("{}\n", JsonText(ToJson(report, worker.module), 2));
    } else {
      Print(report, worker.module);
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
