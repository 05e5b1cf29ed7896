// The files of a rebuilt fork: FILE, FILE.1 and so on, of 1 GB each, as the server has them.
#ifndef NEON_REDO_CLI_RELATION_OUTPUT_H_
#define NEON_REDO_CLI_RELATION_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/base/directory.h"
#include "cpp_core/base/file_descriptor.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo::cli {

// Files of mode 0600 under other names, which get theirs by Finish, FILE last. Without it they are removed.
class RelationOutput {
 public:
  // kInvalidArgument: something else than a regular file has such a name, or a file of a longer relation
  // would be left beside these, or one of the other names is taken: by another command, perhaps.
  static Result<std::unique_ptr<RelationOutput>> Create(const std::string& path, uint32_t blocks);
  ~RelationOutput();
  RelationOutput(const RelationOutput&) = delete;
  RelationOutput& operator=(const RelationOutput&) = delete;

  // Some blocks, all of one file, from this one on. Thread-safe.
  Status Write(uint32_t block, Bytes pages);
  // Flushes the files and renames them.
  Status Finish();

  const std::vector<std::string>& names() const { return names_; }

 private:
  RelationOutput(Directory directory, std::string name)
      : directory_(std::move(directory)), name_(std::move(name)) {}
  Status CheckName(const std::string& name) const;
  Status CreateFiles(uint32_t blocks);

  const Directory directory_;
  const std::string name_;
  std::vector<std::string> names_;     // paths
  std::vector<FileDescriptor> files_;  // one for each
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_RELATION_OUTPUT_H_
