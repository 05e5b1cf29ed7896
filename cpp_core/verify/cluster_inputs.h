// What a verification begins with: the base backup, what it is compared with, and the WAL between them.
#ifndef NEON_REDO_VERIFY_CLUSTER_INPUTS_H_
#define NEON_REDO_VERIFY_CLUSTER_INPUTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/wal/lineage.h"
#include "neon_redo/lsn.h"
#include "neon_redo/verify.h"

namespace neon_redo {

struct ClusterInputs {
  const BaseBackup& base;
  const BaseBackup* const data;  // null: there is nothing to compare with

  BaseFiles base_files{};  // without pg_wal
  ControlData base_control{};
  BackupLabel label{};  // of base, or what stands for it
  Lsn consistent_at{};  // ReplayStart's
  bool has_label = true;
  ControlData control{};  // of data; without it the base backup's
  // Of data, if that is a base backup; of a standby, a crashed cluster or one that a server runs on only `start`,
  // its last restartpoint or checkpoint. Else its LSN is 0.
  BackupLabel second{};
  bool of_standby = false;  // data is a standby's, or a backup of one
  bool crashed = false;     // data was not shut down, and no server runs on it
  bool running = false;     // a server runs on data (running.h)
  // Of a standby's: the minimum recovery point. Else 0.
  Lsn second_end{};

  std::vector<std::string> wal{};  // directories, with data's own pg_wal
  std::optional<WalSet> set{};  // of them and the restore command, as they are at first; not empty
  std::vector<std::string> wal_notes{};
  uint32_t wal_timeline = 0;  // that WAL is to be read of
  std::vector<OtherTimeline> other_timelines{};

  // ServerState of base, if it has no label, and of data.
  std::string base_state{}, data_state{};

  bool compares() const { return data != nullptr; }
  // None: the highest that has the backup's start.
  std::optional<uint32_t> Timeline(const VerifyOptions& options) const {
    return compares() ? std::optional(control.timeline) : options.timeline;
  }
};

// The WAL of inputs.wal and the restore command as it is now. start: where reading will begin, on start_timeline.
Result<WalSet> OpenWalOf(const VerifyOptions& options, const ClusterInputs& inputs, Lsn start,
                         uint32_t start_timeline);

// An error of reading that WAL. A server that runs on what is compared removes segments once it has archived
// them, and the message says so.
Error WalError(const ClusterInputs& inputs, Error error);

// No server has begun to run on what was read, but for the one that ran on data before. kInvalidArgument:
// one has.
Status CheckStillTheSame(const ClusterInputs& inputs);

// WAL of what is compared, a crashed cluster, still ends where it was read to. kInvalidArgument: there is more, by
// a server that this process does not see.
Status CheckNoMoreWal(const VerifyOptions& options, const ClusterInputs& inputs, Lsn end);

// Errors: what is not of one cluster, or cannot be compared: a server that is being started or stopped, a
// backup that is older than the base.
Result<ClusterInputs> ReadClusterInputs(const VerifyOptions& options, const BaseBackup& base,
                                        const BaseBackup* data);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_INPUTS_H_
