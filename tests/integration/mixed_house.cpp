// A page service with tenants of several major versions in one process, for test_servers.py:
// mixed_house ROUNDS (WAL_DIR MODULE)... Each tenant has WAL of its own version, a manager and
// workers. All ask at the same time. Every answer of a worker must be the page that the native
// engine makes of the same records. Prints one JSON object for each tenant.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/bench/requests.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/manager.h"

namespace neon_redo {
namespace {

ManagerOptions Options(Engine engine, const pg::Version* version, const std::string& module) {
  ManagerOptions options;
  options.engine = engine;
  options.worker.version = version;
  options.worker.module = module;
  options.max_workers = 2;
  return options;
}

class Tenant {
 public:
  Tenant(BenchRequests found, const std::string& module)
      : found_(std::move(found)),
        manager_(Options(Engine::kWorker, found_.version, module)),
        native_(Options(Engine::kNative, found_.version, module)) {
    for (const auto* kind : {&found_.short_ones, &found_.medium_ones})
      for (const BenchRequest& request : *kind) Add(request);
    for (size_t i = 0; i < records_.size(); ++i) requests_[i].records = records_[i];
  }

  void Run(int rounds) {
    const auto expected = native_.RequestRedoBatch(requests_);
    for (int round = 0; round < rounds; ++round) {
      const auto answers = manager_.RequestRedoBatch(requests_);
      for (size_t i = 0; i < answers.size(); ++i) Judge(answers[i], expected[i]);
    }
  }

  nlohmann::json Report() const {
    return {{"major", found_.version->major},
            {"right", right_},
            {"wrong", wrong_},
            {"failed", failed_},
            {"failure", failure_},
            {"launches", manager_.status().launches}};
  }

 private:
  void Add(const BenchRequest& request) {
    std::vector<PageRecord>& records = records_.emplace_back();
    for (size_t i = 0; i < request.bytes.size(); ++i)
      records.push_back({request.ends[i], PostgresRecord{i == 0, request.bytes[i]}});
    PageRequest& to = requests_.emplace_back();
    to.key = PageKey::OfBlock(request.tag);
    to.lsn = request.ends.back();
  }

  void Judge(const Result<PageImage>& answer, const Result<PageImage>& expected) {
    if (!answer || !expected) {
      ++failed_;
      failure_ = (answer ? expected : answer).error().message;
    } else {
      ++(*answer == *expected ? right_ : wrong_);
    }
  }

  const BenchRequests found_;
  RedoManager manager_;
  RedoManager native_;
  std::vector<std::vector<PageRecord>> records_;
  std::vector<PageRequest> requests_;
  int right_ = 0;
  int wrong_ = 0;
  int failed_ = 0;
  std::string failure_;
};

int Main(int argc, char** argv) {
  std::vector<std::unique_ptr<Tenant>> tenants;
  for (int i = 2; i + 1 < argc; i += 2) {
    Result<BenchRequests> found = FindBenchRequests(argv[i]);
    if (!found) {
      std::fprintf(stderr, "%s\n", found.error().message.c_str());
      return 2;
    }
    tenants.push_back(std::make_unique<Tenant>(std::move(*found), argv[i + 1]));
  }
  std::vector<std::thread> threads;
  for (const auto& tenant : tenants)
    threads.emplace_back([&tenant, argv] { tenant->Run(std::atoi(argv[1])); });
  for (std::thread& thread : threads) thread.join();
  nlohmann::json report = nlohmann::json::array();
  for (const auto& tenant : tenants) report.push_back(tenant->Report());
  std::printf("%s\n", report.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  try {
    return neon_redo::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
