// Files as WAL leaves them: which relations and databases there are, how long their files are, and
// the relation maps. What a crash may leave is a note, no difference.
#ifndef NEON_REDO_VERIFY_FILE_CHECK_H_
#define NEON_REDO_VERIFY_FILE_CHECK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/catalog/commit_log.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/verify/catalog.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// A fork, as a tag with block 0, to the number of its blocks.
using ForkSizes = std::map<BlockTag, uint32_t>;

// Not thread-safe.
class FileCheck {
 public:
  // Both must outlive the object. data: null where there is nothing to compare with.
  FileCheck(const BaseBackup& base, const BaseBackup* data) : base_backup_(base), data_(data) {}

  // The base backup's files. Call before Compare. Errors: in the place of one stands something else. reads_all: what is missing or
  // cannot be read in the base is reported by others, and no error; a tablespace that is not there has no
  // files.
  Status TakeBase(const BaseFiles& list, const pg::Version& version, bool reads_all = false);

  // Of the base backup, once taken.
  const RelationFileList& base() const { return base_; }
  // What is known after the WAL that was taken.
  // There is a file of the fork in the base backup, or WAL makes or drops it or its database.
  bool HasFork(const BlockTag& fork) const;
  // WAL does nothing to the whole fork or its database.
  bool IsForkOfBase(const BlockTag& fork) const;
  // WAL neither makes nor drops the database in this tablespace.
  bool IsDatabaseOfBase(uint32_t spc, uint32_t db) const { return !databases_.contains({spc, db}); }
  // Blocks from here on are not those of the base backup.
  uint32_t BaseEnd(const BlockTag& fork) const;
  // Start of the record that makes the fork; 0: WAL does not make it.
  Lsn CreatedAt(const BlockTag& fork) const;
  // WAL makes the database as a copy of another's files.
  bool IsCopiedDatabase(uint32_t spc, uint32_t db) const;
  // The block is one of the base backup's, which WAL neither cuts off nor drops.
  bool IsBlockOfBase(const BlockTag& tag) const;
  // The relation map; empty when there is none.
  Result<std::string> FinalMap(uint32_t spc, uint32_t db) const;

  // Takes a change of the record. Changes to pages are ignored.
  void Take(const Change& change, const WalRecord& record);

  // What is known of the WAL that was taken, for a run that takes later WAL. Load comes after TakeBase. What
  // is loaded is not to be used unless in->ok() afterwards.
  void Save(StateWriter* out) const;
  void Load(StateReader* in);

  struct Expectations {
    const BaseFiles& on_disk;  // of the data directory
    const ForkSizes& touched;  // one more than the highest block that WAL changes and leaves
    // The same of those that were looked for on disk, and reported if they are not there. Others are
    // skipped: those that change while the second backup is taken, or that no engine rebuilds.
    const ForkSizes& sought;
    Lsn settled;                   // see PageCheck
    CommitLog* log;                // of the data directory; null: nothing is known
    bool may_be_prepared = false;  // there are prepared transactions
    // The cluster was started again, perhaps after a crash, or the base backup is of another server.
    bool may_have_crashed = false;
    // The base backup has lost this relation, or, with file node 0, this database in a tablespace: what
    // is there of it is not extra. Empty: it has lost nothing.
    std::function<bool(const RelFileNode&)> is_lost{};
    // Databases that the data directory is dropping: nothing is demanded of their files. Null: none.
    const std::set<uint32_t>* dropping = nullptr;
    // Only files of these relations, and no databases. Null: all.
    const std::set<RelFileNode>* only = nullptr;
  };
  // Compares the files on disk with the base backup's and what was done to them since.
  Status Compare(const Expectations& expectations, VerifyResult* result);
  // Of the data directory, once compared.
  const RelationFileList& disk() const { return disk_; }

 private:
  using Database = std::pair<uint32_t, uint32_t>;  // tablespace, database
  struct Event {
    Lsn start, end;
  };
  struct ForkState {
    enum Kind : uint8_t { kAsBefore, kCreated, kDropped } kind = kAsBefore;
    uint32_t base_end = UINT32_MAX;  // blocks from here on are not the base backup's
    Event last;
    Lsn created{};  // kCreated: start of the record that makes the fork
  };
  struct DatabaseState {
    ChangeKind kind;
    Event last;
  };
  struct Map {
    std::vector<uint8_t> content;
    Event last;
  };
  struct Expected {
    enum Kind { kUnknown, kNone, kThere } kind = kUnknown;  // kUnknown: there may be a file
    bool knows_end = false;
    uint32_t base = 0;     // blocks of the base backup that are still there
    uint32_t touched = 0;  // one more than the last that WAL changes
    uint32_t sought = 0;   // one more than the last that was looked for
    Event last;
  };

  void TakeDatabase(const Change& change, const Event& event);
  Status CheckFork(const BlockTag& fork);
  Status CheckMissing(const BlockTag& fork, const Expected& expected);
  Status CheckShort(const BlockTag& fork, const Expected& expected, const ForkFiles& files);
  Status CheckLong(const BlockTag& fork, const Expected& expected, const ForkFiles& on_disk);
  void CheckUnknown();
  bool IsKnown(const RelFileNode& rel) const;
  bool IsUnlogged(const BlockTag& fork) const;
  bool IsLost(const RelFileNode& rel) const;
  bool IsDropping(uint32_t db) const {
    return expectations_->dropping != nullptr && expectations_->dropping->contains(db);
  }
  bool IsWanted(const RelFileNode& rel) const {
    return expectations_->only == nullptr || expectations_->only->contains(rel);
  }
  bool IsKnownDatabase(uint32_t db) const;
  bool IsOrphan(const BlockTag& fork);
  void CheckStrange();
  void CheckDatabases();
  void CheckUnknownDatabases();
  Status CheckMaps();
  // Empty when it is missing. A map has 512 or 524 bytes.
  Result<std::string> ReadMap(const BaseBackup& files, uint32_t spc, uint32_t db) const;
  bool IsSettled(const Event& last);
  Expected Expect(const BlockTag& fork) const;
  bool WasSought(const BlockTag& first) const;
  bool IsKnownDirectory(uint32_t spc, uint32_t db) const;
  bool MayBeBeforeItsRecord() const;
  Status ReportLong(const BlockTag& fork, const Expected& expected, RelationFiles* disk,
                    uint32_t from, uint32_t to, const std::string& why);
  void Report(const BlockTag& tag, std::string file, const Event& last, Damage damage,
              std::string problem, bool note = false);
  void ReportBlock(const BlockTag& tag, const Event& last, Damage damage, std::string problem,
                   bool note = false);
  void Add(const BlockTag& tag, std::string file, const Event& last, Damage damage,
           std::string problem, bool note);
  void ReportUnknown(const BlockTag& tag, std::string file, const char* what, bool note);

  const BaseBackup& base_backup_;
  const BaseBackup* const data_;
  const pg::Version* version_ = nullptr;  // from TakeBase on
  bool reads_all_ = false;
  std::map<BlockTag, ForkState> forks_;
  std::map<Database, DatabaseState> databases_;
  std::map<Database, Map> maps_;

  RelationFileList base_;

  // While comparing.
  const Expectations* expectations_ = nullptr;
  Lsn settled_;
  RelationFileList disk_;
  std::unique_ptr<Catalog> catalog_;  // of the data directory
  Findings findings_;
  uint64_t files_ = 0, map_files_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_FILE_CHECK_H_
