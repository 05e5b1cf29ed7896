// Where the tablespaces of a restored cluster go: never to where one lies.
#ifndef NEON_REDO_RESTORE_TABLESPACES_H_
#define NEON_REDO_RESTORE_TABLESPACES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/restore/survey.h"
#include "cpp_core/verify/cluster_inputs.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct TablespacePlan {
  std::map<uint32_t, std::string> of_base;  // by OID: where its link shall lead; empty: in place
  std::map<uint32_t, std::string> of_wal;  // the same of those that WAL makes before the checkpoint

  // Directories that links lead to.
  std::vector<std::string> Directories() const;
};

// mapping: where tablespaces go, by where they were. kInvalidArgument: a place is not free, or two tablespaces
// would share one, or a path is not absolute. Writes nothing.
// in_place: those of the base stay where they are, and of_base has none. delta: a directory whose links, as far as
// they are there, say where those of the base go; empty: none.
Result<TablespacePlan> PlanTablespaces(const ClusterInputs& inputs, const Survey& survey,
                                       const std::map<std::string, std::string>& mapping,
                                       bool in_place, const std::string& delta);

// Makes the directories, marks them (OutputDirectory::Begin), and makes the links of the base's, unless they are there.
// Adds the marks to *marks.
Status MakeTablespaces(const TablespacePlan& plan, const OutputDirectory& output,
                       std::vector<FileDescriptor>* marks);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_TABLESPACES_H_
