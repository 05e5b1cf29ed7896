// A redo manager with real workers among chaos, for test_manager.py:
// manager_torture WAL_DIR MODULE COUNT [CAPTURE_DIR]. Eight threads make COUNT requests while
// workers are killed, stopped and made to talk nonsense. Prints what happened as one JSON object.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/bench/requests.h"
#include "neon_redo/manager.h"
#include "tests/unit/footprint.h"
#include "tests/unit/manager_chaos.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Case {
  std::vector<PageRecord> records;
  PageRequest request;
  PageImage page;
};

// The cases point into the requests.
std::vector<Case> MakeCases(const std::vector<BenchRequest>& all, const WorkerOptions& options) {
  const RequestViews views(all);
  RedoWorker worker(options);
  std::vector<Case> cases(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    Case& c = cases[i];
    c.page.resize(kBlockSize);
    if (Status status = worker.Redo(views.requests()[i], c.page.data()); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      std::exit(2);
    }
    for (const RedoRecord& record : views.requests()[i].records) {
      PageRecord& to = c.records.emplace_back();
      to.lsn = record.end;
      to.record = PostgresRecord{c.records.size() == 1, record.record};
    }
    c.request.key = PageKey::OfBlock(all[i].tag);
    c.request.lsn = c.records.back().lsn;
    c.request.records = c.records;
    c.request.kind = static_cast<AttemptKind>(i % 3);
    c.request.deadline = milliseconds(10'000);
  }
  return cases;
}

nlohmann::json Run(int argc, char** argv) {
  ManagerOptions options;
  options.worker.module = argv[2];
  Result<BenchRequests> found = FindBenchRequests(argv[1]);
  if (!found) {
    std::fprintf(stderr, "%s\n", found.error().message.c_str());
    std::exit(2);
  }
  std::vector<BenchRequest> all = found->short_ones;
  all.insert(all.end(), found->medium_ones.begin(), found->medium_ones.end());
  const std::vector<Case> cases = MakeCases(all, options.worker);
  const testing::Footprint before;
  const uint32_t count = static_cast<uint32_t>(std::atoi(argv[3]));
  options.engine = Engine::kWorker;
  options.worker.timeout = milliseconds(1000);
  options.max_workers = 3;
  if (argc > 4) options.capture_dir = argv[4];
  RedoManager manager(options);
  // A worker that has none cannot leave any behind, however it ends.
  int shared_mappings_of_worker = -1;
  if (manager.Ping()) {
    const pid_t worker = manager.status().workers.at(0).pid;
    shared_mappings_of_worker =
        testing::CountSharedMappings("/proc/" + std::to_string(worker) + "/maps");
  }
  std::atomic<uint32_t> next = 0;
  std::atomic<uint32_t> right = 0, wrong = 0, errors = 0, untyped = 0, late = 0;
  testing::Chaos chaos(&manager, 3000, &next, 5);
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&] {
      for (uint32_t i; (i = next++) < count;) {
        const Case& c = cases[i * 7 % cases.size()];
        const Clock::time_point start = Clock::now();
        const Result<PageImage> page = manager.RequestRedo(c.request);
        // What a busy machine adds before a thread that is due runs.
        if (Clock::now() - start > milliseconds(15'000)) ++late;
        if (page) {
          ++(*page == c.page ? right : wrong);
        } else {
          ++errors;
          const ErrorCode code = page.error().code;
          if (code != ErrorCode::kWorker && code != ErrorCode::kTimeout) ++untyped;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  chaos.Stop();
  const ManagerStatus status = manager.status();
  manager.Shutdown();
  const testing::Footprint after = testing::FootprintLike(before);
  return {{"right", right.load()},
          {"wrong", wrong.load()},
          {"errors", errors.load()},
          {"other_errors", untyped.load()},
          {"late", late.load()},
          {"launches", status.launches},
          {"worker_failures", status.worker_failures},
          {"innocents_resent", status.innocents_resent},
          {"kills", chaos.counts()[testing::Chaos::kKill].load()},
          {"stops", chaos.counts()[testing::Chaos::kStop].load()},
          {"descriptors_left", after.descriptors - before.descriptors},
          {"threads_left", after.threads - before.threads},
          {"shared_mappings_left", after.shared_mappings - before.shared_mappings},
          {"shared_mappings_of_worker", shared_mappings_of_worker},
          {"children_left", testing::HaveChildren()}};
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::printf("%s\n", neon_redo::Run(argc, argv).dump().c_str());
  return 0;
}
