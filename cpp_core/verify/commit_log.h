// What pg_xact of a data directory says about transactions.
#ifndef NEON_REDO_VERIFY_COMMIT_LOG_H_
#define NEON_REDO_VERIFY_COMMIT_LOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// Not thread-safe. Reads pages as they are asked for, and keeps the last ones.
class CommitLog {
 public:
  // Knows of transactions from oldest up to, but not including, next.
  CommitLog(std::string data_directory, uint32_t oldest, uint32_t next)
      : directory_(std::move(data_directory)), oldest_(oldest), next_(next) {}

  // The same of pages that `read` gives: whether there is one.
  using ReadPage = std::function<Result<bool>(const SlruBlock& block, uint8_t* page)>;
  CommitLog(ReadPage read, uint32_t oldest, uint32_t next)
      : read_(std::move(read)), oldest_(oldest), next_(next) {}

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

  const std::string directory_;
  const ReadPage read_;  // empty: the directory's
  const uint32_t oldest_, next_;
  std::map<uint32_t, Page> pages_;
  uint32_t last_number_ = UINT32_MAX;
  const Page* last_ = nullptr;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_COMMIT_LOG_H_
