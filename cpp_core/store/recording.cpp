#include "cpp_core/store/recording.h"

#include <cstring>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Where the next reading starts, under a key that is no page's and no relation's.
constexpr PageKey kProgressKey{0xff, 0, 0, 0, 0, 0};

struct Progress {
  uint64_t end;
  uint8_t track_commit_timestamp;
};

Status SaveProgress(Store* store, Lsn end, bool track_commit_timestamp) {
  uint8_t bytes[9];
  std::memcpy(bytes, &end.value, 8);
  bytes[8] = track_commit_timestamp;
  return store->Put(kProgressKey, Lsn(0), 0, true, bytes);
}

Result<std::optional<Progress>> LoadProgress(Store* store) {
  ASSIGN_OR_RETURN(const auto found, store->Get(kProgressKey, Lsn(0)));
  if (found.empty()) return std::nullopt;
  const std::string& value = found.back().value;
  if (value.size() != 9)
    return MakeError(ErrorCode::kCorrupt, "the store does not say how far it goes");
  return Progress{LoadNative<uint64_t>(value.data()), static_cast<uint8_t>(value[8])};
}

}  // namespace

Result<Lsn> RecordWal(Store* store, const RecordingOptions& options) {
  ASSIGN_OR_RETURN(const auto progress, LoadProgress(store));
  WalReaderOptions wal = options.wal;
  IngestOptions ingest_options{options.track_commit_timestamp};
  if (progress) {
    const Lsn end(progress->end);
    if (wal.to && *wal.to <= end) return end;
    wal.from = end;
    ingest_options.track_commit_timestamp = progress->track_commit_timestamp;
  }
  ASSIGN_OR_RETURN(auto opened, WalReader::Open(wal));
  WalReader& reader = *opened;
  Ingest ingest(ingest_options);
  Recorder recorder(store, options.recorder);
  uint64_t taken = 0;
  const Status status = ingest.TakeAll(
      &reader, [&](const ChangeList& changes, const RecordView& view, const WalRecord& record) {
        if (options.progress && taken++ % 4096 == 0)
          options.progress(reader.bytes_read(), reader.bytes_total());
        return recorder.Take(changes, view, record);
      });
  if (!status) return tl::unexpected(status.error());
  const Lsn end = reader.end_of_wal();
  if (progress && Lsn(progress->end) == end) return end;  // nothing is new
  RETURN_IF_ERROR(SaveProgress(store, end, ingest.state().track_commit_timestamp));
  RETURN_IF_ERROR(store->Flush());
  return end;
}

}  // namespace neon_redo
