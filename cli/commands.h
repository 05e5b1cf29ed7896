// The subcommands of neon-redo, one file each: cli/<command>.cpp defines Add<Command>. It adds the
// subcommand with its options to the parser, and a callback that runs it and stores its exit status
// in *exit_status. Both arguments outlive the parse. main calls them all, in the order of --help.
#ifndef NEON_REDO_CLI_COMMANDS_H_
#define NEON_REDO_CLI_COMMANDS_H_

namespace CLI {
class App;
}

namespace neon_redo::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitDifference = 1;
inline constexpr int kExitTrouble = 2;

void AddBench(CLI::App* app, int* exit_status);
void AddDoctor(CLI::App* app, int* exit_status);
void AddReplay(CLI::App* app, int* exit_status);
void AddVerify(CLI::App* app, int* exit_status);
void AddIngest(CLI::App* app, int* exit_status);
void AddPage(CLI::App* app, int* exit_status);
void AddReceive(CLI::App* app, int* exit_status);
void AddReceiveLogical(CLI::App* app, int* exit_status);
void AddServeWal(CLI::App* app, int* exit_status);
void AddWaldump(CLI::App* app, int* exit_status);
void AddWorker(CLI::App* app, int* exit_status);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_COMMANDS_H_
