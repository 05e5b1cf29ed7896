#include "cpp_core/restore/tablespaces.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <set>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

// Where the link in pg_tblspc leads, if there is one and it leads to a directory; else empty.
std::string TargetOf(const OutputDirectory& output, uint32_t oid) {
  const std::string link = output.PathOf(fmt::format("{}{}", pg::kTablespaceLinks, oid));
  char target[PATH_MAX];
  const ssize_t length = readlink(link.c_str(), target, sizeof(target));
  struct stat st;
  const bool leads = length > 0 && stat(link.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  return leads ? std::string(target, static_cast<size_t>(length)) : std::string();
}

bool IsSameDirectory(const std::string& a, const std::string& b) {
  struct stat of_a, of_b;
  return stat(a.c_str(), &of_a) == 0 && stat(b.c_str(), &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
         of_a.st_ino == of_b.st_ino;
}

class Planner {
 public:
  Planner(const ClusterInputs& inputs, const Survey& survey,
          const std::map<std::string, std::string>& mapping, bool in_place,
          const std::string& delta)
      : in_(inputs), survey_(survey), mapping_(mapping), in_place_(in_place), delta_(delta) {}

  Result<TablespacePlan> Plan();

 private:
  Result<std::string> PlaceOf(uint32_t oid, const std::string& was);
  Status CheckLater(const NewTablespace& later) const;

  const ClusterInputs& in_;
  const Survey& survey_;
  const std::map<std::string, std::string>& mapping_;
  const bool in_place_;
  const std::string& delta_;
  std::set<std::string> taken_, used_;
};

Result<std::string> Planner::PlaceOf(uint32_t oid, const std::string& was) {
  if (was.empty()) return was;
  const auto mapped = mapping_.find(WithoutSlash(was));
  const std::string place = mapped == mapping_.end() ? WithoutSlash(was) : mapped->second;
  if (mapped != mapping_.end()) used_.insert(mapped->first);
  Status is_free = place.starts_with('/')
                       ? OutputDirectory::CheckFree(place)
                       : MakeError(ErrorCode::kInvalidArgument, "its path is not absolute");
  if (is_free && !taken_.insert(place).second)
    is_free = MakeError(ErrorCode::kInvalidArgument,
                        fmt::format("another tablespace goes to \"{}\"", place));
  if (is_free) return place;
  return MakeError(is_free.error().code,
                   fmt::format("tablespace {} was at \"{}\" and cannot go to \"{}\": {}; give "
                               "--tablespace-mapping={}=NEWDIR",
                               oid, was, place, is_free.error().message, was));
}

// The server makes these itself, where they were.
Status Planner::CheckLater(const NewTablespace& later) const {
  if (later.path.empty()) return {};
  const bool is_mapped = mapping_.contains(WithoutSlash(later.path));
  const std::string lives =
      fmt::format("{}/{}", later.path, in_.control.version->tablespace_directory);
  if (!is_mapped && access(lives.c_str(), F_OK) != 0) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "WAL makes tablespace {} at \"{}\" in the record at {}, after the last checkpoint that can be "
          "restored to: the server will make it there itself{}; choose an earlier or a "
          "later target",
          later.oid, later.path, later.start.ToString(),
          is_mapped ? ", whatever the mapping says" : ", where one lies already"));
}

Result<TablespacePlan> Planner::Plan() {
  TablespacePlan plan;
  const std::string& base = in_.base.path();
  for (const auto& [oid, tablespace] : in_.base_files.tablespaces) {
    if (tablespace.state != BaseTablespace::kThere)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("tablespace {} of the backup in \"{}\" is not there, or not of this version",
                      oid, base));
    const std::string there = delta_.empty() ? "" : TargetOf(OutputDirectory(delta_), oid);
    if (!there.empty() && IsSameDirectory(there, tablespace.target))
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("tablespace {} of the backup in \"{}\" lies at \"{}\", which is written "
                      "over: it is no copy",
                      oid, base, there));
    if (!there.empty()) {
      plan.of_base[oid] = there;
      taken_.insert(there);
    } else if (!in_place_) {
      ASSIGN_OR_RETURN(plan.of_base[oid], PlaceOf(oid, tablespace.target));
    }
  }
  for (const NewTablespace& made : survey_.new_tablespaces) {
    if (!survey_.point || made.start > survey_.point->start) {
      RETURN_IF_ERROR(CheckLater(made));
    } else if (!in_.base_files.tablespaces.contains(made.oid) && !plan.of_wal.contains(made.oid)) {
      ASSIGN_OR_RETURN(plan.of_wal[made.oid], PlaceOf(made.oid, made.path));
    }
  }
  for (const auto& [was, place] : mapping_)
    if (!used_.contains(was))
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("no tablespace was at \"{}\", which a mapping names", was));
  return plan;
}

}  // namespace

std::vector<std::string> TablespacePlan::Directories() const {
  std::vector<std::string> out;
  for (const auto* places : {&of_base, &of_wal})
    for (const auto& [oid, place] : *places)
      if (!place.empty()) out.push_back(place);
  return out;
}

Result<TablespacePlan> PlanTablespaces(const ClusterInputs& inputs, const Survey& survey,
                                       const std::map<std::string, std::string>& mapping,
                                       bool in_place, const std::string& delta) {
  return Planner(inputs, survey, mapping, in_place, delta).Plan();
}

Status MakeTablespaces(const TablespacePlan& plan, const OutputDirectory& output,
                       std::vector<FileDescriptor>* marks) {
  const auto begin = [marks](const std::string& place) -> Status {
    if (place.empty()) return {};
    ASSIGN_OR_RETURN(FileDescriptor mark, OutputDirectory::Begin(place));
    marks->push_back(std::move(mark));
    return {};
  };
  for (const auto& [oid, place] : plan.of_wal) RETURN_IF_ERROR(begin(place));
  for (const auto& [oid, place] : plan.of_base) {
    if (!TargetOf(output, oid).empty()) continue;
    RETURN_IF_ERROR(begin(place));
    const std::string link = fmt::format("{}{}", pg::kTablespaceLinks, oid);
    if (place.empty()) {
      RETURN_IF_ERROR(output.MakeDirectory(link));
      continue;
    }
    RETURN_IF_ERROR(output.Remove(link));  // one that leads nowhere
    RETURN_IF_ERROR(output.MakeLink(link, place));
  }
  return {};
}

}  // namespace neon_redo
