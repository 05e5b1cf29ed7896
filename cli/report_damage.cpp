#include "cli/report_damage.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "cli/foreign_text.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/findings.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

std::string NameOfFile(const Mismatch& m) {
  return !m.file.empty() ? m.file
                         : fmt::format("{} {}", RelationName(m.tag.rel), ForkName(m.tag.fork));
}

// The first block of the file, which its name says.
uint32_t FirstBlock(const Mismatch& m) {
  if (!IsRelation(m) || m.file.empty()) return 0;
  const auto name =
      pg::ParseRelationFileName(std::string_view(m.file).substr(m.file.rfind('/') + 1));
  return name ? name->segment * pg::kBlocksPerFile : 0;
}

std::optional<uint32_t> BlocksOf(const std::optional<DirectoryIdentity>& directory,
                                 const std::string& file) {
  struct stat st;
  if (!directory || stat((directory->path + "/" + file).c_str(), &st) != 0 || !S_ISREG(st.st_mode))
    return std::nullopt;
  return static_cast<uint32_t>((static_cast<uint64_t>(st.st_size) + kBlockSize - 1) / kBlockSize);
}

// In the order of blocks. Where two findings are about one block, the first one counts.
std::vector<DamagedRange> Merge(std::vector<DamagedRange> ranges) {
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](const DamagedRange& a, const DamagedRange& b) { return a.first < b.first; });
  std::vector<DamagedRange> out;
  for (DamagedRange& range : ranges) {
    if (!out.empty() && range.first <= out.back().last) {
      if (range.last <= out.back().last) continue;
      range.first = out.back().last + 1;
    }
    if (!out.empty() && out.back().kind == range.kind && out.back().last + 1 == range.first)
      out.back().last = range.last;
    else
      out.push_back(std::move(range));
  }
  return out;
}

void AddOnce(std::vector<std::string>* list, const std::string& text) {
  if (std::find(list->begin(), list->end(), text) == list->end()) list->push_back(text);
}

}  // namespace

bool IsRelation(const Mismatch& m) { return m.tag.rel.rel != 0; }

std::string RelationName(const RelFileNode& rel) {
  return fmt::format("{}/{}/{}", rel.spc, rel.db, rel.rel);
}

std::string BlocksText(uint32_t first, uint32_t last) {
  return first == last ? fmt::format("block {}", first)
                       : fmt::format("blocks {} to {}", first, last);
}

std::string Place(const Mismatch& m) {
  const std::string where = m.in_backup ? "in the backup: " : "";
  const std::string block = m.tag.block == kNoBlockNumber
                                ? ""
                                : " " + BlocksText(m.tag.block, m.tag.block + (m.blocks - 1));
  const std::string subject = m.subject.empty() ? "" : fmt::format(" ({})", Printable(m.subject));
  if (!IsRelation(m)) return where + m.file + block + subject;
  return where + fmt::format("relation {}{} fork {}{}{}", RelationName(m.tag.rel), subject,
                             ForkName(m.tag.fork), block,
                             m.file.empty() ? "" : fmt::format(" ({})", m.file));
}

uint64_t DamagedRelation::damaged() const {
  uint64_t sum = 0;
  for (const auto& [kind, count] : kinds) sum += count;
  return sum;
}

std::vector<DamagedRelation> DamageByRelation(const VerifyResult& result) {
  std::map<std::tuple<bool, RelFileNode, std::string>, DamagedRelation> found;
  for (const Mismatch& m : result.mismatches) {
    const std::string file = IsRelation(m) ? "" : m.file;
    DamagedRelation& out = found[{!m.in_backup, m.tag.rel, file}];
    out.is_relation = IsRelation(m);
    out.name = out.is_relation ? RelationName(m.tag.rel) : file;
    out.in_backup = m.in_backup;
    if (out.subject.empty()) out.subject = m.subject;
    out.kinds[DamageKind(m)] += m.blocks;
    if (!m.file.empty()) AddOnce(&out.files, m.file);
  }
  std::vector<DamagedRelation> out;
  out.reserve(found.size());
  for (auto& [key, relation] : found) out.push_back(std::move(relation));
  return out;
}

std::vector<DamagedFile> DamageByFile(const VerifyResult& result, const ReportFacts& facts) {
  std::map<std::tuple<bool, BlockTag, std::string>, DamagedFile> found;
  for (const Mismatch& m : result.mismatches) {
    BlockTag place = m.tag;
    place.block = FirstBlock(m);
    DamagedFile& out = found[{!m.in_backup, place, m.file}];
    out.file = NameOfFile(m);
    out.in_backup = m.in_backup;
    out.first_block = place.block;
    if (IsRelation(m)) {
      out.relation = RelationName(m.tag.rel);
      out.fork = ForkName(m.tag.fork);
    }
    if (m.tag.block == kNoBlockNumber)
      AddOnce(&out.whole, DamageKind(m));
    else
      out.ranges.push_back({m.tag.block, m.tag.block + (m.blocks - 1), DamageKind(m)});
  }
  std::vector<DamagedFile> out;
  out.reserve(found.size());
  for (auto& [key, file] : found) {
    file.ranges = Merge(std::move(file.ranges));
    file.blocks = BlocksOf(file.in_backup ? facts.backup : facts.cluster, file.file);
    out.push_back(std::move(file));
  }
  return out;
}

}  // namespace neon_redo::cli
