#include "cpp_core/ingest/origin_progress.h"

#include <cstddef>
#include <cstring>

#include "cpp_core/ingest/xact_parts.h"
#include "cpp_core/pg/origin_file.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

namespace {

constexpr uint16_t kNone = 0, kDoNotReplicate = UINT16_MAX;  // InvalidRepOriginId, DoNotReplicateId

// Padding at the end need not be there.
template <typename T>
std::optional<T> ReadFront(Bytes data, size_t size) {
  T out{};
  if (data.size() < size) return std::nullopt;
  std::memcpy(static_cast<void*>(&out), data.data(), size);
  return out;
}

std::optional<OriginProgress> OfXact(const RecordView& record) {
  namespace xact = layout::xact;
  const uint16_t origin = record.origin();
  if (origin == kNone || origin == kDoNotReplicate) return std::nullopt;
  switch (record.info() & layout::kOperationMask) {
    case xact::kPrepare: {
      const auto prepare =
          ReadFront<xact::Prepare>(record.main_data(), offsetof(xact::Prepare, origin_time));
      if (!prepare) return std::nullopt;
      return OriginProgress{.origin = origin, .remote = Lsn(prepare->origin_lsn)};
    }
    case xact::kCommit:
    case xact::kCommitPrepared:
    case xact::kAbort:
    case xact::kAbortPrepared: {
      const uint8_t operation = record.info() & layout::kOperationMask;
      const bool commits = operation == xact::kCommit || operation == xact::kCommitPrepared;
      XactParts parts;
      if (!ReadParts(record, commits, &parts) || !parts.has_origin) return std::nullopt;
      return OriginProgress{.origin = origin, .remote = Lsn(parts.origin_lsn)};
    }
    default:
      return std::nullopt;
  }
}

std::optional<OriginProgress> OfReplicationOrigin(const RecordView& record) {
  namespace repl_origin = layout::repl_origin;
  if (record.info() == repl_origin::kDrop) {
    const auto drop = ReadFront<repl_origin::Drop>(record.main_data(), sizeof(repl_origin::Drop));
    if (!drop) return std::nullopt;
    return OriginProgress{.origin = drop->origin, .is_dropped = true};
  }
  const auto set =
      ReadFront<repl_origin::Set>(record.main_data(), offsetof(repl_origin::Set, force) + 1);
  if (record.info() != repl_origin::kSet || !set) return std::nullopt;
  return OriginProgress{
      .origin = set->origin, .may_go_back = set->force != 0, .remote = Lsn(set->remote_lsn)};
}

}  // namespace

std::optional<OriginProgress> OriginProgressOf(const RecordView& record) {
  if (record.rmid() == kRmXact) return OfXact(record);
  if (record.rmid() == kRmReplOrigin) return OfReplicationOrigin(record);
  return std::nullopt;
}

}  // namespace neon_redo
