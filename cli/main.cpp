// neon-redo: one program, one subcommand a file. Each file registers its subcommand in the parser
// and returns its exit status: 0 fine, 1 difference found, 2 bad usage or unreadable input.
#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app{"Rebuilds PostgreSQL pages from WAL, and proves them."};
  app.set_version_flag("-V,--version", "neon-redo (neon_redo) " NEON_REDO_VERSION);
  app.require_subcommand(1);
  int exit_status = 0;
  neon_redo::cli::AddVerify(&app, &exit_status);
  neon_redo::cli::AddReceive(&app, &exit_status);
  neon_redo::cli::AddReceiveLogical(&app, &exit_status);
  neon_redo::cli::AddServeWal(&app, &exit_status);
  neon_redo::cli::AddWaldump(&app, &exit_status);
  neon_redo::cli::AddPage(&app, &exit_status);
  neon_redo::cli::AddIngest(&app, &exit_status);
  neon_redo::cli::AddWorker(&app, &exit_status);
  neon_redo::cli::AddDoctor(&app, &exit_status);
  neon_redo::cli::AddBench(&app, &exit_status);
  neon_redo::cli::AddReplay(&app, &exit_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return exit_status;
}
