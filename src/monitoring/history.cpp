// neon_walsender_history() and neon_walsender_eta(), from the samples of the last ten minutes. The
// ring of one walsender slot is copied at a time, under the lock. Rates are computed from the copy.
#include "src/monitoring/row.h"
#include "src/monitoring/snapshot.h"

namespace neon_redo {

static constexpr int64 kMicroseconds = 1000000;
static constexpr int64 kEtaWindow = 30 * kMicroseconds;  // present rates are averages over it

// Samples of one walsender slot, oldest first, none older than kHistorySeconds.
struct Ring {
  Sample samples[kSamples];
  int count;
};

static void ReadRing(Shared* shared, int index, TimestampTz now, Ring* ring) {
  const WalsenderShared* entry = &shared->walsenders[index];
  ring->count = 0;
  LWLockAcquire(shared->lock, LW_SHARED);
  const uint64 oldest = entry->sampled > kSamples ? entry->sampled - kSamples : 0;
  for (uint64 i = oldest; i < entry->sampled; i++) {
    const Sample* sample = &entry->samples[i % kSamples];
    if (now - sample->time > kHistorySeconds * kMicroseconds) continue;
    ring->samples[ring->count++] = *sample;
  }
  LWLockRelease(shared->lock);
}

// Returns false if there is no rate: a position is missing, or the later one is smaller.
static bool Rate(XLogRecPtr from, XLogRecPtr to, int64 microseconds, double* bytes_per_second) {
  if (XLogRecPtrIsInvalid(from) || to < from || microseconds <= 0) return false;
  *bytes_per_second = static_cast<double>(to - from) * kMicroseconds / microseconds;
  return true;
}

// In the order of the function's OUT parameters.
enum {
  kSampleTime,
  kPid,
  kApplicationName,
  kState,
  kStateChanged,
  kSentLsn,
  kConfirmedLsn,
  kSentRate,
  kAppliedRate,
  kBytesBehind,
  kLag,
  kHistoryColumns
};

// previous is the preceding sample of the same walsender, or null.
static void PutSample(const Sample& sample, const Sample* previous, ReturnSetInfo* result) {
  Row<kHistoryColumns> row;
  row.Clear();
  row.SetTime(kSampleTime, sample.time);
  row.Set(kPid, Int32GetDatum(sample.pid));
  row.SetText(kApplicationName, sample.application_name);
  row.SetText(kState, StateName(sample.state));
  row.Set(kStateChanged, BoolGetDatum(previous != nullptr && previous->state != sample.state));
  row.SetLsn(kSentLsn, sample.sent);
  row.SetLsn(kConfirmedLsn, Confirmed(sample.reached));
  if (!XLogRecPtrIsInvalid(Confirmed(sample.reached)))
    row.SetInt64(kBytesBehind, BytesBehind(Confirmed(sample.reached), sample.end_of_wal));
  row.SetInterval(kLag, sample.lag);
  if (previous != nullptr) {
    const int64 elapsed = sample.time - previous->time;
    double rate = 0;
    if (Rate(previous->sent, sample.sent, elapsed, &rate)) row.Set(kSentRate, Float8GetDatum(rate));
    if (Rate(Confirmed(previous->reached), Confirmed(sample.reached), elapsed, &rate))
      row.Set(kAppliedRate, Float8GetDatum(rate));
  }
  row.Put(result);
}

// pid 0 means every walsender.
static void PutHistory(Shared* shared, pid_t pid, ReturnSetInfo* result) {
  const TimestampTz now = GetCurrentTimestamp();
  Ring* ring = static_cast<Ring*>(palloc(sizeof(Ring)));
  for (int index = 0; index < max_wal_senders; index++) {
    CHECK_FOR_INTERRUPTS();
    ReadRing(shared, index, now, ring);
    for (int i = 0; i < ring->count; i++) {
      const Sample& sample = ring->samples[i];
      if (pid != 0 && sample.pid != pid) continue;
      const bool same = i > 0 && ring->samples[i - 1].pid == sample.pid;
      PutSample(sample, same ? &ring->samples[i - 1] : nullptr, result);
    }
  }
}

enum {
  kEtaPid,
  kEtaApplicationName,
  kEtaBytesBehind,
  kEtaAppliedRate,
  kEtaWalRate,
  kEta,
  kEtaColumns
};

// The walsender's oldest sample in the window, or null if there is none.
static const Sample* WindowStart(const Ring& ring, pid_t pid, TimestampTz now) {
  const int64 window = Max(kEtaWindow, 2000 * static_cast<int64>(walsender_sample_interval));
  for (int i = 0; i < ring.count; i++) {
    const Sample& sample = ring.samples[i];
    if (sample.pid == pid && now - sample.time <= window &&
        !XLogRecPtrIsInvalid(Confirmed(sample.reached)))
      return &sample;
  }
  return nullptr;
}

static void PutEta(const Walsender& walsender, const WalsenderBackend* backend, const Ring& ring,
                   XLogRecPtr end, TimestampTz now, ReturnSetInfo* result) {
  Row<kEtaColumns> row;
  row.Clear();
  row.Set(kEtaPid, Int32GetDatum(walsender.pid));
  if (backend != nullptr) row.SetText(kEtaApplicationName, backend->application_name);
  const XLogRecPtr confirmed = Confirmed(walsender.reached);
  if (!XLogRecPtrIsInvalid(confirmed)) {
    const int64 behind = BytesBehind(confirmed, end);
    row.SetInt64(kEtaBytesBehind, behind);
    if (behind == 0) row.SetInterval(kEta, 0);
    const Sample* start = WindowStart(ring, walsender.pid, now);
    double applied = 0;
    double written = 0;
    if (start != nullptr &&
        Rate(Confirmed(start->reached), confirmed, now - start->time, &applied) &&
        Rate(start->end_of_wal, end, now - start->time, &written)) {
      row.Set(kEtaAppliedRate, Float8GetDatum(applied));
      row.Set(kEtaWalRate, Float8GetDatum(written));
      const double seconds = behind / (applied - written);
      // A century is as good as never, and would not fit into an interval much later.
      if (behind > 0 && applied > written && seconds < 100.0 * 365 * 24 * 3600)
        row.SetInterval(kEta, static_cast<int64>(seconds * kMicroseconds));
    }
  }
  row.Put(result);
}

static void PutEtas(Shared* shared, pid_t pid, ReturnSetInfo* result) {
  auto* walsenders = static_cast<Walsender*>(palloc(max_wal_senders * sizeof(Walsender)));
  auto* backends =
      static_cast<WalsenderBackend*>(palloc(max_wal_senders * sizeof(WalsenderBackend)));
  Ring* ring = static_cast<Ring*>(palloc(sizeof(Ring)));
  const int count = ReadWalsenders(walsenders);
  const int backend_count = ReadWalsenderBackends(backends);
  const XLogRecPtr end = EndOfWal();
  const TimestampTz now = GetCurrentTimestamp();
  for (int i = 0; i < count; i++) {
    if (pid != 0 && walsenders[i].pid != pid) continue;
    CHECK_FOR_INTERRUPTS();
    ReadRing(shared, walsenders[i].index, now, ring);
    PutEta(walsenders[i], FindBackend(backends, backend_count, walsenders[i].pid), *ring, end, now,
           result);
  }
}

}  // namespace neon_redo

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_walsender_history);
PG_FUNCTION_INFO_V1(neon_walsender_eta);

Datum neon_walsender_history(PG_FUNCTION_ARGS) {
  core::Shared* shared = core::SharedFor("neon_walsender_history()");
  InitMaterializedSRF(fcinfo, 0);
  core::PutHistory(shared, PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0),
                   reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return Datum(0);
}

Datum neon_walsender_eta(PG_FUNCTION_ARGS) {
  core::Shared* shared = core::SharedFor("neon_walsender_eta()");
  InitMaterializedSRF(fcinfo, 0);
  core::PutEtas(shared, PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0),
                reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return Datum(0);
}
}
#pragma GCC visibility pop
