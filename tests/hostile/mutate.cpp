// mutate WAL_DIR MODULE COUNT [SEED]: real workers fed with COUNT damaged requests made of real
// ones (cases.h), a good request behind each. Prints what happened as one line of JSON; exits 1
// when something happened that must not:
//  - a request took longer than its deadline and the grace of ending a worker;
//  - a page that was not computed from its own request: each request has an LSN of its own, which
//    redo stamps on the page. A page without it must be what a fresh worker answers to the same;
//  - the good request behind it got another page than it should, or an error twice. Once is what
//    "the worker may die" means when the damage shows late: redo of the damaged record was answered
//    and left a worker that breaks at the next request. The one after that has a new worker.
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "cpp_core/pg/page.h"
#include "tests/hostile/cases.h"

namespace neon_redo {
namespace {

using Clock = std::chrono::steady_clock;
using Page = std::vector<uint8_t>;
constexpr std::chrono::milliseconds kDeadline{2000};
constexpr std::chrono::milliseconds kGrace{8000};  // for a machine that is busy with other things

WorkerOptions Options(const char* module) {
  WorkerOptions options;
  options.module = module;
  options.timeout = kDeadline;
  options.memory_limit_mb = 256;
  return options;
}

class Attack {
 public:
  Attack(const char* module, unsigned seed)
      : options_(Options(module)), worker_(options_), random_(seed) {}

  // Keeps the cases that are answered, and their pages.
  Status Prepare(std::vector<Case> cases) {
    for (Case& c : cases) {
      Page page(kBlockSize);
      if (!worker_.Redo(CaseRequest(c).get(), page.data())) continue;
      goods_.push_back(std::move(c));
      pages_.push_back(std::move(page));
    }
    if (goods_.size() < 50) return MakeError(ErrorCode::kNotFound, "too few requests in the WAL");
    return {};
  }

  void Once(uint64_t number);
  nlohmann::json Report() const;
  bool failed() const { return late_ + foreign_ + next_wrong_ != 0; }

 private:
  void CountError(const Error& error);
  bool IsOwn(const Case& bad, const Page& page);

  const WorkerOptions options_;
  RedoWorker worker_;
  std::mt19937 random_;
  std::vector<Case> goods_;
  std::vector<Page> pages_;

  uint64_t requests_ = 0, answered_ = 0, unstamped_ = 0;
  uint64_t late_ = 0, foreign_ = 0, taken_along_ = 0, next_wrong_ = 0;
  std::map<std::string, uint64_t> ends_;
  std::chrono::milliseconds longest_{0};
};

void Attack::CountError(const Error& error) {
  const std::string prefix = "(killed by the sandbox: ";
  if (const size_t at = error.message.find(prefix); at != std::string::npos) {
    const size_t end = error.message.find(')', at);
    const std::string call = error.message.substr(at + 1, end - at - 1);
    if (ends_[call]++ == 0) std::fprintf(stderr, "%s\n", error.message.c_str());
    return;
  }
  for (const char* what : {"SIGSYS", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL",
                           "exit status 1", "within 2000 ms", "more bytes"}) {
    if (error.message.find(what) == std::string::npos) continue;
    ++ends_[what];
    return;
  }
  ++ends_[ErrorCodeName(error.code)];
}

// Not stamped with the request's LSN: what a worker with no past makes of the same must be equal.
bool Attack::IsOwn(const Case& bad, const Page& page) {
  if (PageView(page.data()).lsn() == bad.end) return true;
  ++unstamped_;
  if (!bad.base.empty() && page == bad.base) return true;
  RedoWorker fresh(options_);
  Page again(kBlockSize);
  return fresh.Redo(CaseRequest(bad).get(), again.data()) && again == page;
}

void Attack::Once(uint64_t number) {
  const size_t which = random_() % goods_.size();
  Case bad = Mutate(goods_[which], &random_);
  bad.end = Lsn(0x7000'0000'0000 + number * 8);
  Page page(kBlockSize);
  const Clock::time_point start = Clock::now();
  const Status status = worker_.Redo(CaseRequest(bad).get(), page.data());
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  longest_ = std::max(longest_, taken);
  ++requests_;
  if (taken > kDeadline + kGrace) ++late_;
  if (status) {
    ++answered_;
    if (!IsOwn(bad, page)) ++foreign_;
  } else {
    CountError(status.error());
    if (page != Page(kBlockSize)) ++foreign_;
  }
  Status next = worker_.Redo(CaseRequest(goods_[which]).get(), page.data());
  if (!next) {
    ++taken_along_;
    CountError(next.error());
    next = worker_.Redo(CaseRequest(goods_[which]).get(), page.data());
  }
  if (next && page == pages_[which]) return;
  if (++next_wrong_ <= 5) {
    std::fprintf(stderr, "request %llu, case %zu: the next: %s\n",
                 static_cast<unsigned long long>(number), which,
                 next ? "another page" : next.error().message.c_str());
  }
}

nlohmann::json Attack::Report() const {
  return {{"requests", requests_},
          {"answered", answered_},
          {"answered_without_lsn", unstamped_},
          {"ends", ends_},
          {"launches", worker_.statistics().launches},
          {"longest_ms", longest_.count()},
          {"late", late_},
          {"foreign_pages", foreign_},
          {"taken_along", taken_along_},
          {"next_wrong", next_wrong_},
          {"kinds", goods_.size()}};
}

int Main(int argc, char** argv) {
  if (argc < 4) return 2;
  auto cases = FindCases(argv[1], 4);
  if (!cases) return std::fprintf(stderr, "%s\n", cases.error().message.c_str()), 2;
  Attack attack(argv[2], argc > 4 ? static_cast<unsigned>(std::atoi(argv[4])) : 15);
  if (Status status = attack.Prepare(std::move(*cases)); !status) {
    return std::fprintf(stderr, "%s\n", status.error().message.c_str()), 2;
  }
  const uint64_t count = std::strtoull(argv[3], nullptr, 10);
  for (uint64_t i = 0; i < count; ++i) {
    attack.Once(i);
    if (i % 10000 == 9999) std::fprintf(stderr, "%s\n", attack.Report().dump().c_str());
  }
  std::printf("%s\n", attack.Report().dump().c_str());
  return attack.failed() ? 1 : 0;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }
