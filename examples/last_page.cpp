// Rebuilds one page from a directory of WAL and writes it to stdout.
//
//   g++ -std=c++20 last_page.cpp -o last_page $(pkg-config --cflags --libs neon_redo)
//   ./last_page WAL_DIRECTORY TABLESPACE DATABASE RELATION BLOCK [NEON_SO] >page
//
// It starts at the last record that wrote the page whole, so it needs no base image.
#include <neon_redo/record.h>
#include <neon_redo/wal_reader.h>
#include <neon_redo/worker.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

using namespace neon_redo;

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  auto number = [argv](int i) { return static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10)); };
  const BlockTag tag = {{number(2), number(3), number(4)}, kMainFork, number(5)};
  auto fail = [](const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 2;
  };

  auto reader = WalReader::Open({.directories = {argv[1]}, .from = {}, .to = {}, .timeline = {}});
  if (!reader) return fail(reader.error());
  std::deque<std::vector<uint8_t>> bytes;  // records live until the next one is read: keep copies
  std::vector<RedoRecord> records;
  for (RecordView view((*reader)->version());;) {
    const auto record = (*reader)->Next();
    if (!record) return fail(record.error());
    if (!*record) break;
    if (view.Parse((*record)->bytes)) continue;
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* block = view.block(id);
      if (block == nullptr || block->tag != tag) continue;
      if (block->initialises()) records.clear(), bytes.clear();
      bytes.emplace_back((*record)->bytes.begin(), (*record)->bytes.end());
      records.push_back({(*record)->end, bytes.back()});
    }
  }

  WorkerOptions options;
  if (argc > 6) options.module = argv[6];
  RedoWorker worker(options);
  uint8_t page[kBlockSize];
  const Status status = worker.Redo({tag, nullptr, records}, page);
  if (!status) return fail(status.error());
  return std::fwrite(page, 1, sizeof(page), stdout) == sizeof(page) ? 0 : 2;
}
