// neon-redo doctor
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cpp_core/redo/worker/examine_sandbox.h"

namespace neon_redo::cli {

namespace {

struct Options {
  WorkerOptions worker;
  bool no_landlock = false;
  bool no_sandbox = false;
  std::string format = "text";
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

void AddDoctor(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("doctor", "Show what confines redo workers on this system");
  command->footer(
      "Starts workers, with each layer of the sandbox in turn, and says which are supported and\n"
      "which are on. Exit status 0: a worker with the layers asked for starts. 2: none does.\n\n"
      "Examples:\n"
      "  neon-redo doctor\n"
      "  neon-redo doctor --namespaces --format json");
  command->add_option("--bindir", options->worker.bindir,
                      "directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")");
  command->add_option("--module", options->worker.module,
                      "path of neon.so (default: the installed one)");
  command->add_option("--user", options->worker.user,
                      "user that workers run as when root (default: postgres)");
  command->add_flag("--no-sandbox", options->no_sandbox, "ask for no layer at all");
  command->add_flag("--no-landlock", options->no_landlock, "ask for workers without this layer");
  command->add_flag("--namespaces", options->worker.namespaces,
                    "ask for workers with this layer too");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  command->callback([options, exit_status] {
    if (options->no_landlock) options->worker.landlock = false;
    options->worker.sandbox = !options->no_sandbox;
    const SandboxReport report = ExamineSandbox(options->worker);
    if (options->format == "json") {
      fmt::print("{}\n", ToJson(report).dump(2));
    } else {
      Print(report);
    }
    *exit_status = report.worker ? kExitFine : kExitTrouble;
  });
}

}  // namespace neon_redo::cli
