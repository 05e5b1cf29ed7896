#include "cpp_core/index/fork_size.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"
#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"

namespace neon_redo {

Result<std::optional<ForkSizes::Event>> ForkSizes::LastEvent(const RelFileNode& rel, Lsn lsn) {
  const PageKey key = DatabaseKey(rel.spc, rel.db);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(key, lsn));
  if (stored.empty()) return std::optional<Event>();
  ASSIGN_OR_RETURN(const auto decoded, DecodeStored(key, stored.back()));
  return std::optional(Event{stored.back().lsn, decoded.change.kind,
                             static_cast<uint32_t>(decoded.change.number),
                             static_cast<uint32_t>(decoded.change.number2)});
}

// Blocks plus one, 0 for no fork, as of SizeBounds; nothing: it is not known.
Result<std::optional<uint64_t>> ForkSizes::SizeBefore(const RelFileNode& rel, uint8_t fork,
                                                      const std::optional<Event>& event) {
  const auto size = [](std::optional<uint32_t> blocks) {
    return std::optional<uint64_t>(blocks ? uint64_t{*blocks} + 1 : 0);
  };
  if (event && event->kind == ChangeKind::kCopyDatabase) {
    const RelFileNode source = {event->source_tablespace, event->source_database, rel.rel};
    const auto copied = copies_.Follow([&] { return Read(source, fork, event->lsn); });
    if (copied) return size(copied->blocks);
    if (copied.error().code == ErrorCode::kNotFound) return std::optional<uint64_t>();
    return tl::unexpected(copied.error());
  }
  if (event) return size(std::nullopt);
  if (!base_) return std::optional<uint64_t>();
  ASSIGN_OR_RETURN(const auto blocks, base_(rel, fork));
  return size(blocks);
}

// Entries say where records start. The last one may end after lsn, and is not taken then.
Result<Lsn> ForkSizes::EndOfEntries(const PageKey& key, Lsn lsn) {
  ASSIGN_OR_RETURN(const auto entries, index_.GetAll(key, from_, lsn));
  if (entries.empty()) return lsn;
  ASSIGN_OR_RETURN(const auto record, records_.Read(entries.back().start));
  return record.end > lsn ? entries.back().start : lsn;
}

Result<std::string> ForkSizes::Absence(const RelFileNode& rel, uint8_t fork, Lsn lsn, Lsn end,
                                       const std::optional<Event>& event) {
  const std::string name =
      fmt::format("the {} fork of {}/{}/{}", ForkName(fork), rel.spc, rel.db, rel.rel);
  std::string out = fmt::format("{} is not there at {}", name, lsn.ToString());
  std::optional<Lsn> dropped;
  if (event && event->kind == ChangeKind::kDropDatabase) dropped = event->lsn;
  const PageKey cut = CutKey(rel, fork);
  ASSIGN_OR_RETURN(const auto stored, changes_.Get(cut, lsn));
  for (const StoredChange& change : stored) {
    ASSIGN_OR_RETURN(const auto decoded, DecodeStored(cut, change));
    if (decoded.change.kind == ChangeKind::kDropRelation) dropped = change.lsn;
  }
  if (dropped) out += fmt::format(": it was dropped at {}", dropped->ToString());
  // What the index knows of later WAL, which need not be all of it.
  ASSIGN_OR_RETURN(const auto later,
                   index_.GetAll(PageKey::OfRelationSize(rel, fork), end, index_.end()));
  for (const IndexEntry& entry : later) {
    if (entry.size.least == 0) continue;
    ASSIGN_OR_RETURN(const auto record, records_.Read(entry.start));
    return out +
           fmt::format("{} it is created at {}", dropped ? ", and" : ":", record.end.ToString());
  }
  return out;
}

Result<ForkSize> ForkSizes::Read(const RelFileNode& rel, uint8_t fork, Lsn lsn) {
  const PageKey key = PageKey::OfRelationSize(rel, fork);
  ASSIGN_OR_RETURN(const auto event, LastEvent(rel, lsn));
  ASSIGN_OR_RETURN(const auto before, SizeBefore(rel, fork, event));
  ASSIGN_OR_RETURN(const Lsn end, EndOfEntries(key, lsn));
  SizeBounds bounds;
  if (!event || event->kind != ChangeKind::kDropDatabase) {
    ASSIGN_OR_RETURN(bounds, index_.GetSize(key, event ? event->lsn : from_, end));
  }
  if (!before && !bounds.is_known())
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL does not say how many blocks the {} fork of {}/{}/{} has at "
                    "{}: a base backup taken before is needed",
                    ForkName(fork), rel.spc, rel.db, rel.rel, lsn.ToString()));
  const uint64_t size = bounds.Of(before.value_or(0));
  if (size > 0) return ForkSize{static_cast<uint32_t>(size - 1)};
  ASSIGN_OR_RETURN(auto absence, Absence(rel, fork, lsn, end, event));
  return ForkSize{std::nullopt, std::move(absence)};
}

}  // namespace neon_redo
