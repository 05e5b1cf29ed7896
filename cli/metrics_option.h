// --metrics, for commands that run until they are stopped.
#ifndef NEON_REDO_CLI_METRICS_OPTION_H_
#define NEON_REDO_CLI_METRICS_OPTION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace neon_redo::cli {

// *address goes to MetricsExposer::Open; empty: none wanted.
inline void AddMetricsOption(CLI::App* command, std::string* address) {
  command
      ->add_option("--metrics", *address,
                   "serve metrics for Prometheus at http://ADDRESS/metrics; a PORT alone is on "
                   "127.0.0.1")
      ->type_name("ADDRESS");
}

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_METRICS_OPTION_H_
