// One reader serves records that are near each other. For a record further on another is opened.
#include "cpp_core/verify/last_records.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "cpp_core/base/try.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

Status DescribeLastRecords(const WalSet& wal, std::optional<uint32_t> timeline,
                           std::vector<Mismatch>* mismatches) {
  constexpr uint64_t kNear = 16 << 20;
  std::unique_ptr<WalReader> reader;
  std::optional<RecordView> view;
  Lsn at;             // start of the record described last
  std::string words;  // what it is
  for (Mismatch& mismatch : *mismatches) {
    const Lsn wanted = mismatch.last_start;
    if (!wanted.valid()) continue;
    if (!reader || wanted < at || wanted - at > kNear) {
      ASSIGN_OR_RETURN(auto opened, OpenWal(wal, {.from = wanted, .timeline = timeline}));
      reader = std::move(opened);
      view.emplace(reader->version());
      at = Lsn();
    }
    while (at < wanted) {
      ASSIGN_OR_RETURN(auto next, reader->Next());
      if (!next) break;
      at = next->start;
      if (at != wanted) continue;
      RETURN_IF_ERROR(ParseRecord(*next, &*view));
      words = DescribeRecord(*view, at);
    }
    if (at == wanted) mismatch.last_record = words;
  }
  return {};
}

}  // namespace neon_redo
