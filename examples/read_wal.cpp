// Reads WAL: prints the line of pg_waldump for each record, and the number of records at the end.
//
//   g++ -std=c++20 read_wal.cpp -o read_wal $(pkg-config --cflags --libs neon_redo_wal)
//   ./read_wal WAL_DIRECTORY [FROM_LSN]
//
// It needs the library neon_redo_wal only, which links neither libpq nor OpenSSL nor RocksDB.
#include <neon_redo/describe.h>
#include <neon_redo/record.h>
#include <neon_redo/wal_reader.h>

#include <cstdio>
#include <string>

using namespace neon_redo;

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto fail = [](const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.message.c_str());
    return 2;
  };

  WalReaderOptions options;
  options.directories = {argv[1]};
  if (argc > 2) {
    const Result<Lsn> from = Lsn::Parse(argv[2]);
    if (!from) return fail(from.error());
    options.from = *from;
  }
  const auto reader = WalReader::Open(options);
  if (!reader) return fail(reader.error());

  uint64_t records = 0;
  RecordView view((*reader)->version());  // about 3 kB: one is reused for all records
  std::string line;                       // the same
  for (;; records++) {
    const auto record = (*reader)->Next();
    if (!record) return fail(record.error());
    if (!*record) break;
    if (const Status parsed = ParseRecord(**record, &view); !parsed) return fail(parsed.error());
    line.clear();
    DescribeRecord(view, (*record)->start, &line);
    std::printf("%s\n", line.c_str());
  }
  std::fprintf(stderr, "%llu records; WAL ends at %s: %s\n",
               static_cast<unsigned long long>(records), (*reader)->end_of_wal().ToString().c_str(),
               (*reader)->end_reason().c_str());
  return 0;
}
