// neon_inactive_slots(): replication slots that no process uses and that retain WAL, how fast that
// WAL grows, and which limit it will reach first. The restart_lsn of an unused slot does not move,
// so its WAL grows as fast as WAL is written. The sampler's samples of the end of WAL show that
// rate.
#include "src/monitoring/row.h"
#include "src/monitoring/snapshot.h"

#include <sys/statvfs.h>

namespace neon_redo {

// In the order of the function's OUT parameters.
enum {
  kSlotName,
  kSlotType,
  kInactiveSince,
  kRestartLsn,
  kWalStatus,
  kRetainedBytes,
  kGrowthRate,
  kSafeWalSize,
  kDiskFreeBytes,
  kTimeLeft,
  kLimitedBy,
  kColumns
};

// Bytes of WAL a second over the sampled time, up to now. A negative value means unknown.
static double WalRate(Shared* shared, XLogRecPtr end, TimestampTz now) {
  EndOfWalSample oldest = {0, InvalidXLogRecPtr};
  LWLockAcquire(shared->lock, LW_SHARED);
  uint64 i = shared->sampled > kSamples ? shared->sampled - kSamples : 0;
  for (; i < shared->sampled && oldest.time == 0; i++) {
    const EndOfWalSample& sample = shared->end_of_wal[i % kSamples];
    if (now - sample.time <= kHistorySeconds * USECS_PER_SEC) oldest = sample;
  }
  LWLockRelease(shared->lock);
  if (oldest.time == 0 || now <= oldest.time || end < oldest.end_of_wal) return -1;
  return static_cast<double>(end - oldest.end_of_wal) * USECS_PER_SEC / (now - oldest.time);
}

// 0 means unknown.
static TimestampTz InactiveSince(Shared* shared, const Slot& slot) {
  TimestampTz since = 0;
  LWLockAcquire(shared->lock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; i++)
    if (strcmp(NameStr(shared->slots[i].name), NameStr(slot.name)) == 0)
      since = shared->slots[i].inactive_since;
  LWLockRelease(shared->lock);
  return since;
}

// Sets *bytes to the free space that the server's user has in pg_wal. Returns false if unknown.
static bool DiskFree(int64* bytes) {
  struct statvfs status;
  if (statvfs(XLOGDIR, &status) != 0) return false;
  *bytes = static_cast<int64>(status.f_bavail) * static_cast<int64>(status.f_frsize);
  return true;
}

static void PutSlot(Shared* shared, const Slot& slot, XLogRecPtr end, double growth,
                    ReturnSetInfo* result) {
  Row<kColumns> row;
  row.Clear();
  row.Set(kSlotName, NameGetDatum(&slot.name));
  row.SetText(kSlotType, OidIsValid(slot.database) ? "logical" : "physical");
  if (shared != nullptr) row.SetTime(kInactiveSince, InactiveSince(shared, slot));
  row.SetLsn(kRestartLsn, slot.restart_lsn);
  row.SetText(kWalStatus, SlotWalStatus(slot));
  row.SetInt64(kRetainedBytes, BytesBehind(slot.restart_lsn, end));
  if (growth >= 0) row.Set(kGrowthRate, Float8GetDatum(growth));

  int64 room = PG_INT64_MAX;
  int64 bytes = 0;
  if (DiskFree(&bytes)) {
    row.SetInt64(kDiskFreeBytes, bytes);
    room = bytes;
    row.SetText(kLimitedBy, "disk");
  }
  if (SafeWalSize(slot, end, &bytes)) {
    row.SetInt64(kSafeWalSize, bytes);
    if (bytes < room) {
      room = bytes;
      row.SetText(kLimitedBy, "max_slot_wal_keep_size");
    }
  }
  const double seconds = room <= 0 ? 0 : room / growth;
  // time_left stays null while no WAL is written, and if it is longer than a century.
  if (room <= 0 || (growth > 0 && room < PG_INT64_MAX && seconds < 100.0 * 365 * 24 * 3600))
    row.SetInterval(kTimeLeft, static_cast<int64>(seconds * USECS_PER_SEC));
  row.Put(result);
}

static void PutInactiveSlots(ReturnSetInfo* result) {
  Shared* shared = SharedOrNull();
  Slot* slots = static_cast<Slot*>(palloc(max_replication_slots * sizeof(Slot)));
  const int count = ReadSlots(slots);
  const XLogRecPtr end = EndOfWal();
  const double growth = shared == nullptr ? -1 : WalRate(shared, end, GetCurrentTimestamp());
  for (int i = 0; i < count; i++)
    if (slots[i].active_pid == 0 && !XLogRecPtrIsInvalid(slots[i].restart_lsn))
      PutSlot(shared, slots[i], end, growth, result);
}

}  // namespace neon_redo

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_inactive_slots);

Datum neon_inactive_slots(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  core::PutInactiveSlots(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return Datum(0);
}
}
#pragma GCC visibility pop
