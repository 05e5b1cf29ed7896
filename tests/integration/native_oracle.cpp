// The native engine against two judges, over a WAL directory, best one written with
// wal_consistency_checking = 'all':
//
//   native_oracle --wal DIR [--module neon.so [--bindir DIR]] [--mutate N] [--seed N]
//                 [--worker-every N] [--corpus DIR]
//
// 1. The image in each record (as neon-redo verify --images): the page native redo leaves, masked,
//    must be that image.
// 2. With --module, the sandboxed worker: the same (base, records) must give the same bytes, the
//    unused space included, for single records and for chains of them on one block (which need no
//    images).
//    --worker-every N sends only every N-th.
// 3. With --mutate N, every N-th record has bytes flipped (its own, those it has for the block, or
//    the base page's), its CRC made right, and goes to native; what native applies goes to the
//    worker, which must neither refuse nor differ.
//
// --corpus DIR writes up to eight inputs of each operation and block for
// tests/fuzz/native_fuzz.cpp.
//
// Prints one JSON object; exits 1 when anything differed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/redo/native/clear_map.h"
#include "cpp_core/replay/block_table.h"
#include "cpp_core/verify/compare.h"
#include "neon_redo/describe.h"
#include "neon_redo/ingest.h"
#include "neon_redo/native.h"
#include "neon_redo/wal_reader.h"
#include "neon_redo/worker.h"

namespace neon_redo {
namespace {

struct alignas(8) AlignedPage {
  uint8_t bytes[kBlockSize] = {};
};
using PagePtr = std::shared_ptr<const AlignedPage>;
using RecordBytes = std::shared_ptr<std::vector<uint8_t>>;

struct Step {
  Lsn end;
  RecordBytes bytes;
};

// What native made of a request, until the worker has said its word.
struct Case {
  BlockTag tag;
  PagePtr base;
  std::vector<Step> steps;
  AlignedPage native;
  const char* kind;
};

struct Options {
  std::string wal, module, bindir, corpus;
  uint64_t mutate = 0, seed = 1, worker_every = 1;
};

struct Tally {
  uint64_t applied = 0, unsupported = 0, malformed = 0, different = 0;
};

class Oracle {
 public:
  explicit Oracle(const Options& options) : options_(options), random_(options.seed) {}

  int Run() {
    auto reader = WalReader::Open({{options_.wal}, {}, {}, {}});
    if (!reader) return Fail(reader.error().message);
    BeginVersion((*reader)->version());
    for (;;) {
      auto wal = (*reader)->Next();
      if (!wal) return Fail(wal.error().message);
      if (!*wal) break;
      Take(**wal);
    }
    for (auto& [tag, chain] : chains_) EndChain(tag, &chain);
    AskWorker();
    Report();
    return failures_ == 0 ? 0 : 1;
  }

 private:
  struct Chain {
    PagePtr base;
    std::vector<Step> steps;
  };

  void BeginVersion(const pg::Version& version) {
    view_.set_version(version);
    chain_view_.set_version(version);
    if (options_.module.empty()) return;
    WorkerOptions worker;
    worker.module = options_.module;
    worker.bindir = options_.bindir;
    worker.version = &version;
    worker_ = std::make_unique<RedoWorker>(worker);
  }

  int Fail(const std::string& message) {
    fmt::print(stderr, "native_oracle: {}\n", message);
    return 2;
  }

  void Take(const WalRecord& wal) {
    if (view_.Parse(wal.bytes)) return;
    ForgetBlocks();
    if (view_.max_block_id() < 0) return;
    auto bytes = std::make_shared<std::vector<uint8_t>>(wal.bytes.begin(), wal.bytes.end());
    for (int id = 0; id <= view_.max_block_id(); id++) {
      if (view_.block(id) != nullptr) TakeBlock(id, {wal.end, bytes});
    }
  }

  // As VerifyImages does; chains, which are cheap to lose, all end.
  void ForgetBlocks() {
    if (TakeRelationChanges(view_, &others_)) return;
    const auto forget = [](PagePtr*) {};
    for (const Change& change : others_) {
      const RelFileNode rel = RelationOf(change);
      const uint8_t fork = change.key.field5;
      if (change.kind == ChangeKind::kCreateFork && (change.flags & kNewRelationFile))
        latest_.Truncate(rel, fork, 0, forget);
      else if (change.kind == ChangeKind::kTruncateFork && fork == kMainFork)
        latest_.Truncate(rel, fork, change.number, forget);
      else if (change.kind == ChangeKind::kDropRelation)
        latest_.Drop(rel, forget);
      else if (change.kind == ChangeKind::kCreateDatabase ||
               change.kind == ChangeKind::kCopyDatabase || change.kind == ChangeKind::kDropDatabase)
        latest_.DropDatabase(rel.db, rel.spc, forget);
      else
        continue;
      chains_.clear();
    }
  }

  void TakeBlock(int id, const Step& step) {
    const BlockRef& ref = *view_.block(id);
    PagePtr& latest = latest_.at(ref.tag);
    PagePtr base = latest;
    if (!ref.has_image) {
      // No image to compare with, but the two engines can still be compared with each other.
      latest.reset();
      AddToChain(ref, step, nullptr, 256);
      return;
    }
    auto image = std::make_shared<AlignedPage>();
    if (!RestoreImage(ref, image->bytes)) return;
    if (!PageView(image->bytes).is_new()) SetPageLsn(image->bytes, step.end);
    latest = image;
    const bool is_map = (ref.tag.fork == kVisibilityMapFork || ref.tag.fork == kFreeSpaceMapFork) &&
                        !ClearsMap(view_, id);
    if (!base && is_map) base = std::make_shared<AlignedPage>();
    if (ref.initialises()) base = nullptr;
    if (!base && !ref.initialises()) return;
    if (!options_.corpus.empty()) WriteSeed(id, step, base);
    Single(id, step, base, *image);
    AddToChain(ref, step, base, 16);
    if (options_.mutate && requests_ % options_.mutate == 0) {
      for (int i = 0; i < 4; i++) Mutated(ref.tag, id, step, base);
      // Mutated parses its own records into view_.
      (void)view_.Parse(*step.bytes);
    }
    if (cases_.size() >= 256) AskWorker();
  }

  void WriteSeed(int id, const Step& step, const PagePtr& base) {
    const std::vector<uint8_t>& record = *step.bytes;
    const auto key = std::array<int, 3>{view_.rmid(), view_.info(), id};
    if (record.size() > 20000 || seeds_[key]++ >= 8) return;
    const std::string name = fmt::format("{}/{}_{:02x}_{}_{}", options_.corpus,
                                         RmgrName(view_.rmid()), key[1], id, seeds_[key]);
    std::FILE* file = std::fopen(name.c_str(), "wb");
    if (file == nullptr) return;
    const auto version = static_cast<int>(&view_.version() - pg::kVersions);
    std::fputc((base ? 1 : 0) + 4 * version, file);
    std::fputc(static_cast<int>(record.size() & 0xff), file);
    std::fputc(static_cast<int>(record.size() >> 8), file);
    std::fwrite(record.data(), 1, record.size(), file);
    if (base) std::fwrite(base->bytes, 1, kBlockSize, file);
    std::fclose(file);
  }

  void Single(int id, const Step& step, const PagePtr& base, const AlignedPage& image) {
    requests_++;
    auto one = std::make_unique<Case>(Case{view_.block(id)->tag, base, {step}, {}, "record"});
    if (base) one->native = *base;
    Tally& tally = tallies_[{view_.rmid(), view_.info()}];
    const NativeResult result =
        ApplyNative(view_, id, step.end, one->native.bytes, base != nullptr);
    if (result != NativeResult::kApplied) {
      (result == NativeResult::kUnsupported ? tally.unsupported : tally.malformed)++;
      if (result == NativeResult::kMalformed) Complain(*one, "malformed");
      return;
    }
    tally.applied++;
    AlignedPage rebuilt = one->native, expected = image;
    if (auto at = CompareWithImage(view_.rmid(), one->tag, rebuilt.bytes, expected.bytes)) {
      tally.different++;
      failures_++;
      Complain(*one, fmt::format("differs from the image at offset {}", *at));
    }
    if (worker_ && requests_ % options_.worker_every == 0) cases_.push_back(std::move(one));
  }

  // A chain starts at a record that initialises the block, or has a base.
  void AddToChain(const BlockRef& ref, const Step& step, const PagePtr& base, size_t limit) {
    if (!worker_) return;
    Chain& chain = chains_[ref.tag];
    if (ref.initialises() || chain.steps.size() >= limit) EndChain(ref.tag, &chain);
    if (chain.steps.empty()) chain.base = base;
    if (chain.steps.empty() && !base && !ref.initialises()) return;
    chain.steps.push_back(step);
    if (cases_.size() >= 256) AskWorker();
  }

  void EndChain(const BlockTag& tag, Chain* chain) {
    auto one = std::make_unique<Case>(Case{tag, chain->base, std::move(chain->steps), {}, "chain"});
    chain->steps.clear();
    if (one->steps.size() < 2) return;
    if (one->base) one->native = *one->base;
    std::vector<RedoRecord> records;
    for (const Step& step : one->steps) records.push_back({step.end, *step.bytes});
    const NativeRun run = ApplyNativeRun(tag, records, one->native.bytes, one->base != nullptr,
                                         &chain_view_, nullptr);
    if (run.result != NativeResult::kApplied) return;
    chains_done_++;
    cases_.push_back(std::move(one));
  }

  // One to three flipped bytes: anywhere in the record but for its length and CRC, or in the base's
  // header and line pointers, or anywhere in the base.
  void Mutated(const BlockTag& tag, int id, const Step& step, const PagePtr& base) {
    auto bytes = std::make_shared<std::vector<uint8_t>>(*step.bytes);
    if (bytes->size() > 60000 || view_.Parse(*step.bytes)) return;
    auto changed_base = base ? std::make_shared<AlignedPage>(*base) : nullptr;
    const BlockRef& ref = *view_.block(id);
    // Images for checking are most of the record and mean nothing to redo.
    std::vector<std::pair<size_t, size_t>> ranges;
    auto add = [&](const uint8_t* at, size_t n) {
      if (n > 0) ranges.push_back({static_cast<size_t>(at - step.bytes->data()), n});
    };
    add(step.bytes->data() + 16, 2);
    add(step.bytes->data() + 4, 4);
    if (step.bytes->size() > 44) add(step.bytes->data() + 24, 20);
    if (ref.apply_image) add(ref.image.data(), ref.image.size());
    for (int again = 0; again < 3; again++) {
      add(ref.data.data(), ref.data.size());
      add(view_.main_data().data(), view_.main_data().size());
    }
    const int flips = 1 + static_cast<int>(random_() % 3);
    for (int i = 0; i < flips; i++) {
      const auto value = static_cast<uint8_t>(
          random_() % 2 ? 1u << random_() % 8 : std::max<uint64_t>(1, random_() % 256));
      const uint64_t where = random_() % 4;
      if (where == 0 && changed_base) {
        const size_t at = random_() % 2 ? random_() % 64 : random_() % kBlockSize;
        changed_base->bytes[at] ^= value;
      } else {
        const auto& [start, length] = ranges[random_() % ranges.size()];
        (*bytes)[start + random_() % length] ^= value;
      }
    }
    const uint32_t crc = RecordCrc32c(*bytes);
    std::memcpy(bytes->data() + 20, &crc, sizeof(crc));
    if (view_.Parse(*bytes)) return;
    mutated_++;
    // The worker takes the first reference to the block.
    int target = 0;
    while (target <= view_.max_block_id() &&
           !(view_.block(target) && view_.block(target)->tag == tag))
      target++;
    auto one = std::make_unique<Case>(Case{tag, changed_base, {{step.end, bytes}}, {}, "mutated"});
    if (changed_base) one->native = *changed_base;
    if (ApplyNative(view_, target, step.end, one->native.bytes, changed_base != nullptr) !=
        NativeResult::kApplied)
      return;
    mutated_applied_++;
    if (worker_) cases_.push_back(std::move(one));
  }

  void AskWorker() {
    if (!worker_ || cases_.empty()) return;
    std::vector<std::vector<RedoRecord>> records(cases_.size());
    std::vector<RedoRequest> requests;
    for (size_t i = 0; i < cases_.size(); i++) {
      for (const Step& step : cases_[i]->steps) records[i].push_back({step.end, *step.bytes});
      requests.push_back(
          {cases_[i]->tag, cases_[i]->base ? cases_[i]->base->bytes : nullptr, records[i]});
    }
    std::vector<uint8_t> pages(cases_.size() * kBlockSize);
    std::vector<Status> statuses(cases_.size());
    worker_->RedoBatch(requests, pages.data(), statuses);
    for (size_t i = 0; i < cases_.size(); i++) {
      uint8_t* page = pages.data() + i * kBlockSize;
      // Refused in company: the fault may be another's.
      if (!statuses[i]) statuses[i] = worker_->Redo(requests[i], page);
      Judge(*cases_[i], page, statuses[i]);
    }
    cases_.clear();
  }

  // Where the worker's page has another byte. Some minor releases set a flag of GiST pages that
  // others do not set.
  std::optional<size_t> Difference(const Case& one, const uint8_t* page) const {
    AlignedPage theirs, ours = one.native;
    std::memcpy(theirs.bytes, page, kBlockSize);
    RecordView view(view_.version());
    if (!view.Parse(*one.steps.back().bytes)) {
      MaskUnread(view.rmid(), theirs.bytes);
      MaskUnread(view.rmid(), ours.bytes);
    }
    size_t at = 0;
    while (at < kBlockSize && theirs.bytes[at] == ours.bytes[at]) at++;
    return at < kBlockSize ? std::optional(at) : std::nullopt;
  }

  void Judge(const Case& one, const uint8_t* page, const Status& status) {
    judged_++;
    if (!status && InOtherImage(one, status.error().message)) {
      other_images_++;
    } else if (!status) {
      failures_++;
      Complain(one, fmt::format("the worker refuses: {}", status.error().message));
    } else if (const auto at = Difference(one, page)) {
      failures_++;
      Complain(one,
               fmt::format("differs from the worker's page at offset {}: {:02x} there, {:02x} here",
                           *at, page[*at], one.native.bytes[*at]));
    }
  }

  // The worker also restores the images of the record's other blocks; native does not look at them.
  bool InOtherImage(const Case& one, const std::string& message) const {
    if (message.find("could not decompress image") == std::string::npos) return false;
    RecordView view(view_.version());
    if (view.Parse(*one.steps.back().bytes)) return false;
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* ref = view.block(id);
      if (ref && ref->tag == one.tag) return !ref->apply_image;
    }
    return false;
  }

  void Complain(const Case& one, const std::string& what) {
    if (complaints_++ >= 40) return;
    RecordView view(view_.version());
    (void)view.Parse(*one.steps.back().bytes);
    fmt::print(stderr, "{} {}: {} block {}/{}/{} fork {} block {}: {}\n", one.kind,
               one.steps.back().end.ToString(), DescribeRecord(view, one.steps.back().end),
               one.tag.rel.spc, one.tag.rel.db, one.tag.rel.rel, one.tag.fork, one.tag.block, what);
  }

  void Report() {
    Tally all;
    fmt::print("{{\n  \"operations\": [\n");
    const char* separator = "";
    for (const auto& [key, tally] : tallies_) {
      fmt::print(
          "{}    {{\"rmgr\": \"{}\", \"info\": \"{:02X}\", \"applied\": {}, \"unsupported\": {}, "
          "\"malformed\": {}, \"different\": {}}}",
          separator, RmgrName(key.first), key.second, tally.applied, tally.unsupported,
          tally.malformed, tally.different);
      separator = ",\n";
      all.applied += tally.applied;
      all.unsupported += tally.unsupported;
      all.malformed += tally.malformed;
    }
    fmt::print(
        "\n  ],\n  \"requests\": {}, \"applied\": {}, \"unsupported\": {}, \"malformed\": {},\n"
        "  \"chains\": {}, \"mutated\": {}, \"mutated_applied\": {}, \"judged_by_worker\": {},\n"
        "  \"refused_for_another_blocks_image\": {}, \"failures\": {}\n}}\n",
        requests_, all.applied, all.unsupported, all.malformed, chains_done_, mutated_,
        mutated_applied_, judged_, other_images_, failures_);
  }

  const Options options_;
  std::mt19937_64 random_;
  std::unique_ptr<RedoWorker> worker_;
  RecordView view_{pg::kVersions[0]}, chain_view_{pg::kVersions[0]};  // until WAL names its version
  ChangeList others_;
  BlockTable<PagePtr> latest_;
  std::map<BlockTag, Chain> chains_;
  std::vector<std::unique_ptr<Case>> cases_;
  std::map<std::pair<uint8_t, uint8_t>, Tally> tallies_;
  std::map<std::array<int, 3>, int> seeds_;
  uint64_t requests_ = 0, chains_done_ = 0, mutated_ = 0, mutated_applied_ = 0, judged_ = 0;
  uint64_t failures_ = 0, complaints_ = 0, other_images_ = 0;
};

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  neon_redo::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--wal") options.wal = argv[i + 1];
    if (name == "--module") options.module = argv[i + 1];
    if (name == "--bindir") options.bindir = argv[i + 1];
    if (name == "--mutate") options.mutate = std::stoull(argv[i + 1]);
    if (name == "--corpus") options.corpus = argv[i + 1];
    if (name == "--seed") options.seed = std::stoull(argv[i + 1]);
    if (name == "--worker-every") options.worker_every = std::stoull(argv[i + 1]);
  }
  return neon_redo::Oracle(options).Run();
}
