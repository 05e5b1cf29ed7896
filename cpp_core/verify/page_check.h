// Rebuilt pages against the pages of a cluster at rest.
#ifndef NEON_REDO_VERIFY_PAGE_CHECK_H_
#define NEON_REDO_VERIFY_PAGE_CHECK_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/verify/running_look.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// Not thread-safe.
class PageCheck {
 public:
  struct Options {
    // Both outlive the object. data: null where there is nothing to compare with.
    const BaseBackup* data;
    const BaseBackup* base;
    const pg::Version* version;     // of the cluster; not null
    bool checksums;                 // the cluster has data checksums
    uint32_t oldest_xid, next_xid;  // of pg_xact in data
    // Databases that data is dropping: their pages are not compared. Null: none.
    const std::set<uint32_t>* dropping = nullptr;
    // A server runs on data: what is not as it must be goes to look(). Null: none does.
    const RunningOptions* running = nullptr;
  };
  static bool IsDropping(const Options& options, uint32_t db) {
    return options.dropping != nullptr && options.dropping->contains(db);
  }
  explicit PageCheck(const Options& options)
      : options_(options),
        data_(options.data, options.version),
        base_(options.base, options.version) {
    if (compares()) log_.emplace(*options.data, options.oldest_xid, options.next_xid);
  }

  // What is known of the server once all WAL is read.
  struct Server {
    HintLogging hints = HintLogging::kChanged;
    bool restarted = false;  // it was started again, perhaps after a crash
    // base and data may be of two servers, one of which has replayed the other's WAL: a
    // standby's, or of two timelines. Then each may have what the server changes without WAL, and what
    // redo makes otherwise (docs/verify-masks.md).
    bool is_another = false;
    Lsn backup_start{};  // where the WAL after base begins
    // When valid, data is a base backup itself, a standby's or a running server's, and pages that were
    // changed later may be older or newer in it.
    Lsn settled{};
    Lsn wal_end{};  // of what was replayed
  };
  // Call before Check.
  void SetServer(const Server& server) { server_ = server; }

  // Compares a block that is not in state kSpoilt. Changes its page. Whether it was looked for on disk,
  // so that it is reported if it is not there. Errors: the machine is short of something.
  Result<bool> Check(FinishedBlock* block);

  // The same for a page that WAL does not change: base is the base backup's, disk the one that is to be
  // equal, and they are not the same bytes. Equal pages are not counted. Errors as of Check.
  Status CompareUnchanged(const BlockTag& tag, uint8_t* base, const uint8_t* disk);

  // A file of data, or a page of it that WAL does not change, could not be read although a server runs.
  // Where the mismatch is about a whole file, those are the blocks of it that could not be compared.
  void SuspectFile(Mismatch mismatch, uint32_t first_block, uint32_t blocks);

  const Findings& findings() const { return findings_; }
  RunningLook& look() { return look_; }
  uint64_t pages_compared() const { return pages_compared_; }
  uint64_t pages_replayed() const { return pages_replayed_; }

 private:
  bool compares() const { return options_.data != nullptr; }
  void Replayed(const BlockState& block);
  void Equal(const BlockState& block);
  Status Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt);
  Status ComparePage(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt);
  Result<bool> IsMapOfAnother(const BlockTag& tag, const uint8_t* rebuilt);
  void CompareAtRest(const BlockTag& tag, const BlockState& block, uint8_t rmid,
                     const uint8_t* rebuilt);
  // What is wrong with disk_.
  Damage Diagnose(const BlockTag& tag, uint8_t rmid, const uint8_t* rebuilt, bool lsn_is_right,
                  Lsn demanded, bool wrong_checksum);
  bool IsTorn(const BlockTag& tag, uint8_t rmid, const uint8_t* rebuilt, bool lsn_is_right);
  bool LostAClear() const;
  Mismatch Named(const BlockTag& tag, const BlockState& block, std::string problem,
                 Damage damage = Damage::kNone) const;
  void Report(const BlockState& block, Mismatch mismatch);
  void Suspect(uint8_t rmid, Mismatch mismatch);
  bool OnlyLacksBits(const uint8_t* map) const;

  const Options options_;
  RelationFiles data_, base_;
  std::optional<CommitLog> log_;  // of data
  Server server_;
  bool is_unchanged_ = false;  // the page at hand is not changed by WAL
  Findings findings_{kMostMismatches / 8};
  RunningLook look_;
  uint64_t pages_compared_ = 0, pages_replayed_ = 0;
  alignas(64) uint8_t disk_[kBlockSize];
  alignas(64) uint8_t heap_page_[kBlockSize];  // that a page of the visibility map speaks of
  // Of a page that is different.
  alignas(64) uint8_t masked_[kBlockSize];  // the rebuilt one
  alignas(64) uint8_t masked_disk_[kBlockSize];
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_PAGE_CHECK_H_
