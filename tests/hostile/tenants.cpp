// tenants WAL_DIR MODULE COUNT: two tenants in one program, each with a redo manager and two
// workers of its own, at work at the same time; each puts a mark of its own on its pages and in its
// records, and one sends damaged records all the while. Neither mark may turn up in the other's
// answers, nor (seen as root only: nobody else may look) in the memory of the other's workers.
// Prints one line of JSON; exits 1 when one does.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cpp_core/pg/page.h"
#include "neon_redo/manager.h"
#include "neon_redo/record.h"
#include "tests/hostile/cases.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

constexpr size_t kAtOnce = 8;  // requests of a batch

ManagerOptions Options(const char* module) {
  ManagerOptions options;
  options.engine = Engine::kWorker;
  options.worker.module = module;
  options.worker.memory_limit_mb = 256;
  options.worker.timeout = std::chrono::milliseconds(2000);
  options.deadline = std::chrono::milliseconds(10000);
  options.max_workers = 2;
  return options;
}

bool Contains(const std::vector<uint8_t>& bytes, const std::string& mark) {
  return std::search(bytes.begin(), bytes.end(), mark.begin(), mark.end()) != bytes.end();
}

// Finds a mark in all memory that a process can write or read. -1: it cannot be looked at.
int FindInMemory(pid_t pid, const std::string& mark) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  const int memory = open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (memory < 0) return -1;
  int found = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2 || end - begin > 1ul << 30)
      continue;
    std::vector<uint8_t> bytes(end - begin);
    const ssize_t n = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (n <= 0) continue;
    bytes.resize(static_cast<size_t>(n));
    if (Contains(bytes, mark)) ++found;
  }
  close(memory);
  return found;
}

// The mark goes where redo looks at nothing: to the end of the page's free space, and over the end
// of an image that is in the record only to be checked.
Case Marked(Case c, const std::string& mark) {
  if (!c.base.empty()) {
    const PageView page(c.base.data());
    if (page.upper() <= kBlockSize && page.lower() + mark.size() < page.upper())
      std::memcpy(c.base.data() + page.upper() - mark.size(), mark.data(), mark.size());
  }
  RecordView view(kPg15);
  if (view.Parse(c.record)) return c;
  for (int id = 0; id <= view.max_block_id(); ++id) {
    const BlockRef* block = view.block(id);
    if (!block || !block->has_image || block->apply_image || block->image.size() < mark.size())
      continue;
    const size_t end =
        static_cast<size_t>(block->image.data() - c.record.data()) + block->image.size();
    std::memcpy(c.record.data() + end - mark.size(), mark.data(), mark.size());
  }
  SealRecord(&c.record);
  return c;
}

class Tenant {
 public:
  Tenant(std::string mark, const char* module)
      : mark_(std::move(mark)), manager_(Options(module)) {}

  // One batch of requests made of these cases. Counts answers that bear the other's mark.
  void Batch(const std::vector<Case>& cases, const Tenant& other) {
    std::vector<PageRecord> records(cases.size());
    std::vector<PageRequest> requests(cases.size());
    for (size_t i = 0; i < cases.size(); ++i) {
      const Case& c = cases[i];
      records[i] = {c.end, PostgresRecord{c.base.empty(), c.record}};
      requests[i] = {PageKey::OfBlock(c.tag), c.end, c.base, {&records[i], 1}, kind_, {}};
    }
    for (const Result<PageImage>& page : manager_.RequestRedoBatch(requests)) {
      ++(page ? answered : refused);
      if (page && Contains(*page, other.mark_)) ++crossed;
    }
  }

  // In how much of its workers' memory the mark is. -1: nobody may look.
  int Find(const std::string& mark) const {
    int found = -1;
    for (const WorkerStatus& worker : manager_.status().workers) {
      const int here = worker.starting ? -1 : FindInMemory(worker.pid, mark);
      if (here >= 0) found = std::max(found, 0) + here;
    }
    return found;
  }

  const std::string& mark() const { return mark_; }

  std::atomic<int> answered{0}, refused{0}, crossed{0};

 private:
  const std::string mark_;
  const AttemptKind kind_ = AttemptKind::kGarbageCollection;  // no second attempt: more deaths
  RedoManager manager_;
};

class Neighbours {
 public:
  Neighbours(const std::vector<Case>& cases, const char* module)
      : cases_(cases),
        honest_("<<this is the honest tenant's>>", module),
        hostile_("<<this is the hostile tenant's>>", module) {}

  // The hostile one works until the honest one has had so many batches.
  void Run(int rounds) {
    std::atomic<bool> done = false;
    std::thread attack([&] {
      for (std::mt19937 random(15); !done;) hostile_.Batch(Draw(hostile_, true, &random), honest_);
    });
    std::mt19937 random(16);
    for (int i = 0; i < rounds; ++i) {
      honest_.Batch(Draw(honest_, false, &random), hostile_);
      if (i % 4 == 0) Look();
    }
    done = true;
    attack.join();
  }

  nlohmann::json Report() const {
    return {{"answered", honest_.answered.load()},
            {"hostile_answered", hostile_.answered.load()},
            {"hostile_refused", hostile_.refused.load()},
            {"looks", looks_},
            {"own_seen", own_seen_},
            {"crossed", crossed()}};
  }
  int crossed() const { return crossed_ + honest_.crossed + hostile_.crossed; }
  int looks() const { return looks_; }

 private:
  std::vector<Case> Draw(const Tenant& tenant, bool damaged, std::mt19937* random) const {
    std::vector<Case> out;
    for (size_t i = 0; i < kAtOnce; ++i) {
      Case c = Marked(cases_[(*random)() % cases_.size()], tenant.mark());
      out.push_back(damaged ? Mutate(c, random) : std::move(c));
    }
    return out;
  }

  void Look() {
    const int own = honest_.Find(honest_.mark());
    if (own >= 0) ++looks_;
    if (own > 0 || hostile_.Find(hostile_.mark()) > 0) ++own_seen_;
    if (honest_.Find(hostile_.mark()) > 0 || hostile_.Find(honest_.mark()) > 0) ++crossed_;
  }

  const std::vector<Case>& cases_;
  Tenant honest_;
  Tenant hostile_;
  int looks_ = 0, own_seen_ = 0, crossed_ = 0;
};

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto cases = FindCases(argv[1], 4);
  if (!cases) return std::fprintf(stderr, "%s\n", cases.error().message.c_str()), 2;
  Neighbours neighbours(*cases, argv[2]);
  neighbours.Run(std::atoi(argv[3]));
  if ((neighbours.looks() > 0) != (geteuid() == 0))
    return std::fprintf(stderr, "who may look?\n"), 1;
  std::printf("%s\n", neighbours.Report().dump().c_str());
  return neighbours.crossed() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }
