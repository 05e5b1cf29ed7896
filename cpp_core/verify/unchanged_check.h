// Pages of relations that WAL does not change: those of the base backup against those of a cluster at
// rest or of a later backup.
#ifndef NEON_REDO_VERIFY_UNCHANGED_CHECK_H_
#define NEON_REDO_VERIFY_UNCHANGED_CHECK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/page_check.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// The blocks of each fork (a tag with block 0) that WAL changes, in no order: four bytes each.
using ChangedBlocks = std::map<BlockTag, std::vector<uint32_t>>;

// What is damaged in the base backup, and reported already.
struct BackupDamage {
  std::function<bool(const BlockTag&)> has_page;
  std::function<bool(const std::string&)> has_file;  // by its path
};

struct UnchangedOptions {
  PageCheck::Options pages;
  PageCheck::Server server;
  int jobs = 1;
  ProgressFunction progress;  // called on the caller's thread; may be empty
  // Compares only these. Null: all.
  const std::set<BlockTag>* only = nullptr;
  // Of a running server: what the threads have seen. Not null with pages.running.
  std::vector<RunningLook>* looks = nullptr;
};

// Compares each page of the base backup that WAL neither changes nor does away with, but for those that
// are damaged in the backup. Not compared: the free space map, what unlogged relations contain, and
// pages that the data directory does not have, which FileCheck reports. A page that cannot be read is a
// finding. files: has taken all WAL and compared. Sorts *changed. Up to options.jobs threads, each with
// a megabyte and a few open files. Adds findings and counts to *result.
//
// Errors: a file that this user may not open; the machine is short of something.
Status CompareUnchangedPages(const UnchangedOptions& options, const FileCheck& files,
                             ChangedBlocks* changed, const BackupDamage& damage,
                             VerifyResult* result);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_UNCHANGED_CHECK_H_
