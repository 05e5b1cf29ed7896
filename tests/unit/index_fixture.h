// WAL of records of many kinds, an index of it, and what the index must have.
#ifndef NEON_REDO_TESTS_UNIT_INDEX_FIXTURE_H_
#define NEON_REDO_TESTS_UNIT_INDEX_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/wal/open.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {

inline constexpr uint32_t kSize = 1 << 20;

inline std::string Numbers(std::initializer_list<uint32_t> numbers) {
  std::string out;
  for (const uint32_t n : numbers) out.append(reinterpret_cast<const char*>(&n), sizeof(n));
  return out;
}

inline size_t CountEntries(const char* directory) {
  const auto all = std::filesystem::directory_iterator(directory);
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

using Entries = std::map<PageKey, std::vector<IndexEntry>>;

class IndexTest : public ::testing::Test {
 protected:
  // Four bytes of a file.
  static void Overwrite(const std::string& path, int64_t at) {
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(at).write("xxxx", 4);
  }

  // Records of many kinds, until there are so many segments.
  void Write(uint32_t seed, size_t segments, uint32_t timeline = 1) {
    std::mt19937 random(seed);
    WalWriter wal(kSize, 3, timeline);
    while (wal.position() < (3 + segments) * uint64_t{kSize} - 20'000) {
      const uint32_t n = random() % 40;
      switch (random() % 5) {
        case 0:
          wal.AppendData(kRmClog, 0x00, Numbers({n}));
          break;
        case 1:
          wal.AppendData(kRmXact, 0x00, Numbers({n, 0}));
          break;
        case 2:
          wal.AppendData(kRmSmgr, 0x10, Numbers({1663, 5, 100 + n, 0}));
          break;
        case 3:
          wal.AppendData(kRmSmgr, 0x20, Numbers({n, 1663, 5, 100 + n, 7}));
          break;
        default:
          wal.Append(kRmXlog, 0x20, random() % 3 ? random() % 400 : random() % 10'000);
      }
    }
    for (const auto& file : std::filesystem::directory_iterator(wal_.path()))
      std::filesystem::remove(file.path());
    wal.Save(wal_.path());
  }

  // A part of it, with progress told.
  Result<std::unique_ptr<WalIndex>> OpenRange(const WalRange& range,
                                              std::function<void(uint64_t, uint64_t)> progress) {
    const auto set = WalSet::Open(wal_.path());
    EXPECT_TRUE(set) << set.error().message;
    return WalIndex::Open(*set, range,
                          {.directory = index_.path() + "/a/b", .progress = std::move(progress)});
  }
  Result<std::unique_ptr<WalIndex>> Open(int jobs = 1, uint64_t group = 256 << 20,
                                         uint64_t fan_out = 16) {
    const auto set = WalSet::Open(wal_.path());
    EXPECT_TRUE(set) << set.error().message;
    return WalIndex::Open(
        *set, {},
        {.directory = index_.path() + "/a/b", .jobs = jobs, .group = group, .fan_out = fan_out});
  }
  // Each segment has a file, of which two are merged, and two of these, and so on.
  Result<std::unique_ptr<WalIndex>> OpenMerged(int jobs = 1) { return Open(jobs, kSize, 2); }

  // What the index must have, without sizes.
  Entries Expected() {
    Entries out;
    const auto set = WalSet::Open(wal_.path());
    const auto reader = OpenWal(*set, {});
    Ingest ingest({.track_commit_timestamp = true});
    EXPECT_TRUE(ingest.TakeAll(
        reader->get(),
        [&](const ChangeList& changes, const RecordView&, const WalRecord& record) -> Status {
          for (const Change& change : changes)
            ForEachKey(change, [&](const PageKey& key, bool whole) {
              auto& list = out[key];
              if (!list.empty() && list.back().start == record.start)
                list.back().makes_whole |= whole;
              else
                list.push_back({.start = record.start, .makes_whole = whole});
            });
          return {};
        }));
    return out;
  }

  void Compare(WalIndex* index, const Entries& expected, uint32_t seed) {
    std::mt19937_64 random(seed);
    for (const auto& [key, all] : expected) {
      const auto got = index->GetAll(key, Lsn(), Lsn(~uint64_t{0}));
      ASSERT_TRUE(got) << got.error().message;
      ASSERT_EQ(*got, all);
      const Lsn to(3 * kSize + random() % (20 * kSize));
      std::vector<IndexEntry> wanted;
      for (const IndexEntry& entry : all) {
        if (entry.start >= to) break;
        if (entry.makes_whole) wanted.clear();
        wanted.push_back(entry);
      }
      const auto some = index->Get(key, to);
      ASSERT_TRUE(some) << some.error().message;
      ASSERT_EQ(*some, wanted);
    }
  }

  // The same by the other questions, in any order: each may be the first to find that a file is damaged.
  void CompareAll(WalIndex* index, const Entries& expected, uint32_t seed) {
    std::vector<Lsn> found, wanted;
    for (const auto& [key, all] : expected)
      for (const IndexEntry& entry : all) wanted.push_back(entry.start);
    const auto for_each = [&] {
      const PageKey last{0xff, 0xffffffff, 0xffffffff, 0xffffffff, 0xff, 0xfffffffe};
      ASSERT_TRUE(index->ForEach({}, last, Lsn(), Lsn(~uint64_t{0}), [&](const IndexEntry& entry) {
        if (entry.size == SizeBounds() && entry.xid == 0) found.push_back(entry.start);
      }));
      std::sort(found.begin(), found.end());
      std::sort(wanted.begin(), wanted.end());
      ASSERT_EQ(found, wanted);
    };
    if (seed % 15 == 1) CompareSizes(index);
    if (seed % 3 == 0) for_each();
    Compare(index, expected, seed);
    if (seed % 3 != 0) for_each();
  }

  void CompareSizes(WalIndex* index) {
    const auto set = WalSet::Open(wal_.path());
    const auto reader = OpenWal(*set, {});
    Ingest ingest;
    std::map<uint32_t, uint64_t> sizes;  // plus one; of forks that WAL made
    std::map<uint32_t, bool> is_known;
    uint64_t compared = 0;
    ASSERT_TRUE(ingest.TakeAll(
        reader->get(),
        [&](const ChangeList& changes, const RecordView&, const WalRecord& record) -> Status {
          for (const Change& c : changes) {
            if (c.kind == ChangeKind::kCreateFork && (c.flags & kNewRelationFile)) {
              sizes[c.key.field4] = 1;
              is_known[c.key.field4] = true;
            }
            if (c.kind == ChangeKind::kTruncateFork && c.key.field5 == 0)
              sizes[c.key.field4] = std::min<uint64_t>(sizes[c.key.field4], c.number + 1);
            if (c.key.field1 != PageKey::kRelation || c.key.field5 != 0) continue;
            const auto size = index->GetSize(PageKey::OfRelationSize({1663, 5, c.key.field4}, 0),
                                             Lsn(), record.start + 1);
            EXPECT_TRUE(size);
            EXPECT_EQ(size->is_known(), is_known[c.key.field4]);
            if (!size->is_known()) continue;
            EXPECT_EQ(size->Of(99), sizes[c.key.field4]);
            compared++;
          }
          return {};
        }));
    EXPECT_GT(compared, 100u);
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(index_.path()))
      if (entry.path().extension() == ".sst") out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  }

  // Their names, with numbers of segments: "3-7".
  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const std::string& path : Files()) {
      const std::string name = std::filesystem::path(path).stem();
      std::string numbers;
      for (size_t at = 0; at < name.size(); at += 25)
        numbers += fmt::format("{}{}", at == 0 ? "" : "-",
                               SegmentNumber(*ParseSegmentName(name.substr(at, 24)), kSize));
      out.push_back(numbers);
    }
    return out;
  }
  std::string PathOf(uint64_t number) const {
    return wal_.path() + "/" + FormatSegmentName(1, number, kSize);
  }

  TempDirectory wal_, index_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_INDEX_FIXTURE_H_
