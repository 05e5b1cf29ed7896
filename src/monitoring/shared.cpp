// Defines the settings, sets up shared memory and hooks, and registers the sampler.
#include "src/monitoring/shared.h"

#include "src/monitoring/observer.h"
#include "src/monitoring/statistics.h"

namespace neon_redo {

int walsender_sample_interval = kMinIntervalMs;

static Shared* shared = nullptr;
static shmem_request_hook_type next_shmem_request_hook = nullptr;
static shmem_startup_hook_type next_shmem_startup_hook = nullptr;
static constexpr char kName[] = "neon walsender statistics";

static Size SlotsOffset() { return MAXALIGN(sizeof(Shared)); }

static Size WalsendersOffset() {
  return add_size(SlotsOffset(), MAXALIGN(mul_size(max_replication_slots, sizeof(SlotNote))));
}

static Size SharedSize() {
  return add_size(WalsendersOffset(), mul_size(max_wal_senders, sizeof(WalsenderShared)));
}

static void RequestSharedMemory() {
  if (next_shmem_request_hook) next_shmem_request_hook();
  RequestAddinShmemSpace(SharedSize());
  RequestNamedLWLockTranche("neon_walsender_statistics", 1);
}

static void StartSharedMemory() {
  if (next_shmem_startup_hook) next_shmem_startup_hook();
  bool found = false;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  char* memory = static_cast<char*>(ShmemInitStruct(kName, SharedSize(), &found));
  shared = reinterpret_cast<Shared*>(memory);
  if (!found) {
    memset(memory, 0, SharedSize());
    shared->lock = &GetNamedLWLockTranche("neon_walsender_statistics")->lock;
    ConditionVariableInit(&shared->replied);
    shared->slots = reinterpret_cast<SlotNote*>(memory + SlotsOffset());
    shared->walsenders = reinterpret_cast<WalsenderShared*>(memory + WalsendersOffset());
    for (int i = 0; i < max_wal_senders; i++) SpinLockInit(&shared->walsenders[i].mutex);
  }
  LWLockRelease(AddinShmemInitLock);
}

static bool CheckInterval(int* value, void**, GucSource) {
  if (*value == 0 || *value >= kMinIntervalMs) return true;
  GUC_check_errdetail("The interval must be at least %d ms; 0 turns the samples off.",
                      kMinIntervalMs);
  return false;
}

static void DefineSettings() {
  DefineCustomIntVariable("neon.walsender_sample_interval",
                          "Sets the time between two samples of each walsender.",
                          "0 turns the samples off.", &walsender_sample_interval, kMinIntervalMs, 0,
                          60 * 1000, PGC_SIGHUP, GUC_UNIT_MS, CheckInterval, nullptr, nullptr);
}

static void RegisterSampler() {
  BackgroundWorker worker = {};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = 5;
  strlcpy(worker.bgw_name, "neon walsender sampler", BGW_MAXLEN);
  strlcpy(worker.bgw_type, "neon walsender sampler", BGW_MAXLEN);
  strlcpy(worker.bgw_library_name, "neon", BGW_MAXLEN);
  strlcpy(worker.bgw_function_name, "NeonWalsenderSampler", BGW_MAXLEN);
  RegisterBackgroundWorker(&worker);
}

void InitWalsenderStatistics() {
  DefineSettings();
  next_shmem_request_hook = shmem_request_hook;
  shmem_request_hook = RequestSharedMemory;
  next_shmem_startup_hook = shmem_startup_hook;
  shmem_startup_hook = StartSharedMemory;
  ObserveWalsenders();
  RegisterSampler();
}

Shared* SharedOrNull() { return shared; }

Shared* SharedFor(const char* function) {
  if (shared == nullptr)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("neon must be loaded via shared_preload_libraries"),
                    errdetail("%s uses shared memory that is reserved at server start.", function),
                    errhint("Add neon to shared_preload_libraries and restart the server.")));
  return shared;
}

}  // namespace neon_redo
