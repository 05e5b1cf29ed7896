// Damage as a report shows it: by relation, and by file as ranges of blocks.
#ifndef NEON_REDO_CLI_REPORT_DAMAGE_H_
#define NEON_REDO_CLI_REPORT_DAMAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/report_facts.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

// A relation with all its forks, or a file that is no relation's.
struct DamagedRelation {
  std::string name;       // "1663/5/16384": tablespace, database, file node; or the file
  std::string subject{};  // "table public.t of database app"; empty: not known
  bool is_relation = false;
  bool in_backup = false;
  std::vector<std::string> files;         // without those that no mismatch names
  std::map<std::string, uint64_t> kinds;  // pages, and files as a whole, by kind: DamageKind
  uint64_t damaged() const;               // of all kinds
};

// Blocks of one file that have one kind of damage. Numbers are those of the relation, which count over
// all its files.
struct DamagedRange {
  uint32_t first, last;
  std::string kind;
  bool operator==(const DamagedRange&) const = default;
};

struct DamagedFile {
  std::string file;            // below the directory; of WAL's images: the relation
  std::string relation, fork;  // empty: it is no relation's
  bool in_backup = false;
  std::vector<std::string> whole;    // kinds of damage of the file as a whole
  std::vector<DamagedRange> ranges;  // by first block; they do not overlap
  uint32_t first_block = 0;          // that the file begins with
  std::optional<uint32_t>
      blocks{};  // of the file as it is, also a last one that is not whole; none: not known
};

// Of what is not a relation's the file tells where it is.
bool IsRelation(const Mismatch& m);
std::string RelationName(const RelFileNode& rel);  // "1663/5/16384"
// "block 3", or "blocks 3 to 7".
std::string BlocksText(uint32_t first, uint32_t last);
// "in the backup: relation 1663/5/16384 (table public.t of database app) fork main block 3 (base/5/16384)"
std::string Place(const Mismatch& m);

// Both by the order of the files, those of the backup first.
std::vector<DamagedRelation> DamageByRelation(const VerifyResult& result);
// facts: of the directories, where the files' lengths are looked up.
std::vector<DamagedFile> DamageByFile(const VerifyResult& result, const ReportFacts& facts);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_DAMAGE_H_
