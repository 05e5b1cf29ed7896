// The commands of neon-redo, one file each: cli/<command>.cpp defines Declare<Command>. It declares
// the command's options and its help, and returns the function that runs the command once the
// options are read. main knows them all, in the order of --help.
#ifndef NEON_REDO_CLI_COMMANDS_H_
#define NEON_REDO_CLI_COMMANDS_H_

#include <functional>

#include "cli/failure.h"
#include "cli/options.h"

namespace neon_redo::cli {

using CommandFunction = std::function<Outcome()>;

CommandFunction DeclareBench(Options* options);
CommandFunction DeclareDoctor(Options* options);
CommandFunction DeclareFind(Options* options);
CommandFunction DeclareHistory(Options* options);
CommandFunction DeclareIndex(Options* options);
CommandFunction DeclareIngest(Options* options);
CommandFunction DeclarePage(Options* options);
CommandFunction DeclareReceive(Options* options);
CommandFunction DeclareReceiveLogical(Options* options);
CommandFunction DeclareReplay(Options* options);
CommandFunction DeclareRestore(Options* options);
CommandFunction DeclareServeWal(Options* options);
CommandFunction DeclareVerify(Options* options);
CommandFunction DeclareWaldump(Options* options);
CommandFunction DeclareWorker(Options* options);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_COMMANDS_H_
