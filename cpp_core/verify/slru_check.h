// Pages of pg_xact, pg_multixact and pg_commit_ts: rebuilt from WAL, against those on disk.
#ifndef NEON_REDO_VERIFY_SLRU_CHECK_H_
#define NEON_REDO_VERIFY_SLRU_CHECK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/replay/page_pool.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Not thread-safe.
class SlruCheck {
 public:
  // base and memory must outlive the object. reads_all: what cannot be read in the base is reported by others.
  SlruCheck(const BaseBackup& base, MemoryBudget* memory, const std::string& spill_directory,
            bool reads_all = false)
      : base_(base), reads_all_(reads_all), pool_(memory, spill_directory) {}

  // Takes a change of the record. Changes to anything but SLRUs are ignored.
  Status Take(const Change& change, const WalRecord& record, uint8_t rmid);

  // What is known after the WAL that was taken.
  // There is such a page: WAL has changed it, and the backup has it or WAL begins it.
  bool HasPage(const SlruBlock& block) const {
    const auto page = pages_.find(block);
    return page != pages_.end() && page->second.known;
  }
  // WAL has changed the page or tried to.
  bool IsTouched(const SlruBlock& block) const { return pages_.contains(block); }
  // WAL has removed the segment. It may have begun it again.
  bool HasRemoved(SlruKind kind, uint32_t segment) const;
  // All pages that WAL has changed or tried to, in order.
  std::vector<SlruBlock> Touched() const;
  // The page as WAL leaves it, or the backup's: whether there is one. Of one that WAL changes and neither has,
  // what its changes make of a page of zeroes, as in recovery (SlruPhysicalReadPage).
  Result<bool> ReadFinal(const SlruBlock& block, uint8_t* page);

  // What is known of the WAL that was taken, for a run that takes later WAL and compares nothing: which pages
  // there are, and pg_xact's content. Call Save after Compare, Load before Take. What is loaded is not to be
  // used unless in->ok() afterwards.
  void Save(StateWriter* out);
  void Load(StateReader* in);

  // What to compare with.
  struct Disk {
    const BaseBackup& files;
    const BaseFiles& list;
  };
  using HasFile = std::function<bool(const std::string& path)>;
  // Compares the pages of the base backup, whose files `base` lists, that WAL neither changes nor removes.
  // is_reported: the backup's file is damaged, and reported already. Call after Compare.
  Status CompareUnchanged(const BaseFiles& base, const Disk& disk, const ClusterState& state,
                          const HasFile& is_reported, VerifyResult* result);

  // Compares all pages that WAL has changed and left, and looks for segments it has removed. state:
  // as of the end of WAL. disk: null when there is nothing to compare with. settled: see PageCheck.
  Status Compare(const Disk* disk, Lsn settled, const ClusterState& state, VerifyResult* result);

 private:
  struct Page {
    PageRef ref;
    Lsn last_start, last_end;  // of the last record that changes it; 0: it was loaded
    uint8_t last_rmid = 0;
    bool known = true;  // false: neither the backup has it nor does WAL begin it
  };
  // The page of an SLRU that was changed last, outside the pool.
  struct Open {
    Page* page = nullptr;
    SlruBlock block;
    std::vector<uint8_t> bytes;
  };

  struct Removal {
    Change change;  // without payload
    Lsn start, end;
  };

  void Close(SlruKind kind);
  Status ChangePage(const Change& change, const SlruBlock& block, const WalRecord& record,
                    uint8_t rmid);
  Status ComparePage(const Disk& disk, const ClusterState& state, const SlruBlock& block,
                     Page* page, Findings* findings);
  Status CheckPresence(const Disk& disk, const SlruBlock& block, const Page& page,
                       Findings* findings);
  Status ReportAbsence(const SlruBlock& block, const Page& page, const Result<bool>& on_disk,
                       Findings* findings);
  Status FindRemoved(const Disk& disk, Lsn settled, Findings* findings) const;
  Status CompareUnchangedSegment(const Disk& disk, const ClusterState& state, SlruKind kind,
                                 uint32_t segment, Findings* findings, Findings* losses,
                                 uint64_t* compared);
  bool HasPages(SlruKind kind, uint32_t segment) const;
  Damage Diagnose(const SlruBlock& block, const uint8_t* rebuilt, const uint8_t* disk) const;

  const BaseBackup& base_;
  const bool reads_all_;
  PagePool pool_;
  std::map<SlruBlock, Page> pages_;
  std::vector<Removal> removals_;
  std::array<Open, kSlruKinds> open_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_SLRU_CHECK_H_
