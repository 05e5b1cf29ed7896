#include "cpp_core/store/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/wal/lineage.h"

namespace neon_redo {

namespace {

// Where the next reading starts, under a key that is no page's and no relation's.
constexpr PageKey kProgressKey{0xff, 0, 0, 0, 0, 0};

// How far the store goes, and what it was made from.
struct Progress {
  uint64_t format;
  uint64_t system_identifier;
  uint64_t begin;       // the first record starts here or later; 0: where the WAL's directory did
  uint64_t end;         // of the last record; 0: no run was finished yet
  uint64_t last_start;  // its start; 0: there is none
  uint32_t last_crc;
  uint32_t timeline;  // of the WAL just before `end`
  uint32_t reading;   // the timeline that a run reads, or was reading when it was interrupted
  uint32_t track_commit_timestamp;
};
static_assert(sizeof(Progress) == 56);
constexpr uint64_t kFormat = 0x31306e6f65724e01;

Status SaveProgress(Store* store, const Progress& progress) {
  uint8_t bytes[sizeof(Progress)];
  std::memcpy(bytes, &progress, sizeof(bytes));
  return store->Put(kProgressKey, Lsn(0), 0, true, bytes);
}

Error Refusal(const RecordingOptions& options, const std::string& why) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("the store in {} cannot be used: {}; remove it or name another directory",
                      options.name, why)};
}

Result<std::optional<Progress>> LoadProgress(Store* store, const RecordingOptions& options) {
  ASSIGN_OR_RETURN(const auto found, store->Get(kProgressKey, Lsn(0)));
  if (found.empty()) {
    // What another program, or an interrupted one, has left.
    ASSIGN_OR_RETURN(const auto any, store->NextKey(PageKey()));
    if (any) return tl::unexpected(Refusal(options, "it does not say what it was made from"));
    return std::nullopt;
  }
  const std::string& value = found.back().value;
  Progress out{};
  if (value.size() == sizeof(out)) std::memcpy(&out, value.data(), sizeof(out));
  if (out.format != kFormat)
    return tl::unexpected(Refusal(options, "an earlier version of this program made it"));
  return out;
}

// What was derived from WAL belongs to that WAL.
Status CheckOrigin(const Progress& progress, const WalLineage& lineage, const WalSet& wal,
                   const RecordingOptions& options) {
  const Lsn end(progress.end), begin(progress.begin);
  if (progress.system_identifier != lineage.system_identifier)
    return tl::unexpected(Refusal(
        options,
        fmt::format("it is of the cluster {}, the WAL in {} of {}", progress.system_identifier,
                    NamePaths(wal.given()), lineage.system_identifier)));
  if (options.range.from && begin > *options.range.from)
    return tl::unexpected(
        Refusal(options, fmt::format("it begins at {}, after the backup's start at {}",
                                     begin.ToString(), options.range.from->ToString())));
  if (progress.reading != 0 && progress.reading != lineage.timeline)
    return tl::unexpected(
        Refusal(options, fmt::format("it was being filled from timeline {}, the WAL is of {}",
                                     progress.reading, lineage.timeline)));
  const bool is_same = lineage.is_known ? lineage.At(end) == progress.timeline
                                        : lineage.timeline == progress.timeline;
  if (is_same || progress.end == 0) return {};
  return tl::unexpected(Refusal(
      options, fmt::format("it follows timeline {} to {}, which the WAL of timeline {} does not",
                           progress.timeline, end.ToString(), lineage.timeline)));
}

// The last record of the store is in this WAL, too, if the WAL reaches back to it.
Status CheckLastRecord(const Progress& progress, const WalSet& wal,
                       const RecordingOptions& options) {
  if (progress.last_start == 0) return {};
  const Lsn start(progress.last_start);
  auto reader = OpenWal(wal, {.from = start, .timeline = options.range.timeline});
  if (!reader && reader.error().code == ErrorCode::kNotFound) return {};
  if (!reader) return tl::unexpected(reader.error());
  const auto next = (*reader)->Next();
  if (!next && next.error().code != ErrorCode::kNotFound) return tl::unexpected(next.error());
  const bool is_none = !next || !*next;
  // The WAL ends before that record. If it ends later, the place is within another record.
  if (is_none && (*reader)->end_of_wal() <= start) return {};
  const bool is_same = !is_none && (*next)->start == start &&
                       LoadNative<RecordHeader>((*next)->bytes.data()).crc == progress.last_crc;
  if (is_same) return {};
  return tl::unexpected(Refusal(
      options, fmt::format("the WAL in {} has another record than the store's last one at {}",
                           NamePaths(wal.given()), start.ToString())));
}

// Where the WAL of the store is looked for if none is there after its end. A restore command cannot
// list its archive.
std::optional<Lsn> PlaceBeforeEnd(const Progress& progress, const WalSet& wal) {
  if (!wal.restores()) return std::nullopt;
  return Lsn(progress.last_start != 0 ? progress.last_start : progress.begin);
}

// There is WAL after the segment in which the store ends, so that it cannot be read on across a gap. Of
// a restore command only the next segment is asked for.
Result<bool> HasWalAfterGap(const Progress& progress, const WalSet& wal, const WalRange& range) {
  ASSIGN_OR_RETURN(const WalLine line, wal.FindLine(range.timeline, PlaceBeforeEnd(progress, wal)));
  const uint64_t number = progress.end / wal.segment_size();
  const auto is_after = [&](const Segment& s) {
    return s.number > number && (s.head == SegmentHead::kWal || s.head == SegmentHead::kForeign);
  };
  if (std::any_of(line.segments.begin(), line.segments.end(), is_after)) return true;
  const auto command = wal.Restored(line);
  if (!command) return false;
  ASSIGN_OR_RETURN(const auto next, command->Get(number + 1));
  return next.has_value();
}

// Reads WAL into the store. Returns the end of the last record.
Result<Lsn> Record(Store* store, const RecordingOptions& options, WalReader* reader,
                   Progress* now) {
  Ingest ingest(IngestOptions{now->track_commit_timestamp != 0});
  Recorder recorder(store, options.recorder);
  uint64_t taken = 0;
  const Status status = ingest.TakeAll(
      reader,
      [&](const ChangeList& changes, const RecordView& view, const WalRecord& record) -> Status {
        if (options.progress && taken++ % 4096 == 0)
          options.progress(reader->bytes_read(), reader->bytes_total());
        for (const Change& change : changes) {
          if (change.kind == ChangeKind::kParameters)
            RETURN_IF_ERROR(pg::CheckWalLevel(change.payload, record.start));
        }
        if (now->begin == 0) now->begin = record.start.value;
        now->last_start = record.start.value;
        now->last_crc = view.header().crc;
        return recorder.Take(changes, view, record);
      });
  if (options.notes) options.notes(reader->notes());
  if (!status) return tl::unexpected(status.error());
  now->track_commit_timestamp = ingest.state().track_commit_timestamp;
  return reader->end_of_wal();
}

}  // namespace

Result<Lsn> RecordWal(Store* store, const WalSet& wal, const RecordingOptions& options) {
  ASSIGN_OR_RETURN(const auto progress, LoadProgress(store, options));
  Progress now = progress.value_or(Progress{});
  WalRange range = options.range;
  // A first run that was interrupted need not have known where it began.
  const bool begins = !progress || (progress->begin == 0 && progress->end == 0);
  if (begins) {
    now.begin = range.from.value_or(Lsn()).value;
    now.track_commit_timestamp = options.track_commit_timestamp;
  } else {
    range.from = Lsn(progress->end != 0 ? progress->end : progress->begin);
  }
  auto lineage = ReadLineage(wal, range.timeline, range.from);
  // Perhaps no WAL is there after the store's end.
  if (!lineage && lineage.error().code == ErrorCode::kNotFound && progress)
    lineage = ReadLineage(wal, range.timeline, PlaceBeforeEnd(*progress, wal));
  if (!lineage) return tl::unexpected(lineage.error());
  if (progress) {
    RETURN_IF_ERROR(CheckOrigin(*progress, *lineage, wal, options));
    RETURN_IF_ERROR(CheckLastRecord(*progress, wal, options));
    if (range.to && progress->end != 0 && *range.to <= Lsn(progress->end))
      return Lsn(progress->end);
  }
  const auto reader = OpenWal(wal, range);
  if (!reader && reader.error().code == ErrorCode::kNotFound && progress && progress->end != 0) {
    ASSIGN_OR_RETURN(const bool is_gap, HasWalAfterGap(*progress, wal, range));
    if (!is_gap) return Lsn(progress->end);
  }
  if (!reader) return tl::unexpected(reader.error());
  now.format = kFormat;
  now.system_identifier = lineage->system_identifier;
  now.reading = lineage->timeline;
  RETURN_IF_ERROR(SaveProgress(store, now));
  ASSIGN_OR_RETURN(const Lsn end, Record(store, options, reader->get(), &now));
  now.end = end.value;
  now.timeline = lineage->At(end);
  now.reading = 0;
  RETURN_IF_ERROR(SaveProgress(store, now));
  RETURN_IF_ERROR(store->Flush());
  return end;
}

}  // namespace neon_redo
