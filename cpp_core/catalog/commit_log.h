// What pg_xact says about transactions.
#ifndef NEON_REDO_CATALOG_COMMIT_LOG_H_
#define NEON_REDO_CATALOG_COMMIT_LOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "neon_redo/error.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// Not thread-safe. Reads pages as they are asked for, and keeps the last ones.
class CommitLog {
 public:
  // Gives a page of pg_xact: whether there is one.
  using ReadPage = std::function<Result<bool>(const SlruBlock& block, uint8_t* page)>;
  // Knows of transactions from oldest up to, but not including, next.
  CommitLog(ReadPage read, uint32_t oldest, uint32_t next)
      : read_(std::move(read)), oldest_(oldest), next_(next) {}
  // By the pages of a data directory or a backup, which must outlive the object.
  CommitLog(const BaseBackup& files, uint32_t oldest, uint32_t next);

  enum class Fate : uint8_t {
    kUnknown,    // its page cannot be read, or is not there any more; or a subtransaction whose
                 // parent was about to commit
    kUndecided,  // it is prepared, or a crash ended it
    kCommitted,
    kAborted,
  };
  Fate Of(uint32_t xid);

 private:
  using Page = std::vector<uint8_t>;  // empty: not there

  const ReadPage read_;
  const uint32_t oldest_, next_;
  std::map<uint32_t, Page> pages_;
  uint32_t last_number_ = UINT32_MAX;
  const Page* last_ = nullptr;
};

}  // namespace neon_redo

#endif  // NEON_REDO_CATALOG_COMMIT_LOG_H_
