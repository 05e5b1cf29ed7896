// What tells the server how to recover the rest: settings, signals, WAL that no command can bring it.
#ifndef NEON_REDO_RESTORE_SERVER_FILES_H_
#define NEON_REDO_RESTORE_SERVER_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/restore/output.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Names of settings and their values, in order.
using ServerSettings = std::vector<std::pair<std::string, std::string>>;

// The content of postgresql.auto.conf with these settings at its end. Lines that say where an earlier recovery
// got its WAL or ended are left out, since two targets are an error.
std::string WithRecoverySettings(std::string_view auto_conf, const ServerSettings& settings);

// A restore_command that copies files of these directories, and then runs another command if that is not empty.
// Without both: one that has nothing.
std::string RestoreCommandOf(const std::vector<std::string>& directories,
                             const std::string& command);

// The segments of a set that a server must read.
class WalForServer {
 public:
  // From `from` on, up to `to`, or all if it is 0. With a restore command and no `to`, not all are known: the server
  // asks the command itself.
  static Result<WalForServer> Find(const WalSet& set, uint32_t timeline, Lsn from, Lsn to);

  // Where segments lie as the server expects them; none if it would take another copy of one than the set does.
  const std::vector<std::string>& directories() const { return directories_; }
  // Writes all others, and the history files of timelines, to pg_wal, and says how many segments. all: also
  // those that lie as the server expects them.
  Result<uint64_t> Write(const WalSet& set, const OutputDirectory& output, bool all) const;

 private:
  bool ServerFindsThem(uint32_t segment_size) const;

  std::vector<Segment> segments_;
  std::vector<std::string> directories_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_SERVER_FILES_H_
