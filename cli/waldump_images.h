// Full-page images as files, named as pg_waldump --save-fullpage names them.
#ifndef NEON_REDO_CLI_WALDUMP_IMAGES_H_
#define NEON_REDO_CLI_WALDUMP_IMAGES_H_

#include <cstdint>
#include <string>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo::cli {

class ImageWriter {
 public:
  // Creates the directory, which may be there if it is empty.
  static Result<ImageWriter> Open(const std::string& directory);

  // The images of a record that starts there and was read from a segment of this timeline.
  Status Write(const RecordView& record, Lsn start, uint32_t timeline) const;

 private:
  explicit ImageWriter(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_WALDUMP_IMAGES_H_
