// One pass over the WAL. A block becomes a candidate by a record after which it depends on nothing
// before: a heap insert that initialises it (medium), or a record with a full-page image (short).
// The records that follow on the same block join it until one does not fit the kind or the request
// is complete.
#include "cli/bench/requests.h"

#include <fmt/format.h>

#include <map>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

constexpr size_t kMediumMinimum = 200;
constexpr size_t kShortSmallest = 900;
constexpr size_t kShortLargest = 1300;

class Finder {
 public:
  explicit Finder(const pg::Version& version) : view_(version) {}

  void Add(const WalRecord& record) {
    if (view_.Parse(record.bytes)) return;  // the reader has checked it; nothing here to report
    for (int id = 0; id <= view_.max_block_id(); ++id) {
      if (const BlockRef* block = view_.block(id)) AddToBlock(record, *block);
    }
  }

  bool HasEnough() const {
    return found_.short_ones.size() == kBenchRequestsOfAKind &&
           found_.medium_ones.size() == kBenchRequestsOfAKind;
  }

  BenchRequests Take() {
    while (!medium_.empty()) CloseMedium(medium_.begin());
    return std::move(found_);
  }

 private:
  using Candidates = std::map<BlockTag, BenchRequest>;

  static void Append(const WalRecord& record, BenchRequest* request) {
    request->bytes.emplace_back(record.bytes.begin(), record.bytes.end());
    request->ends.push_back(record.end);
    request->size += record.bytes.size();
  }

  static void Keep(BenchRequest request, std::vector<BenchRequest>* kind) {
    if (kind->size() < kBenchRequestsOfAKind) kind->push_back(std::move(request));
  }

  void CloseMedium(Candidates::iterator candidate) {
    if (candidate->second.bytes.size() >= kMediumMinimum) {
      Keep(std::move(candidate->second), &found_.medium_ones);
    }
    medium_.erase(candidate);
  }

  void AddToBlock(const WalRecord& record, const BlockRef& block) {
    const bool insert =
        view_.rmid() == kRmHeap && (view_.info() & layout::kOperationMask) == layout::heap::kInsert;
    auto medium = medium_.find(block.tag);
    if (medium != medium_.end() && (!insert || block.initialises())) {
      CloseMedium(medium);
      medium = medium_.end();
    }
    if (insert && block.will_init && !block.has_image) {
      medium = medium_.emplace(block.tag, BenchRequest{block.tag, {}, {}, 0}).first;
    }
    if (medium != medium_.end()) {
      Append(record, &medium->second);
      if (medium->second.bytes.size() == kMediumRecords) CloseMedium(medium);
      return;
    }
    AddToShort(record, block);
  }

  void AddToShort(const WalRecord& record, const BlockRef& block) {
    const auto candidate = short_.find(block.tag);
    if (candidate != short_.end()) {
      Append(record, &candidate->second);
      const size_t size = candidate->second.size;
      if (!block.initialises() && size >= kShortSmallest && size <= kShortLargest) {
        Keep(std::move(candidate->second), &found_.short_ones);
      }
      short_.erase(candidate);
    }
    if (block.apply_image && record.bytes.size() < kShortLargest) {
      Append(record, &short_.emplace(block.tag, BenchRequest{block.tag, {}, {}, 0}).first->second);
    }
  }

  RecordView view_;  // of the WAL's version
  Candidates medium_;
  Candidates short_;
  BenchRequests found_;
};

}  // namespace

Result<BenchRequests> FindBenchRequests(const std::string& wal_directory) {
  ASSIGN_OR_RETURN(std::unique_ptr<WalReader> reader,
                   WalReader::Open({{wal_directory}, std::nullopt, std::nullopt, std::nullopt}));
  Finder finder(reader->version());
  while (!finder.HasEnough()) {
    ASSIGN_OR_RETURN(std::optional<WalRecord> record, reader->Next());
    if (!record) break;
    finder.Add(*record);
  }
  BenchRequests found = finder.Take();
  found.version = &reader->version();
  if (found.short_ones.empty() || found.medium_ones.empty()) {
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the WAL in \"{}\" has no {} for the benchmark: take WAL of a server that "
                    "tests/bench/make_wal.py has run",
                    wal_directory,
                    found.short_ones.empty()
                        ? "full-page image of about 1 kB followed by one record more on its page"
                        : "page filled by 200 or more single-row heap inserts"));
  }
  return found;
}

RequestViews::RequestViews(const std::vector<BenchRequest>& requests) {
  records_.reserve(requests.size());
  for (const BenchRequest& request : requests) {
    std::vector<RedoRecord>& records = records_.emplace_back();
    for (size_t i = 0; i < request.bytes.size(); ++i) {
      records.push_back({request.ends[i], request.bytes[i]});
    }
    requests_.push_back({request.tag, nullptr, records});
  }
}

}  // namespace neon_redo
