// The replication commands, from their text (replication/repl_gram.y has the grammar).
#ifndef NEON_REDO_WAL_SERVER_COMMAND_H_
#define NEON_REDO_WAL_SERVER_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

namespace command {

struct IdentifySystem {};
struct Show {
  std::string name;
};
struct TimelineHistory {
  uint32_t timeline;
};
struct ReadSlot {
  std::string slot;
};
struct CreateSlot {
  std::string slot;
  bool temporary = false;
  bool reserve_wal = false;
};
struct DropSlot {
  std::string slot;
  bool wait = false;
};
struct StartPhysical {
  std::optional<std::string> slot;
  Lsn start;
  uint32_t timeline = 0;  // 0: the current one
};
// Commands that exist, but not here: BASE_BACKUP, logical replication, SQL. What is their text's
// first word, for the refusal.
struct BaseBackup {};
struct Logical {};
struct Sql {};

}  // namespace command

using ReplicationCommand =
    std::variant<command::IdentifySystem, command::Show, command::TimelineHistory,
                 command::ReadSlot, command::CreateSlot, command::DropSlot, command::StartPhysical,
                 command::BaseBackup, command::Logical, command::Sql>;

// kInvalidArgument: a syntax error, in the server's words.
Result<ReplicationCommand> ParseReplicationCommand(std::string_view text);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_COMMAND_H_
