// Any page as it was at an LSN, from its changes and a base backup.
#ifndef NEON_REDO_STORE_PAGE_READER_H_
#define NEON_REDO_STORE_PAGE_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/store/change_source.h"
#include "cpp_core/store/copy_chain.h"
#include "cpp_core/store/encoding.h"
#include "neon_redo/page_key.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// Writes kBlockSize bytes of the base backup's page; false when it has no such page.
using BasePage = std::function<Result<bool>(const PageKey&, uint8_t* page)>;

struct PageAt {
  std::vector<uint8_t> page;  // kBlockSize bytes
  std::string base;           // where it came from: "image at 0/1A2B3C4", "base backup", …
  Lsn base_lsn;               // 0: the base backup's
  uint64_t changes = 0;       // applied to it
  uint64_t by_worker = 0;     // of those
  Lsn last_change;            // 0: none
};

// Not thread-safe.
class PageReader {
 public:
  // base may be empty: then pages that WAL does not make whole cannot be had. worker: what the
  // native engine does not support goes to a worker, launched when it is first needed; its version
  // is that of the WAL, and not null.
  PageReader(ChangeSource* changes, BasePage base, const WorkerOptions& worker)
      : source_(*changes), base_(std::move(base)), worker_(worker), view_(*worker.version) {}

  // The page that key names (a relation's block or an SLRU's), as it was when the records up to lsn
  // were applied. kNotFound: there was no such page at that LSN, or it cannot be had from what
  // there is; the message says which.
  Result<PageAt> Read(const PageKey& key, Lsn lsn);
  // The same, but nothing where the page was certainly not there, or never written to; absence() says why.
  // The file may have a page of zeroes there.
  Result<std::optional<PageAt>> ReadIfThere(const PageKey& key, Lsn lsn);
  const std::string& absence() const { return absence_; }

 private:
  struct Cut {
    Lsn lsn;
    uint32_t index = 0;
    Change change;  // without payload
  };
  Result<std::optional<Cut>> LastCut(const PageKey& key, Lsn lsn);
  Status FindCut(const PageKey& events, const PageKey& key, Lsn lsn, std::optional<Cut>* last);
  Result<bool> FindBase(const PageKey& key, const std::optional<Cut>& cut, bool has_changes,
                        PageAt* out);
  Result<bool> Absent(bool has_changes, std::string why);
  Status Apply(const PageKey& key, const StoredChange& stored, PageAt* out);
  Status ApplyRecord(const PageKey& key, Lsn lsn, const Change& change, PageAt* out);

  ChangeSource& source_;
  BasePage base_;
  RedoWorker worker_;
  RecordView view_;
  std::string absence_;
  CopyChain copies_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_PAGE_READER_H_
