// Real workers under torture, for test_worker.py: worker_torture flips|kills WAL_DIR MODULE COUNT
//
// flips: COUNT requests, each with one byte of one record flipped: the worker must refuse every
// one, and answer the untouched request behind it rightly. kills: batches of requests while
// somebody kills the worker COUNT times at random moments. Prints what happened as one JSON object.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cli/bench/requests.h"
#include "neon_redo/worker.h"

namespace neon_redo {
namespace {

using Page = std::vector<uint8_t>;

class Torture {
 public:
  Torture(BenchRequests found, const char* module) : found_(std::move(found)) {
    options_.module = module;
    found_.short_ones.resize(8);
    found_.medium_ones.resize(8);
    for (auto* kind : {&found_.short_ones, &found_.medium_ones}) {
      for (const BenchRequest& request : *kind) all_.push_back(request);
    }
    views_.emplace(all_);
  }

  bool MakeReferences() {
    RedoWorker worker(options_);
    for (const RedoRequest& request : views_->requests()) {
      Page page(kBlockSize);
      if (Status status = worker.Redo(request, page.data()); !status) {
        std::fprintf(stderr, "%s\n", status.error().message.c_str());
        return false;
      }
      pages_.push_back(page);
    }
    return true;
  }

  nlohmann::json Flips(int count);
  nlohmann::json Kills(int count);

 private:
  WorkerOptions options_;
  BenchRequests found_;
  std::vector<BenchRequest> all_;
  std::optional<RequestViews> views_;
  std::vector<Page> pages_;
};

nlohmann::json Torture::Flips(int count) {
  std::mt19937 random(15);
  RedoWorker worker(options_);
  int refused = 0;
  int answered_right = 0;
  int answered_wrong = 0;
  int next_wrong = 0;
  for (int i = 0; i < count; ++i) {
    const size_t which = random() % all_.size();
    const RedoRequest& good = views_->requests()[which];
    std::vector<RedoRecord> records(good.records.begin(), good.records.end());
    const size_t victim = random() % records.size();
    std::vector<uint8_t> bytes(records[victim].record.begin(), records[victim].record.end());
    bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1 + random() % 255);
    records[victim].record = bytes;

    const RedoRequest flipped{good.tag, nullptr, records};
    Page page(kBlockSize);
    if (!worker.Redo(flipped, page.data())) {
      ++refused;
    } else if (page == pages_[which]) {
      ++answered_right;
    } else {
      ++answered_wrong;
    }
    if (!worker.Redo(good, page.data()) || page != pages_[which]) ++next_wrong;
  }
  return {{"flips", count},
          {"refused", refused},
          {"answered_right", answered_right},
          {"answered_wrong", answered_wrong},
          {"next_wrong", next_wrong}};
}

nlohmann::json Torture::Kills(int count) {
  RedoWorker worker(options_);
  (void)worker.Start();
  std::atomic<int> kills = 0;
  const pid_t self = getpid();
  std::thread killer([&kills, count, self] {
    std::mt19937 random(15);
    const std::string path = "/proc/self/task/" + std::to_string(self) + "/children";
    while (kills < count) {
      usleep(random() % 20000);
      int child = 0;
      std::FILE* file = std::fopen(path.c_str(), "re");
      if (file == nullptr) continue;
      if (std::fscanf(file, "%d", &child) == 1 && kill(child, SIGKILL) == 0) ++kills;
      std::fclose(file);
    }
  });
  uint64_t requests = 0;
  int errors = 0;
  int wrong = 0;
  Page pages(all_.size() * kBlockSize);
  std::vector<Status> statuses(all_.size());
  // A busy machine launches workers so slowly that most of the kills hit a launch: go on after
  // them.
  while (kills < count || requests < 5 * static_cast<uint64_t>(count)) {
    worker.RedoBatch(views_->requests(), pages.data(), statuses);
    requests += all_.size();
    for (size_t i = 0; i < all_.size(); ++i) {
      if (!statuses[i]) {
        ++errors;
      } else if (std::memcmp(&pages[i * kBlockSize], pages_[i].data(), kBlockSize) != 0) {
        ++wrong;
      }
    }
  }
  killer.join();
  return {{"kills", kills.load()}, {"requests", requests}, {"errors", errors}, {"wrong", wrong}};
}

int Main(int argc, char** argv) {
  if (argc != 5) return 2;
  Result<BenchRequests> found = FindBenchRequests(argv[2]);
  if (!found) {
    std::fprintf(stderr, "%s\n", found.error().message.c_str());
    return 2;
  }
  Torture torture(std::move(*found), argv[3]);
  if (!torture.MakeReferences()) return 1;
  const int count = std::atoi(argv[4]);
  const bool flips = std::strcmp(argv[1], "flips") == 0;
  std::printf("%s\n", (flips ? torture.Flips(count) : torture.Kills(count)).dump().c_str());
  return 0;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }
