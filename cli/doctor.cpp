// neon-redo doctor
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cpp_core/redo/worker/examine_sandbox.h"

namespace neon_redo::cli {

namespace {

struct Arguments {
  WorkerOptions worker;
  bool json = false;
};

nlohmann::json ToJson(const SandboxReport& report) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerReport& layer : report.layers) {
    nlohmann::json one = {
        {"name", layer.name}, {"on", layer.on}, {"supported", layer.supported.has_value()}};
    if (!layer.supported) one["reason"] = layer.supported.error().message;
    layers.push_back(one);
  }
  nlohmann::json facts = nlohmann::json::object();
  for (const auto& [name, value] : report.facts) facts[name] = value;
  nlohmann::json all = {{"kernel", report.kernel},
                        {"worker_starts", report.worker.has_value()},
                        {"layers", layers},
                        {"worker_process", facts}};
  if (!report.worker) all["reason"] = report.worker.error().message;
  return all;
}

void Print(const SandboxReport& report) {
  const bool colour = isatty(STDOUT_FILENO) != 0;
  auto mark = [colour](bool good, const char* text) {
    if (!colour) return fmt::format("{:<10}", text);
    return fmt::format("\x1b[{}m{:<10}\x1b[0m", good ? 32 : 33, text);
  };
  fmt::print("{}\n\n", report.kernel);
  fmt::print("{:<12}{:<10}{:<10}{}\n", "layer", "on", "supported", "takes away");
  for (const LayerReport& layer : report.layers) {
    fmt::print("{:<12}{}{}{}{}\n", layer.name, mark(layer.on, layer.on ? "yes" : "no"),
               mark(layer.supported.has_value(), layer.supported ? "yes" : "no"), layer.what,
               layer.notes.empty() ? "" : fmt::format(" ({})", layer.notes));
    if (!layer.supported) fmt::print("{:<12}{}\n", "", layer.supported.error().message);
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
  auto arguments = std::make_shared<Arguments>();
  options->Usage("[OPTION]...");
  AddModule(options, &arguments->worker.bindir, &arguments->worker.module, &arguments->worker.user);
  AddSandboxLayers(options, &arguments->worker.sandbox, &arguments->worker.landlock,
                   &arguments->worker.namespaces);
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Notes(
      "The command starts workers with each layer of the sandbox in turn. It shows which\n"
      "layers the system supports and which are on. The exit status is 0 if a worker\n"
      "with the requested layers starts, and 2 if it does not.\n\n"
      "Examples:\n"
      "  neon-redo doctor\n"
      "  neon-redo doctor --namespaces --format=json\n");
  return [arguments]() -> Outcome {
    const SandboxReport report = ExamineSandbox(arguments->worker);
    if (arguments->json) {
      fmt::print("{}\n", ToJson(report).dump(2));
    } else {
      Print(report);
    }
    return report.worker ? kExitFine : kExitTrouble;
  };
}

}  // namespace neon_redo::cli
