// A redo manager with metrics: rebuilds every block of a relation's main fork from WAL alone, all
// of them in one batch, and prints the LSN of each page. The metrics follow in Prometheus' text
// format.
//
//   g++ -std=c++20 manager_metrics.cpp -o manager_metrics $(pkg-config --cflags --libs neon_redo)
//   ./manager_metrics WAL_DIRECTORY TABLESPACE DATABASE RELATION [NEON_SO]
//
// A program that runs longer serves its metrics by HTTP:
//   auto exposer = MetricsExposer::Open("127.0.0.1:9187", options.metrics);
#include <neon_redo/manager.h>
#include <neon_redo/metrics.h>
#include <neon_redo/page_key.h>
#include <neon_redo/wal_reader.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

using namespace neon_redo;

namespace {

// The records of one block since the last one that initialises it.
struct History {
  std::deque<std::vector<uint8_t>> bytes;  // what the records below point to
  std::vector<PageRecord> records;
};

// By block number. A record's bytes are valid until the next record is read, so they are copied.
Result<std::map<uint32_t, History>> ReadHistories(const std::string& directory,
                                                  const RelFileNode& relation) {
  WalReaderOptions options;
  options.directories = {directory};
  const auto reader = WalReader::Open(options);
  if (!reader) return tl::unexpected(reader.error());
  std::map<uint32_t, History> histories;
  for (RecordView view((*reader)->version());;) {
    const auto record = (*reader)->Next();
    if (!record) return tl::unexpected(record.error());
    if (!*record) return histories;
    if (const Status parsed = ParseRecord(**record, &view); !parsed)
      return tl::unexpected(parsed.error());
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* block = view.block(id);
      if (block == nullptr || block->tag.rel != relation || block->tag.fork != kMainFork) continue;
      History& history = histories[block->tag.block];
      if (block->initialises()) history = {};
      const Bytes bytes = (*record)->bytes;
      history.bytes.emplace_back(bytes.begin(), bytes.end());
      history.records.push_back(
          {(*record)->end, PostgresRecord{block->initialises(), history.bytes.back()}});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const auto number = [argv](int i) {
    return static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10));
  };
  const RelFileNode relation = {number(2), number(3), number(4)};
  const auto histories = ReadHistories(argv[1], relation);
  if (!histories) {
    std::fprintf(stderr, "error: %s\n", histories.error().message.c_str());
    return 2;
  }

  ManagerOptions options;
  if (argc > 5) options.worker.module = argv[5];
  options.metrics = std::make_shared<MetricsRegistry>();
  options.log = [](LogLevel, const std::string& line) {
    std::fprintf(stderr, "%s\n", line.c_str());
  };
  RedoManager manager(options);

  std::vector<PageRequest> requests;
  for (const auto& [block, history] : *histories) {
    PageRequest request;
    request.key = PageKey::OfBlock({relation, kMainFork, block});
    request.lsn = history.records.back().lsn;
    request.records = history.records;
    requests.push_back(request);
  }
  int status = 0;
  const std::vector<Result<PageImage>> pages = manager.RequestRedoBatch(requests);
  for (size_t i = 0; i < pages.size(); i++) {
    const std::string what = requests[i].key.Describe();
    if (!pages[i]) {
      std::fprintf(stderr, "error: %s\n", pages[i].error().message.c_str());
      status = 1;
      continue;
    }
    // pd_lsn is two 32-bit halves, the high one first (PageXLogRecPtr in storage/bufpage.h).
    const uint8_t* page = pages[i]->data();
    const Lsn lsn((static_cast<uint64_t>(LoadNative<uint32_t>(page)) << 32) |
                  LoadNative<uint32_t>(page + 4));
    std::printf("%s: %zu records, LSN %s\n", what.c_str(), requests[i].records.size(),
                lsn.ToString().c_str());
  }
  manager.Shutdown();
  std::printf("\n%s", options.metrics->ToText().c_str());
  return status;
}
