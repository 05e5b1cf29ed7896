#include "cpp_core/redo/manager/record_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "cpp_core/redo/manager/metrics.h"
#include "neon_redo/describe.h"
#include "neon_redo/record.h"

namespace neon_redo {

void RecordCounts::Add(Bytes record, RecordWay way, uint64_t n) {
  const uint8_t rmid = record[offsetof(RecordHeader, rmid)];
  const uint8_t operation = record[offsetof(RecordHeader, info)] >> 4;
  const size_t rmgr = std::min<size_t>(rmid, kRmgrs - 1);
  counts_[rmgr][operation][static_cast<size_t>(way)].fetch_add(n, std::memory_order_relaxed);
  if (metrics_ != nullptr) metrics_->RecordsWent(way, n);
}

// Neighbours of one kind together.
void RecordCounts::AddAll(std::span<const PageRecord> records, RecordWay way) {
  const auto bytes = [&](size_t i) {
    return std::get_if<PostgresRecord>(&records[i].record)->record;
  };
  const auto kind = [&](size_t i) {
    return LoadNative<uint16_t>(bytes(i).data() + offsetof(RecordHeader, info)) & 0xfff0;
  };
  for (size_t i = 0; i < records.size();) {
    size_t end = i + 1;
    while (end < records.size() && kind(end) == kind(i)) ++end;
    Add(bytes(i), way, end - i);
    i = end;
  }
}

std::vector<RecordKindCounts> RecordCounts::Kinds(const pg::Version& version) const {
  std::vector<RecordKindCounts> kinds;
  for (size_t rmgr = 0; rmgr < kRmgrs; ++rmgr) {
    for (size_t operation = 0; operation < kOperations; ++operation) {
      RecordKindCounts kind;
      uint64_t sum = 0;
      for (size_t way = 0; way < kRecordWays; ++way) {
        kind.counts[way] = counts_[rmgr][operation][way].load(std::memory_order_relaxed);
        sum += kind.counts[way];
      }
      if (sum == 0) continue;
      const bool builtin = rmgr <= kMaxBuiltinRmgr;
      const auto info = static_cast<uint8_t>(operation << 4);
      const char* name =
          builtin ? OperationName(version, static_cast<uint8_t>(rmgr), info) : nullptr;
      kind.rmgr = builtin ? RmgrDisplayName(static_cast<uint8_t>(rmgr)) : "custom";
      kind.operation = name != nullptr ? name : fmt::format("UNKNOWN ({:x})", info);
      kinds.push_back(std::move(kind));
    }
  }
  return kinds;
}

}  // namespace neon_redo
