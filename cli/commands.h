// The subcommands of neon-redo. Each Add… function adds its options and a callback that runs the
// command and stores its exit status in *exit_status.
#ifndef NEON_REDO_CLI_COMMANDS_H_
#define NEON_REDO_CLI_COMMANDS_H_

namespace CLI {
class App;
}

namespace neon_redo::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitDifference = 1;
inline constexpr int kExitTrouble = 2;

inline void RegisterCommands(CLI::App*, int*) {}

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_COMMANDS_H_
