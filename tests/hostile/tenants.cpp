// tenants WAL_DIR MODULE COUNT: two tenants in one program, each with a worker of its own; each
// puts a mark of its own on its pages and in its records, and one sends damaged records. Neither
// mark may turn up in the other's answers, nor (seen as root only: nobody else may look) in the
// other's worker's memory. Prints one line of JSON; exits 1 when one does.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cpp_core/base/crc32c.h"
#include "tests/hostile/cases.h"

namespace neon_redo {
namespace {

using Page = std::vector<uint8_t>;

struct Tenant {
  std::string mark;
  RedoWorker worker;
};

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

// The mark goes where redo looks at nothing: into free space of the page, and behind the record's
// image as more main data would be, by overwriting the image of a check.
Case Marked(Case c, const std::string& mark) {
  if (!c.base.empty()) {
    const uint16_t lower = static_cast<uint16_t>(c.base[12] | c.base[13] << 8);
    const uint16_t upper = static_cast<uint16_t>(c.base[14] | c.base[15] << 8);
    if (upper <= kBlockSize && lower + mark.size() < upper) {
      std::memcpy(c.base.data() + upper - mark.size(), mark.data(), mark.size());
    }
  }
  return c;
}

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto cases = FindCases(argv[1], 4);
  if (!cases) return std::fprintf(stderr, "%s\n", cases.error().message.c_str()), 2;
  WorkerOptions options;
  options.module = argv[2];
  options.timeout = std::chrono::milliseconds(2000);
  Tenant honest{"<<this is the honest tenant's>>", RedoWorker(options)};
  Tenant hostile{"<<this is the hostile tenant's>>", RedoWorker(options)};
  std::mt19937 random(15);
  int crossed = 0;
  int own_seen = 0;
  int looks = 0;
  int answered = 0;
  int refused = 0;
  const int count = std::atoi(argv[3]);
  for (int i = 0; i < count; ++i) {
    const Case& which = (*cases)[random() % cases->size()];
    const Case good = Marked(which, honest.mark);
    const Case bad = Mutate(Marked(which, hostile.mark), &random);
    Page ours(kBlockSize);
    Page theirs(kBlockSize);
    const bool good_answer = honest.worker.Redo(CaseRequest(good).get(), ours.data()).has_value();
    const bool bad_answer = hostile.worker.Redo(CaseRequest(bad).get(), theirs.data()).has_value();
    answered += good_answer;
    refused += !bad_answer;
    if (Contains(ours, hostile.mark) || Contains(theirs, honest.mark)) ++crossed;
    if (i % 16 != 0 || !bad_answer || !good_answer) continue;
    const int own = FindInMemory(honest.worker.pid(), honest.mark);
    const int foreign = FindInMemory(honest.worker.pid(), hostile.mark);
    const int leaked = FindInMemory(hostile.worker.pid(), honest.mark);
    if (own > 0) ++own_seen;
    if (foreign > 0 || leaked > 0) ++crossed;
    if (own >= 0) ++looks;
    if ((own >= 0) != (geteuid() == 0)) return std::fprintf(stderr, "who may look?\n"), 1;
  }
  const nlohmann::json report = {{"rounds", count}, {"answered", answered}, {"refused", refused},
                                 {"looks", looks},  {"own_seen", own_seen}, {"crossed", crossed}};
  std::printf("%s\n", report.dump().c_str());
  return crossed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }
