// What a verification finds, on its way into a VerifyResult.
#ifndef NEON_REDO_VERIFY_FINDINGS_H_
#define NEON_REDO_VERIFY_FINDINGS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "neon_redo/page_key.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// Why something was not compared.
enum class SkipReason : uint8_t {
  kRelationDropped,      // by WAL, later on
  kRelationTruncated,    // likewise
  kDatabaseDropped,      // likewise
  kDatabaseDropping,     // DROP DATABASE has begun to remove it, and was interrupted
  kFreeSpaceMap,         // it is not logged
  kUnsupported,          // by the native engine, and no worker was to be asked
  kCopiedDatabase,       // its files are copies, made without records
  kLostMap,              // a visibility map that CREATE DATABASE made, without its bits
  kChangedDuringBackup,  // of the backup to compare with
  kMapInBackup,          // records that clear the map's bits do not move its LSN
  kMapOfAnother,         // a visibility map of a standby, or of one that was promoted
  kNotInBackup,          // an SLRU's page that neither the backup has nor WAL begins
  kNoImage,              // the record has none
  kNoEarlierImage,       // there is none to apply the record to
  kFirstImage,           // the block is known only from here on
  kVisibilityMap,        // its bits may be cleared before the record comes
  kNotRebuilt,           // the block has no page since its last image
  kNeedsImage,           // the record lacks the data to do without its image
};

struct Skip {
  SkipReason reason;
  uint16_t detail = 0;  // kUnsupported: resource manager << 8 | operation; kNotInBackup: SlruKind
  constexpr auto operator<=>(const Skip&) const = default;
};
// "relation dropped", "not supported by the native engine: Hash SPLIT_ALLOCATE_PAGE", …
// version: of the WAL; null is good enough where no record is the reason.
std::string SkipName(const Skip& skip, const pg::Version* version);

// What VerifyResult::damage counts the mismatch as: DamageName, "could not be rebuilt" or "differs from the
// image".
std::string DamageKind(const Mismatch& mismatch);

// Not thread-safe: one for each partition, added up at the end. Memory: some hundred bytes for each
// difference that is kept, however many there are.
class Findings {
 public:
  // most: differences to keep. The others are counted.
  explicit Findings(size_t most = kMostMismatches) : most_(most) {}

  void Equal(uint8_t rmid) {
    by_rmgr_[rmid].rebuilt++;
    by_rmgr_[rmid].equal++;
  }
  // rebuilt: there was a page to compare at all.
  void Different(uint8_t rmid, bool rebuilt, Mismatch mismatch) {
    by_rmgr_[rmid].rebuilt += rebuilt;
    by_rmgr_[rmid].different++;
    mismatch.rmid = rmid;
    Damaged(std::move(mismatch));
  }
  // A file, which is no resource manager's page.
  void Damaged(Mismatch mismatch);
  // What is no difference.
  void Note(Mismatch mismatch) {
    if (notes_.size() < most_)
      notes_.push_back(std::move(mismatch));
    else
      notes_not_listed_++;
  }
  void Skip(SkipReason reason, uint64_t count = 1) { SkipOne({reason}, count); }
  void SkipUnsupported(uint8_t rmid, uint8_t info) {
    SkipOne({SkipReason::kUnsupported, static_cast<uint16_t>(rmid << 8 | (info & 0xf0))}, 1);
  }
  void SkipNotInBackup(SlruKind kind) {
    SkipOne({SkipReason::kNotInBackup, static_cast<uint16_t>(kind)}, 1);
  }
  void Add(const Findings& other);
  uint64_t different() const { return different_; }
  // Adds all of it to *result, which has the version of the WAL. Call ListInOrder once all is added.
  void AddTo(VerifyResult* result) const;

 private:
  void SkipOne(const neon_redo::Skip& skip, uint64_t count) {
    if (count > 0) skipped_[skip] += count;
  }

  size_t most_;
  std::vector<Mismatch> mismatches_, notes_;
  uint64_t different_ = 0, not_listed_ = 0, notes_not_listed_ = 0;
  std::map<std::string, uint64_t> damage_;
  std::map<neon_redo::Skip, uint64_t> skipped_;
  std::array<RmgrCounts, 256> by_rmgr_{};
};

// Joins mismatches that continue each other, puts them in the order of LSNs and keeps at most
// kMostMismatches. The others are counted.
void ListInOrder(VerifyResult* result);

// Finds swapped pages: a page that is what another mismatch should be is called misplaced.
void FindMisplaced(std::vector<Mismatch>* mismatches);
// The same, with the counts by kind.
void FindMisplaced(VerifyResult* result);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_FINDINGS_H_
