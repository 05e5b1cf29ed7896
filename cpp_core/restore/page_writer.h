// What becomes of the rebuilt pages of one partition: they are written to the relations' files.
#ifndef NEON_REDO_RESTORE_PAGE_WRITER_H_
#define NEON_REDO_RESTORE_PAGE_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/replay/page_replay.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/relation_files.h"

namespace neon_redo {

struct PageWriterOptions {
  const OutputDirectory* output;  // not null
  const BaseBackup* base;         // the same directory, as pages are read there; not null
  const pg::Version* version;     // not null
  bool checksums;                 // of data
  const std::map<BlockTag, BadPage>* bad_pages;  // of the base; not null
};

// Not thread-safe.
class PageWriter : public PageConsumer {
 public:
  explicit PageWriter(const PageWriterOptions& options)
      : options_(options), base_(options.base, options.version) {}

  Result<bool> ReadBase(const BlockTag& tag, uint8_t* page) override;
  Status Take(FinishedBlock* block) override;
  // Writes a page that is not from a replay, after those of blocks before it. Its checksum is set.
  Status Write(const BlockTag& tag, uint8_t* page);
  // After the last block.
  Status Flush();

  ForkSizes touched;                // one more than the last block that was written
  std::vector<BlockTag> made_good;  // of bad_pages, those that were written
  std::vector<std::string>
      failures;  // of blocks that could not be rebuilt, one line each; at most kMost
  uint64_t failed = 0, written = 0;

  static constexpr size_t kMostFailures = 20;

 private:
  static constexpr size_t kMostPages = 64;

  void Fail(const BlockTag& tag, const std::string& why);

  const PageWriterOptions options_;
  RelationFiles base_;
  Status base_status_;
  // Adjacent blocks that are yet to be written, and the file that they go to.
  BlockTag first_;
  std::vector<uint8_t> pages_;
  std::unique_ptr<OutputFile> file_;
  std::string file_name_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_PAGE_WRITER_H_
