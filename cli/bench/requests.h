// Requests for the benchmark, taken from real WAL.
#ifndef NEON_REDO_CLI_BENCH_REQUESTS_H_
#define NEON_REDO_CLI_BENCH_REQUESTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// A request without base image, and the bytes of its records.
struct BenchRequest {
  BlockTag tag;
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<Lsn> ends;
  size_t size = 0;  // of the records together
};

struct BenchRequests {
  std::vector<BenchRequest> short_ones;   // a full-page image and one record more, about 1.1 kB
  std::vector<BenchRequest> medium_ones;  // heap inserts onto a page that the first of them makes
  const pg::Version* version = nullptr;   // of the WAL; not null once found
};

// At most so many of each kind are taken; the benchmark goes round them.
inline constexpr size_t kBenchRequestsOfAKind = 64;
// A medium request takes in at most so many records.
inline constexpr size_t kMediumRecords = 230;

// Reads a WAL directory until there are enough of each kind. kNotFound when a kind is missing: the
// message says what WAL is needed. Else as WalReader.
Result<BenchRequests> FindBenchRequests(const std::string& wal_directory);

// Views of them as requests for RedoWorker; they live as long as the requests.
class RequestViews {
 public:
  explicit RequestViews(const std::vector<BenchRequest>& requests);
  const std::vector<RedoRequest>& requests() const { return requests_; }

 private:
  std::vector<std::vector<RedoRecord>> records_;
  std::vector<RedoRequest> requests_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_CLI_BENCH_REQUESTS_H_
