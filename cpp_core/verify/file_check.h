// Files as WAL leaves them: which relations and databases there are, how long their files are, and
// the relation maps.
#ifndef NEON_REDO_VERIFY_FILE_CHECK_H_
#define NEON_REDO_VERIFY_FILE_CHECK_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/pg/record_layout.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/findings.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// A fork, as a tag with block 0, to the number of its blocks.
using ForkSizes = std::map<BlockTag, uint32_t>;

// Not thread-safe.
class FileCheck {
 public:
  FileCheck(const std::string& base_backup, const std::string& data_directory)
      : base_directory_(base_backup), data_directory_(data_directory) {}

  // Takes a change of the record. Changes to pages are ignored.
  void Take(const Change& change, const WalRecord& record);

  // Compares the files on disk with the base backup's and what was done to them since. touched: one
  // more than the highest block that WAL changes and leaves. settled: see PageCheck.
  Status Compare(const ForkSizes& touched, const pg::Version& version, Lsn settled,
                 VerifyResult* result);

 private:
  using Database = std::pair<uint32_t, uint32_t>;  // tablespace, database
  struct Event {
    Lsn start, end;
  };
  struct ForkState {
    enum Kind : uint8_t { kAsBefore, kCreated, kDropped } kind = kAsBefore;
    uint32_t base_end = UINT32_MAX;  // blocks from here on are not the base backup's
    Event last;
  };
  struct DatabaseState {
    ChangeKind kind;
    Event last;
  };
  struct Map {
    std::vector<uint8_t> content;
    Event last;
  };
  struct Expected;

  void TakeDatabase(const Change& change, const Event& event);
  void CheckFork(const BlockTag& fork, const ForkSizes& touched);
  void CheckLength(const BlockTag& fork, const Expected& expected, uint32_t on_disk);
  void CheckDatabases();
  Status CheckMaps();
  bool IsSettled(const Event& last);
  Expected Expect(const BlockTag& fork, const ForkSizes& touched) const;
  uint32_t FindPage(RelationFiles* files, const BlockTag& fork, uint32_t from, uint32_t to);
  void Report(const BlockTag& tag, std::string file, const Event& last, Damage damage,
              std::string problem);

  const std::string base_directory_, data_directory_;
  const pg::Version* version_ = nullptr;  // from Compare on
  std::map<BlockTag, ForkState> forks_;
  std::map<Database, DatabaseState> databases_;
  std::map<Database, Map> maps_;

  // While comparing.
  Lsn settled_;
  RelationFileList base_, disk_;
  Findings findings_;
  uint64_t files_ = 0, map_files_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_FILE_CHECK_H_
