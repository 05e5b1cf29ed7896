// Pages by an index against pages by a full reading of the WAL, for test_index.py:
//
//   index_oracle --wal DIR --index DIR [--base-backup DIR] [--timeline N] [--pages N] [--seed N]
//                [--threads N] [--group MB] [--fan-out N] [--module neon.so] [--bindir DIR] [--no-check]
//
// Takes random pages that WAL changes, each at a random LSN after its first change. Both ways must give the same
// bytes, or the same error. Prints one JSON object, with the times of a page by the index; exits 1 when anything
// differed. --no-check: only measures. --pages 0: only makes the index.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/base_backup.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/open_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/store/encoding.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/store/page_reader.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/relation_files.h"
#include "cpp_core/wal/open.h"

namespace neon_redo {
namespace {

using Clock = std::chrono::steady_clock;

// Every change of the WAL, in memory.
class FullRead : public ChangeSource {
 public:
  void Take(const ChangeList& changes, const RecordView& view, const WalRecord& record) {
    for (uint32_t i = 0; i < changes.size(); i++)
      ForEachKey(changes[i], [&](const PageKey& key, bool makes_whole) {
        auto& list = changes_[key];
        list.push_back({record.end, i, makes_whole, {}});
        EncodeChange(changes[i], view, &list.back().value);
      });
  }
  Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) override {
    std::vector<StoredChange> out;
    const auto list = changes_.find(key);
    if (list == changes_.end()) return out;
    const auto& all = list->second;
    auto end = std::upper_bound(all.begin(), all.end(), lsn,
                                [](Lsn l, const StoredChange& c) { return l < c.lsn; });
    auto begin = end;
    while (begin != all.begin() && !(begin != end && begin->initialises)) --begin;
    out.assign(begin, end);
    return out;
  }

 private:
  std::map<PageKey, std::vector<StoredChange>> changes_;
};

struct Question {
  PageKey key;
  Lsn lsn;
};

struct Arguments {
  std::string wal, index, base_backup;
  std::optional<uint32_t> timeline;
  uint64_t pages = 1000;
  uint32_t seed = 1;
  int threads = 1;
  uint64_t group = 256 << 20, fan_out = 16;
  WorkerOptions worker;
  bool check = true;
};

struct Inputs {
  std::unique_ptr<BaseBackup> backup;
  Lsn from;
  bool track_commit_timestamp = false;
};

Result<Inputs> OpenInputs(const std::string& path) {
  Inputs out;
  if (path.empty()) return out;
  ASSIGN_OR_RETURN(out.backup, OpenBaseBackup(path, {}));
  ASSIGN_OR_RETURN(const auto control, ReadControlData(*out.backup));
  ASSIGN_OR_RETURN(const auto start, ReadReplayStart(*out.backup, control));
  ASSIGN_OR_RETURN(const auto files, out.backup->ListData());
  out.from = start.label.start;
  out.track_commit_timestamp = HasCommitTimestamps(files);
  return out;
}

BasePage PagesOf(const BaseBackup* backup, const pg::Version& version) {
  if (backup == nullptr) return {};
  auto files = std::make_shared<RelationFiles>(backup, &version);
  return [backup, files](const PageKey& key, uint8_t* page) -> Result<bool> {
    if (const auto slru = key.ToSlruBlock()) return ReadSlruPage(*backup, *slru, page);
    ASSIGN_OR_RETURN(const auto tag, key.ToBlock());
    return files->ReadOrFail(tag, page);
  };
}

// Pages of the WAL, each as probable as any other, at an LSN after the first change.
Result<std::vector<Question>> Choose(const WalSet& wal, const Arguments& arguments,
                                     const Inputs& inputs, FullRead* full) {
  WalRange range{std::nullopt, std::nullopt, arguments.timeline};
  if (inputs.backup) range.from = inputs.from;
  ASSIGN_OR_RETURN(const auto reader, OpenWal(wal, range));
  Ingest ingest({.track_commit_timestamp = inputs.track_commit_timestamp});
  std::map<PageKey, Lsn> first;
  RETURN_IF_ERROR(ingest.TakeAll(
      reader.get(),
      [&](const ChangeList& changes, const RecordView& view, const WalRecord& record) -> Status {
        if (arguments.check) full->Take(changes, view, record);
        for (const Change& change : changes)
          if (ChangesPage(change.kind)) first.try_emplace(change.key, record.end);
        return {};
      }));
  const std::vector<std::pair<PageKey, Lsn>> keys(first.begin(), first.end());
  if (keys.empty()) return MakeError(ErrorCode::kNotFound, "WAL changes no page");
  const Lsn end = reader->end_of_wal();
  std::mt19937_64 random(arguments.seed);
  std::vector<Question> out;
  while (out.size() < arguments.pages) {
    const auto& [key, changed] = keys[random() % keys.size()];
    Lsn lsn = random() % 8 == 0 ? end : changed + random() % (end - changed + 1);
    const Lsn segment(lsn.value / wal.segment_size() * wal.segment_size());
    if (random() % 8 == 0 && segment >= changed) lsn = segment;
    out.push_back({key, lsn});
  }
  return out;
}

struct PageOrError {
  std::vector<uint8_t> page;
  std::string error;
  bool operator==(const PageOrError&) const = default;
};

struct Answer {
  PageOrError answer;
  int64_t nanoseconds = 0;
  int64_t changes = 0;  // that were applied
};

PageOrError Flat(const Result<PageAt>& page) {
  return page ? PageOrError{page->page, ""} : PageOrError{{}, page.error().message};
}

IndexOptions OptionsOf(const Arguments& arguments) {
  return {.directory = arguments.index, .group = arguments.group, .fan_out = arguments.fan_out};
}

// By an index of the WAL up to the question's LSN, as the program opens it for one page.
PageOrError AskOnce(const WalSet& wal, const Arguments& arguments, const Inputs& inputs,
                    WalRange range, const Question& question, const WorkerOptions& worker) {
  range.to = question.lsn;
  auto index = WalIndex::Open(wal, range, OptionsOf(arguments));
  if (!index) return {{}, index.error().message};
  IndexedChanges changes(index->get(), range.from.value_or(Lsn()), inputs.track_commit_timestamp);
  PageReader reader(&changes, PagesOf(inputs.backup.get(), wal.version()), worker);
  return Flat(reader.Read(question.key, question.lsn));
}

Result<std::vector<Answer>> AskIndex(const WalSet& wal, const Arguments& arguments,
                                     const Inputs& inputs, const std::vector<Question>& questions,
                                     double* seconds) {
  std::vector<Answer> out(questions.size());
  WalRange range{std::nullopt, std::nullopt, arguments.timeline};
  if (inputs.backup) range.from = inputs.from;
  WorkerOptions worker = arguments.worker;
  worker.version = &wal.version();
  std::vector<std::unique_ptr<WalIndex>> indexes;
  for (int i = 0; i < arguments.threads; i++) {
    ASSIGN_OR_RETURN(auto index, WalIndex::Open(wal, range, OptionsOf(arguments)));
    indexes.push_back(std::move(index));
  }
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < arguments.threads; t++)
    threads.emplace_back([&, t] {
      IndexedChanges changes(indexes[t].get(), range.from.value_or(Lsn()),
                             inputs.track_commit_timestamp);
      PageReader reader(&changes, PagesOf(inputs.backup.get(), wal.version()), worker);
      for (size_t i = t; i < questions.size(); i += arguments.threads) {
        const auto start = Clock::now();
        const auto page = reader.Read(questions[i].key, questions[i].lsn);
        out[i].nanoseconds = (Clock::now() - start).count();
        out[i].answer = Flat(page);
        out[i].changes = page ? static_cast<int64_t>(page->changes) : 0;
        if (!arguments.check || i % 50 != 0) continue;
        const PageOrError once = AskOnce(wal, arguments, inputs, range, questions[i], worker);
        if (once != out[i].answer) out[i].answer = {{}, "two answers: " + once.error};
      }
    });
  for (std::thread& thread : threads) thread.join();
  *seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return out;
}

Result<int> Run(const Arguments& arguments) {
  RaiseOpenFileLimit(4096);  // as the program does
  ASSIGN_OR_RETURN(const auto wal, WalSet::Open(arguments.wal));
  ASSIGN_OR_RETURN(const auto inputs, OpenInputs(arguments.base_backup));
  FullRead full;
  std::vector<Question> questions;
  if (arguments.pages > 0) {
    ASSIGN_OR_RETURN(questions, Choose(wal, arguments, inputs, &full));
  }
  double seconds = 0;
  ASSIGN_OR_RETURN(const auto answers, AskIndex(wal, arguments, inputs, questions, &seconds));
  WorkerOptions worker = arguments.worker;
  worker.version = &wal.version();
  PageReader reader(&full, PagesOf(inputs.backup.get(), wal.version()), worker);
  uint64_t pages = 0, different = 0;
  for (size_t i = 0; i < questions.size() && arguments.check; i++) {
    const PageOrError page = Flat(reader.Read(questions[i].key, questions[i].lsn));
    pages += page.error.empty();
    if (page == answers[i].answer) continue;
    if (different++ < 10)
      fmt::print(stderr, "{} at {}: by the index {:?}, by all WAL {:?}\n",
                 questions[i].key.Describe(), questions[i].lsn.ToString(), answers[i].answer.error,
                 page.error);
  }
  const auto sorted = [&](int64_t Answer::*member) {
    std::vector<int64_t> values;
    values.reserve(answers.size());
    for (const Answer& answer : answers) values.push_back(answer.*member);
    std::sort(values.begin(), values.end());
    return values;
  };
  const auto times = sorted(&Answer::nanoseconds), changes = sorted(&Answer::changes);
  const auto at = [](const std::vector<int64_t>& values, size_t per_mille) {
    return values.empty() ? 0.0 : double(values[(values.size() - 1) * per_mille / 1000]);
  };
  const nlohmann::ordered_json out = {
      {"questions", questions.size()},
      {"pages", pages},
      {"different", different},
      {"median_ms", at(times, 500) / 1e6},
      {"p99_ms", at(times, 990) / 1e6},
      {"largest_ms", at(times, 1000) / 1e6},
      {"median_changes", at(changes, 500)},
      {"p99_changes", at(changes, 990)},
      {"pages_per_second", seconds > 0 ? double(questions.size()) / seconds : 0}};
  fmt::print("{}\n", out.dump());
  return different == 0 ? 0 : 1;
}

std::optional<Arguments> ReadArguments(int argc, char** argv) {
  Arguments out;
  const std::map<std::string, std::function<void(const std::string&)>> options = {
      {"--wal", [&](const std::string& v) { out.wal = v; }},
      {"--index", [&](const std::string& v) { out.index = v; }},
      {"--base-backup", [&](const std::string& v) { out.base_backup = v; }},
      {"--timeline", [&](const std::string& v) { out.timeline = std::stoul(v); }},
      {"--pages", [&](const std::string& v) { out.pages = std::stoull(v); }},
      {"--seed", [&](const std::string& v) { out.seed = static_cast<uint32_t>(std::stoul(v)); }},
      {"--threads", [&](const std::string& v) { out.threads = std::stoi(v); }},
      {"--group", [&](const std::string& v) { out.group = std::stoull(v) << 20; }},
      {"--fan-out", [&](const std::string& v) { out.fan_out = std::stoull(v); }},
      {"--module", [&](const std::string& v) { out.worker.module = v; }},
      {"--bindir", [&](const std::string& v) { out.worker.bindir = v; }}};
  for (int i = 1; i < argc; i++) {
    if (argv[i] == std::string("--no-check")) {
      out.check = false;
      continue;
    }
    const auto option = options.find(argv[i]);
    if (option == options.end() || ++i == argc) return std::nullopt;
    option->second(argv[i]);
  }
  return out;
}

int Main(int argc, char** argv) {
  const auto arguments = ReadArguments(argc, argv);
  if (!arguments) return 2;
  const auto status = Run(*arguments);
  if (status) return *status;
  fmt::print(stderr, "index_oracle: {}\n", status.error().message);
  return 2;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  const auto status =
      neon_redo::Guarded([&]() -> neon_redo::Result<int> { return neon_redo::Main(argc, argv); });
  return status ? *status : 2;
}
