// neon.so, the module that PostgreSQL loads. In an ordinary server it adds settings, SQL functions
// and walsender statistics (monitoring/statistics.h). With neon.wal_redo = on, _PG_init turns
// `postgres --single` into a redo worker (worker/worker.h) and does not return.
#include "src/monitoring/statistics.h"
#include "src/server.h"
#include "src/worker/worker.h"

extern "C" {
#include "catalog/catversion.h"
#include "catalog/pg_control.h"
}

// The server that this module was built for. A program that launches workers finds the text in the
// file (cpp_core/redo/worker/server_files.h).
__attribute__((used)) static const char kModuleText[] =
    "neon_redo module for PostgreSQL " PG_MAJORVERSION
    ", control version " CppAsString2(PG_CONTROL_VERSION) ", catalog version " CppAsString2(
        CATALOG_VERSION_NO) ", bindir " NEON_REDO_SERVER_BINDIR;

#pragma GCC visibility push(default)
extern "C" {
PG_MODULE_MAGIC;
void _PG_init(void);
}
#pragma GCC visibility pop

static bool neon_wal_redo = false;
static bool neon_redo_landlock = true;
static bool neon_redo_namespaces = false;
static int neon_redo_memory_limit = 2048;

enum SandboxMode { kSandboxOff, kSandboxOn, kSandboxLog };
static int neon_redo_sandbox = kSandboxOn;
static const config_enum_entry sandbox_modes[] = {
    {"on", kSandboxOn, false},   {"off", kSandboxOff, false},  {"log", kSandboxLog, false},
    {"true", kSandboxOn, true},  {"false", kSandboxOff, true}, {"yes", kSandboxOn, true},
    {"no", kSandboxOff, true},   {"1", kSandboxOn, true},      {"0", kSandboxOff, true},
    {nullptr, kSandboxOn, false}};

// Whether to define a setting. The server sorts all its settings again after each definition, which
// costs launch time. A worker therefore defines only the settings that its command line sets.
static bool IsWanted(const char* setting) {
  return !neon_wal_redo || GetConfigOption(setting, true, false) != nullptr;
}

static void DefineSettings() {
  DefineCustomBoolVariable("neon.wal_redo", "Turns postgres --single into a WAL redo worker.",
                           nullptr, &neon_wal_redo, false, PGC_POSTMASTER, 0, nullptr, nullptr,
                           nullptr);
  if (IsWanted("neon.redo_sandbox"))
    DefineCustomEnumVariable("neon.redo_sandbox", "Runs the WAL redo worker in its sandbox.",
                             "Set this to off or log only to debug the worker. Without the "
                             "sandbox, hostile WAL can take over the process.",
                             &neon_redo_sandbox, kSandboxOn, sandbox_modes, PGC_POSTMASTER, 0,
                             nullptr, nullptr, nullptr);
  if (IsWanted("neon.redo_landlock"))
    DefineCustomBoolVariable("neon.redo_landlock",
                             "Denies the WAL redo worker the file system by Landlock, if the "
                             "kernel supports it.",
                             nullptr, &neon_redo_landlock, true, PGC_POSTMASTER, 0, nullptr,
                             nullptr, nullptr);
  if (IsWanted("neon.redo_namespaces"))
    DefineCustomBoolVariable(
        "neon.redo_namespaces", "Runs the WAL redo worker in its own namespaces.", nullptr,
        &neon_redo_namespaces, false, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
  if (IsWanted("neon.redo_memory_limit"))
    DefineCustomIntVariable("neon.redo_memory_limit",
                            "Sets the memory that the WAL redo worker may allocate after startup.",
                            nullptr, &neon_redo_memory_limit, 2048, 16, MAX_KILOBYTES / 1024,
                            PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
}

void _PG_init(void) {
  // PGC_POSTMASTER settings can be defined only while the server starts. A session that loads the
  // module for its SQL functions needs none of them.
  if (!process_shared_preload_libraries_in_progress) return;
  DefineSettings();
  if (!neon_wal_redo) core::InitWalsenderStatistics();
  MarkGUCPrefixReserved("neon");
  if (!neon_wal_redo) return;
  if (IsPostmasterEnvironment || IsUnderPostmaster || IsBootstrapProcessingMode())
    ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                    errmsg("neon.wal_redo can only be turned on in single-user mode"),
                    errdetail("The setting turns the process into a WAL redo worker, but this "
                              "process is an ordinary server."),
                    errhint("Remove neon.wal_redo from the configuration, or start a worker with "
                            "\"neon-redo worker\".")));
  core::WorkerConfig config;
  config.sandboxed = neon_redo_sandbox != kSandboxOff;
  config.sandbox.memory_limit_mb = neon_redo_memory_limit;
  if (neon_redo_sandbox == kSandboxLog) config.sandbox.forbidden = core::OnForbiddenCall::kLog;
  config.sandbox.landlock = neon_redo_landlock;
  config.sandbox.namespaces = neon_redo_namespaces;
  core::RunWorker(config);
}
