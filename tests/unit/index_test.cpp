// The index against a plain list of what each record concerns; files that are damaged, foreign, outdated
// or left by others.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/index/collector.h"
#include "cpp_core/index/confirmed.h"
#include "cpp_core/index/indexed_changes.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/wal/open.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSize = 1 << 20;

std::string Numbers(std::initializer_list<uint32_t> numbers) {
  std::string out;
  for (const uint32_t n : numbers) out.append(reinterpret_cast<const char*>(&n), sizeof(n));
  return out;
}

size_t CountEntries(const char* directory) {
  const auto all = std::filesystem::directory_iterator(directory);
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

using Entries = std::map<PageKey, std::vector<IndexEntry>>;

class IndexTest : public ::testing::Test {
 protected:
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

  // The last record of segment 3 ends with it, so that nothing but the numbers shows that 4 is missing.
  void WriteWithSwitch() {
    WalWriter wal(kSize, 3);
    for (uint32_t i = 0; wal.position() < 8 * uint64_t{kSize} - 20'000; i++) {
      wal.AppendData(kRmClog, 0x00, Numbers({i % 5}));
      wal.Append(kRmXlog, 0x20, 10'000);
      if (wal.position() / kSize == 3 && wal.position() % kSize > kSize / 2) wal.Switch();
    }
    wal.Save(wal_.path());
  }

  void CompareSizes(WalIndex* index);
  void DamageFiles(int times, uint64_t group, uint64_t fan_out);

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

TEST(IndexEntry, IsTheSameAfterDecoding) {
  std::mt19937_64 random(1);
  for (const EntryKind kind : {EntryKind::kRecord, EntryKind::kSize, EntryKind::kCommit}) {
    for (int round = 0; round < 200; round++) {
      std::vector<IndexEntry> entries;
      std::string bytes;
      IndexEntry last{.start = Lsn(random() >> random() % 50 << 3)};
      const Lsn start = last.start;
      for (size_t i = 0; i == 0 || i < random() % 20; i++) {
        IndexEntry entry{.start = last.start + (random() >> (30 + random() % 30) << 3)};
        if (kind == EntryKind::kRecord) entry.makes_whole = random() % 2;
        if (kind == EntryKind::kSize)
          entry.size = {random() % 9, random() % 2 ? random() % 9 : UINT32_MAX};
        if (kind == EntryKind::kCommit)
          entry.xid = static_cast<uint32_t>(random()), entry.time = static_cast<int64_t>(random());
        EncodeEntry(kind, entry, last, &bytes);
        entries.push_back(last = entry);
      }
      std::vector<IndexEntry> decoded;
      const Bytes all(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      ASSERT_TRUE(DecodeEntries(kind, start, all, &decoded));
      ASSERT_EQ(decoded, entries);
      for (char& c : bytes)
        if (random() % 4 == 0) c = static_cast<char>(random());
      decoded.clear();
      static_cast<void>(DecodeEntries(kind, start, all, &decoded));
    }
    // A part has an entry: who reads it looks at the first.
    std::vector<IndexEntry> none;
    EXPECT_FALSE(DecodeEntries(kind, Lsn(8), {}, &none));
  }
}

// Of a file whose checksums are right.
TEST_F(IndexTest, AHeaderThatCannotBeIsDamage) {
  const auto directory = Directory::Open(index_.path());
  const auto open = [&](const IndexHeader& header) {
    const FileDescriptor fd = *directory->CreateFile("x.sst");
    const auto writer = IndexFileWriter::Create(fd.get(), "x.sst", false);
    EXPECT_TRUE((*writer)->Finish(header));
    return IndexFile::Open(*directory, "x.sst", nullptr);
  };
  const auto at = [](uint64_t number) { return Lsn(number * kSize); };
  IndexHeader good{.system_identifier = 1, .segment_size = kSize};
  for (uint64_t number = 3; number < 6; number++)
    good.segments.push_back({.timeline = 1, .number = number});
  good.stretches = {{.begin = at(3), .end = at(5)}, {.begin = at(5), .end = at(6)}};
  ASSERT_TRUE(open(good));
  // To and fro; past the segments; of a number that overflows.
  IndexHeader bad[4] = {good, good, good, good};
  bad[0].stretches = {{.begin = at(3), .end = at(1000)},
                      {.begin = at(1000), .end = at(4)},
                      {.begin = at(4), .end = at(6)}};
  bad[1].stretches.back().end = at(6) + 8;
  bad[2].stretches.back().end = Lsn(5 * kSize - 8);
  for (IndexedSegment& segment : bad[3].segments) segment.number += uint64_t{1} << 44;
  for (const IndexHeader& header : bad) {
    const auto file = open(header);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(IndexTest, HasWhatEachRecordConcerns) {
  for (const size_t segments : {1u, 3u, 6u}) {
    Write(static_cast<uint32_t>(segments), segments);
    const Entries expected = Expected();
    ASSERT_GT(expected.size(), 40u);
    for (int round = 0; round < 2; round++) {
      const auto index = Open(2);
      ASSERT_TRUE(index) << index.error().message;
      EXPECT_EQ((*index)->counts().built, round == 0 ? segments : 0) << segments;
      Compare(index->get(), expected, static_cast<uint32_t>(segments));
    }
    std::filesystem::remove_all(index_.path() + "/a");
  }
}

// The first segment is 3; groups of two begin at even numbers.
TEST_F(IndexTest, WholeGroupsHaveOneFile) {
  Write(2, 3);
  ASSERT_TRUE(Open(1, 2 * kSize));
  EXPECT_EQ(Files().size(), 3u);  // 3, 4, 5
  Write(2, 6);
  const auto index = Open(2, 2 * kSize);
  ASSERT_TRUE(index) << index.error().message;
  Compare(index->get(), Expected(), 3);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3", "4-5", "6-7", "8"}));
  EXPECT_EQ((*Open(1, 2 * kSize))->counts().built, 0u);
}

void IndexTest::CompareSizes(WalIndex* index) {
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

TEST_F(IndexTest, SizesFollowFromRecords) {
  Write(7, 6);
  const auto index = Open();
  ASSERT_TRUE(index);
  CompareSizes(index->get());
  const auto merged = OpenMerged();
  ASSERT_TRUE(merged);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8"}));
  CompareSizes(merged->get());
}

// What has no room in memory is put aside, and nothing of it is left.
TEST_F(IndexTest, LittleMemoryIsEnough) {
  Write(9, 3);
  const size_t descriptors = CountEntries("/proc/self/fd");
  const auto set = WalSet::Open(wal_.path());
  const auto index =
      WalIndex::Open(*set, {}, {.directory = index_.path() + "/a/b", .memory = 100'000});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(Files().size(), 3u);
  EXPECT_LT(CountEntries("/proc/self/fd"), descriptors + 10);
  Compare(index->get(), Expected(), 1);
  CompareSizes(index->get());
}

TEST_F(IndexTest, CommitsHaveTimeAndTransaction) {
  Write(8, 1);
  const auto index = Open();
  ASSERT_TRUE(index);
  const auto commits = (*index)->GetAll(kCommitsKey, Lsn(), Lsn(~uint64_t{0}));
  ASSERT_TRUE(commits);
  ASSERT_GT(commits->size(), 100u);
  for (const IndexEntry& entry : *commits) EXPECT_EQ(entry.xid, 700u);
}

// WAL as it grows, with an index of what was there before.
TEST_F(IndexTest, GrowsWithTheWal) {
  for (const size_t segments : {1u, 2u, 4u}) {
    Write(3, segments);
    const auto index = Open();
    ASSERT_TRUE(index) << index.error().message;
    Compare(index->get(), Expected(), 1);
  }
}

TEST_F(IndexTest, OtherContentIsIndexedAgain) {
  Write(1, 2);
  ASSERT_TRUE(Open());
  struct stat before, after;
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 3, kSize);
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  Write(2, 2);
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  ASSERT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  const auto index = Open();
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->counts().built, 2u);
  Compare(index->get(), Expected(), 2);
}

TEST_F(IndexTest, AnotherPlaceIsNoOtherContent) {
  Write(1, 2);
  ASSERT_TRUE(Open());
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 3, kSize);
  std::filesystem::copy(path, path + ".new");
  std::filesystem::rename(path + ".new", path);
  const auto index = Open();
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->counts().built, 0u);
}

TEST_F(IndexTest, WalBeforeDamageIsIndexed) {
  Write(4, 3);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(600'000)
      .write("xxxx", 4);
  const auto index = Open();
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_TRUE((*index)->damage());
  EXPECT_EQ((*index)->damage()->code, ErrorCode::kCorrupt);
  EXPECT_LE((*index)->end().value, 4 * kSize + 600'000u);
  EXPECT_GT((*index)->end().value, 4 * kSize + 500'000u);
  EXPECT_EQ((*index)->counts().files, 2u);
  const auto got = (*index)->GetAll(kCommitsKey, Lsn(), Lsn(~uint64_t{0}));
  ASSERT_TRUE(got);
  EXPECT_GT(got->size(), 100u);
  // The next one finds it again.
  EXPECT_TRUE((*Open())->damage());
}

// Whatever happens to a file: the answers are the same, and somebody is told.
void IndexTest::DamageFiles(int times, uint64_t group, uint64_t fan_out) {
  const Entries expected = Expected();
  ASSERT_TRUE(Open(1, group, fan_out));
  const std::vector<std::string> files = Files();
  ASSERT_EQ(files.size(), 2u);
  std::mt19937 random(6);
  uint64_t told = 0, rebuilt = 0;
  for (int round = 0; round < times; round++) {
    const std::string& path = files[random() % 2];
    std::ifstream in(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    switch (random() % 4) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        std::swap_ranges(bytes.begin(), bytes.begin() + 100, bytes.end() - 300);
        break;
      default:
        for (uint32_t i = 0; i <= random() % 8; i++)
          bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<int64_t>(bytes.size()));
    const auto index = Open(1, group, fan_out);
    ASSERT_TRUE(index) << index.error().message;
    CompareAll(index->get(), expected, static_cast<uint32_t>(round));
    EXPECT_EQ(Files(), files);
    const bool is_told = !(*index)->TakeNotes().empty();
    told += is_told;
    rebuilt += (*index)->counts().built != 0;
    if (!is_told) {
      // In a place that nothing depends on, or reads the checksum of.
      std::filesystem::remove(path);
      ASSERT_TRUE(Open(1, group, fan_out));
    }
  }
  EXPECT_GT(told, times * 9u / 10);
  EXPECT_GT(rebuilt, times * 9u / 10);
}

TEST_F(IndexTest, DamagedFilesAreMadeAnew) {
  Write(5, 2);
  DamageFiles(1000, 256 << 20, 16);
}

TEST_F(IndexTest, DamagedMergedFilesAreMadeAnew) {
  Write(5, 6);
  ASSERT_TRUE(OpenMerged());
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8"}));
  DamageFiles(std::getenv("NEON_REDO_LONG") ? 1000 : 150, kSize, 2);
}

TEST_F(IndexTest, FilesAreMergedUpward) {
  Write(20, 13);
  for (int round = 0; round < 2; round++) {
    const auto index = OpenMerged(2);
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, round == 0 ? 13u : 0u);
    EXPECT_EQ((*index)->counts().merged != 0, round == 0);
    EXPECT_EQ((*index)->counts().files, 5u);
    EXPECT_EQ(Names(), (std::vector<std::string>{"3-7", "8-11", "12-13", "14", "15"}));
    Compare(index->get(), Expected(), 1);
  }
  Write(20, 14);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
  Compare(index->get(), Expected(), 2);
}

// Of a merged file what has not changed is used.
TEST_F(IndexTest, OneChangedSegmentIsIndexedAlone) {
  Write(21, 14);
  ASSERT_TRUE(OpenMerged());
  const Entries before = Expected();
  std::fstream(PathOf(6), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(600'000)
      .write("xxxx", 4);
  {
    const auto index = OpenMerged();
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().segments_indexed, 1u);
    ASSERT_TRUE((*index)->damage());
    EXPECT_LE((*index)->end().value, 6 * kSize + 600'000u);
  }
  Write(21, 14);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  Compare(index->get(), before, 1);
  EXPECT_EQ((*index)->counts().segments_indexed, 0u);
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// Two archives of one cluster, of which one has another segment, at one directory.
TEST_F(IndexTest, AFileIsOfUseForPartsOfAnother) {
  // The same records but for the transactions in one segment.
  const auto replace = [&](uint32_t xid) {
    std::mt19937 random(22);
    WalWriter wal(kSize, 3, 1);
    while (wal.position() < 13 * uint64_t{kSize} - 20'000) {
      const bool is_here = wal.position() / kSize == 6;
      wal.set_xid(is_here ? xid : 700);
      wal.AppendData(kRmXact, 0x00, Numbers({static_cast<uint32_t>(random() % 40), 0}));
    }
    for (const auto& file : std::filesystem::directory_iterator(wal_.path()))
      std::filesystem::remove(file.path());
    wal.Save(wal_.path());
  };
  replace(700);
  ASSERT_TRUE(OpenMerged());
  for (const uint32_t xid : {701u, 700u, 702u}) {
    replace(xid);
    for (const uint64_t indexed : {1u, 0u}) {
      const auto index = OpenMerged();
      ASSERT_TRUE(index) << index.error().message;
      if (xid != 700) {
        EXPECT_EQ((*index)->counts().segments_indexed, indexed);
      }
      Compare(index->get(), Expected(), xid);
      const auto commits = (*index)->GetAll(kCommitsKey, Lsn(6 * kSize + 8192), Lsn(7 * kSize));
      ASSERT_TRUE(commits);
      for (const IndexEntry& commit : *commits) EXPECT_EQ(commit.xid, xid);
    }
  }
}

// An archive is shortened from its beginning.
TEST_F(IndexTest, SegmentsThatAreGoneNeedNoNewFile) {
  Write(23, 14);
  ASSERT_TRUE(OpenMerged());
  for (uint64_t number = 3; number < 8; number++) {
    std::filesystem::remove(PathOf(number));
    const auto index = OpenMerged();
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, 0u);
    Compare(index->get(), Expected(), 1);
  }
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// Files that were made when it was there say nothing of it.
TEST_F(IndexTest, NothingAfterAMissingSegmentAnswers) {
  WriteWithSwitch();
  for (const uint64_t fan_out : {uint64_t{16}, uint64_t{2}}) {
    ASSERT_TRUE(Open(1, kSize, fan_out));
    const Entries before = Expected();
    const std::string away = index_.path() + "/away";
    std::filesystem::rename(PathOf(4), away);
    for (int round = 0; round < 2; round++) {
      const auto index = Open(1, kSize, fan_out);
      ASSERT_TRUE(index) << index.error().message;
      ASSERT_TRUE((*index)->damage());
      EXPECT_EQ((*index)->damage()->code, ErrorCode::kCorrupt);
      EXPECT_NE((*index)->damage()->message.find("000000010000000000000004\" is missing"),
                std::string::npos);
      EXPECT_EQ((*index)->end(), Lsn(4 * kSize));
      for (const auto& [key, all] : before) {
        const auto after = (*index)->GetAll(key, Lsn(4 * kSize), Lsn(9 * kSize));
        EXPECT_TRUE(after && after->empty());
      }
    }
    // What is after it is no concern of those before, and the other way round.
    const auto set = WalSet::Open(wal_.path());
    for (const WalRange& range :
         {WalRange{.to = Lsn(4 * kSize)}, WalRange{.from = Lsn(5 * kSize)}}) {
      const auto index =
          WalIndex::Open(*set, range, {.directory = index_.path() + "/a/b", .group = kSize});
      ASSERT_TRUE(index) << index.error().message;
      EXPECT_FALSE((*index)->damage());
    }
    std::filesystem::rename(away, PathOf(4));
    const auto index = Open(1, kSize, fan_out);
    EXPECT_FALSE((*index)->damage());
    Compare(index->get(), Expected(), 1);
  }
}

// A question must not be answered from less WAL than the one before it.
TEST_F(IndexTest, WalThatIsDamagedMeanwhileIsAnError) {
  Write(30, 3);
  ASSERT_TRUE(Open());
  const auto index = Open();
  ASSERT_TRUE(index);
  const Lsn end = (*index)->end();
  const Entries expected = Expected();
  std::fstream(PathOf(4), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(600'000)
      .write("xxxx", 4);
  std::fstream(Files()[1], std::ios::in | std::ios::out | std::ios::binary)
      .seekp(200)
      .write("xxxx", 4);
  bool failed = false;
  for (const auto& [key, all] : expected) {
    const auto got = (*index)->GetAll(key, Lsn(), Lsn(~uint64_t{0}));
    if (got) continue;
    failed = true;
    EXPECT_EQ(got.error().code, ErrorCode::kCorrupt);
    break;
  }
  EXPECT_TRUE(failed);
  EXPECT_LT((*index)->end(), end);
}

// A hash that was found out is not found out again.
TEST_F(IndexTest, ACopyIsReadOnce) {
  Write(31, 3);
  ASSERT_TRUE(Open());
  const auto replace = [&] {
    std::filesystem::copy(PathOf(4), PathOf(4) + ".new");
    std::filesystem::rename(PathOf(4) + ".new", PathOf(4));
  };
  replace();
  AwaitAge(NanosecondsNow());
  ASSERT_EQ((*Open())->counts().built, 0u);
  const auto directory = Directory::Open(std::filesystem::path(Files()[0]).parent_path());
  Segment segment{};
  segment.path = PathOf(4);
  segment.timeline = 1;
  segment.number = 4;
  segment.file_size = kSize;
  const auto now = DescribeSegment(segment, kSize);
  ASSERT_TRUE(now);
  IndexedSegment indexed = *now;
  indexed.file = {};
  EXPECT_TRUE(ConfirmedSegments(&*directory).Has(indexed, *now));
  // Of other content, and of a file that was written to, nothing is known.
  indexed.hash++;
  EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, *now));
  indexed.hash--;
  IndexedSegment other = *now;
  other.file.changed++;
  EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, other));
  // A byte that is wrong makes the list useless, not wrong.
  const std::string path = directory->PathOf("confirmed");
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  for (int64_t at = 0; at < size; at += 7) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto byte = static_cast<char>(file.seekg(at).get());
    file.seekp(at).put(static_cast<char>(byte ^ 1)).flush();
    EXPECT_FALSE(ConfirmedSegments(&*directory).Has(indexed, *now)) << at;
    file.seekp(at).put(byte);
  }
  EXPECT_TRUE(ConfirmedSegments(&*directory).Has(indexed, *now));
}

// A file that was young when it was indexed is read once more. Reading it again would write the list again.
TEST_F(IndexTest, AListedCopyIsNotRead) {
  Write(31, 1);
  ASSERT_TRUE(Open());
  AwaitAge(NanosecondsNow());
  ASSERT_EQ((*Open())->counts().built, 0u);
  const auto directory = Directory::Open(std::filesystem::path(Files()[0]).parent_path());
  const std::string list = directory->PathOf("confirmed");
  ASSERT_TRUE(std::filesystem::exists(list));
  struct stat before, after;
  ASSERT_EQ(stat(list.c_str(), &before), 0);
  ASSERT_EQ((*Open())->counts().built, 0u);
  ASSERT_EQ(stat(list.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

// The last record of the range ends in a segment of which the first copy is damaged.
TEST_F(IndexTest, TheLastRecordIsReadFromAGoodCopy) {
  WalWriter wal(kSize);
  std::vector<Lsn> starts;
  while (wal.position() < 5 * uint64_t{kSize} - 20'000) {
    if (wal.position() % kSize < kSize - 4'000) {
      wal.AppendData(kRmClog, 0x00, Numbers({1}));
      continue;
    }
    starts.push_back(wal.Append(kRmXlog, 0x20, 6'000).start);
  }
  wal.Save(wal_.path());
  TempDirectory other;
  wal.Save(other.path());
  ASSERT_EQ(starts.size(), 1u);
  std::fstream(PathOf(4), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(100)
      .write("xxxx", 4);
  const auto set = WalSet::Open(WalSources{.directories = {wal_.path(), other.path()}});
  ASSERT_TRUE(set);
  const IndexOptions options{.directory = index_.path() + "/a/b", .group = kSize};
  ASSERT_TRUE(WalIndex::Open(*set, {}, options));
  const auto index = WalIndex::Open(*set, {.to = Lsn(4 * kSize)}, options);
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ((*index)->counts().built, 0u);
  RecordSource records((*index)->segments(), (*index)->identity());
  const auto last = records.Read(starts[0]);
  EXPECT_TRUE(last) << last.error().message;
}

// Threads of one command share the files, and do not look for them again.
TEST_F(IndexTest, ThreadsShareTheFiles) {
  Write(7, 6);
  const Entries expected = Expected();
  ASSERT_TRUE(OpenMerged());
  const auto index = OpenMerged();
  ASSERT_TRUE(index);
  const size_t descriptors = CountEntries("/proc/self/fd");
  std::vector<std::unique_ptr<WalIndex>> shared;
  for (int i = 0; i < 6; i++) shared.push_back((*index)->Share());
  EXPECT_EQ(CountEntries("/proc/self/fd"), descriptors);
  EXPECT_EQ(shared[0]->end(), (*index)->end());
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 6; i++)
    threads.emplace_back([&, i] { CompareAll(shared[i].get(), expected, i); });
  for (std::thread& thread : threads) thread.join();
  // Each mends what it finds damaged.
  for (const std::string& path : Files())
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(200).write("xxxx", 4);
  for (uint32_t i = 0; i < 6; i++) CompareAll(shared[i].get(), expected, i);
}

TEST_F(IndexTest, ThreadsIndexDamagedWalOnce) {
  Write(4, 3);
  std::fstream(PathOf(4), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(600'000)
      .write("xxxx", 4);
  const auto index = Open();
  ASSERT_TRUE(index);
  struct stat before, after;
  ASSERT_EQ(stat(Files()[1].c_str(), &before), 0);
  const auto shared = (*index)->Share();
  ASSERT_EQ(stat(Files()[1].c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  ASSERT_TRUE(shared->damage());
  EXPECT_EQ(shared->end(), (*index)->end());
}

// Those of a process that was killed after it had merged them.
TEST_F(IndexTest, FilesThatWereReplacedAreRemoved) {
  Write(24, 13);
  TempDirectory aside;
  ASSERT_TRUE(Open(1, kSize));
  ASSERT_EQ(Files().size(), 13u);
  const std::string directory = std::filesystem::path(Files()[0]).parent_path();
  for (const std::string& path : Files())
    std::filesystem::copy(path,
                          aside.path() + "/" + std::string(std::filesystem::path(path).filename()));
  ASSERT_TRUE(OpenMerged());
  ASSERT_EQ(Files().size(), 5u);
  std::filesystem::copy(
      aside.path(), directory,
      std::filesystem::copy_options::skip_existing | std::filesystem::copy_options::recursive);
  ASSERT_GT(Files().size(), 13u);
  const auto index = OpenMerged();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ((*index)->counts().built, 0u);
  EXPECT_EQ(Files().size(), 5u);
  Compare(index->get(), Expected(), 1);
}

// Who has a file open goes on when another merges it.
TEST_F(IndexTest, MergingIsNoConcernOfOthers) {
  Write(25, 13);
  const auto before = Open(1, kSize);
  ASSERT_TRUE(before);
  const Entries expected = Expected();
  ASSERT_TRUE(OpenMerged());
  Compare(before->get(), expected, 1);
  EXPECT_TRUE((*before)->TakeNotes().empty());
}

TEST_F(IndexTest, ThreadsMayUseOneDirectory) {
  Write(26, 14);
  const Entries expected = Expected();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&] {
      for (int round = 0; round < 5; round++) {
        const auto index = OpenMerged();
        ASSERT_TRUE(index) << index.error().message;
        Compare(index->get(), expected, 1);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Names(), (std::vector<std::string>{"3-15", "16"}));
}

// Another process may put a file of other WAL into the place of one that was just made.
TEST_F(IndexTest, WhatWasMadeIsUsedWhateverHasItsName) {
  TempDirectory aside;
  Write(11, 3);
  ASSERT_TRUE(Open());
  for (const std::string& path : Files())
    std::filesystem::rename(
        path, aside.path() + "/" + std::string(std::filesystem::path(path).filename()));
  Write(12, 3);
  const Entries expected = Expected();
  const auto replace = [&](uint64_t, uint64_t) {
    for (const std::string& path : Files()) {
      const std::string other =
          aside.path() + "/" + std::string(std::filesystem::path(path).filename());
      if (!std::filesystem::exists(other)) continue;
      std::filesystem::remove(path);
      std::filesystem::copy(other, path);
    }
  };
  const auto index = OpenRange({}, replace);
  ASSERT_TRUE(index) << index.error().message;
  Compare(index->get(), expected, 1);
  Compare(Open()->get(), expected, 1);
}

TEST_F(IndexTest, ProgressEndsWithOpening) {
  Write(13, 1);
  bool is_open = false;
  uint64_t told = 0;
  ASSERT_TRUE(OpenRange({}, [&](uint64_t, uint64_t) { told++; }));
  EXPECT_GT(told, 0u);
  // Damage that is found by a question.
  const std::string path = Files()[0];
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(200).write("xxxx", 4);
  const auto index = OpenRange({}, [&](uint64_t, uint64_t) { EXPECT_FALSE(is_open); });
  ASSERT_TRUE(index);
  is_open = true;
  Compare(index->get(), Expected(), 1);
  EXPECT_FALSE((*index)->TakeNotes().empty());
}

TEST_F(IndexTest, ARangeUsesTheFilesOfTheWhole) {
  Write(14, 5);
  ASSERT_TRUE(Open(1, 2 * kSize));
  const auto set = WalSet::Open(wal_.path());
  const Entries expected = Expected();
  for (uint64_t lsn = 3 * kSize; lsn < 8 * kSize; lsn += kSize / 4) {
    const auto index = WalIndex::Open(*set, {.from = Lsn(3 * kSize), .to = Lsn(lsn)},
                                      {.directory = index_.path() + "/a/b", .group = 2 * kSize});
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ((*index)->counts().built, 0u) << lsn;
    // Records that end behind the range can be read.
    IndexedChanges changes(index->get(), Lsn(), true);
    for (const auto& [key, all] : expected) {
      const auto got = changes.Get(key, Lsn(lsn));
      ASSERT_TRUE(got) << got.error().message;
    }
  }
  const auto late = WalIndex::Open(*set, {.from = Lsn(5 * kSize + 1000)},
                                   {.directory = index_.path() + "/a/b", .group = 2 * kSize});
  ASSERT_TRUE(late);
  EXPECT_EQ((*late)->counts().built, 0u);
}

// Damage before the range, in the group in which it begins.
TEST_F(IndexTest, DamageBeforeTheRangeIsNoConcern) {
  Write(15, 5);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(5'000).write("xxxx", 4);
  const auto set = WalSet::Open(wal_.path());
  const auto index = WalIndex::Open(*set, {.from = Lsn(5 * kSize)},
                                    {.directory = index_.path() + "/a/b", .group = 2 * kSize});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  EXPECT_GT((*index)->end().value, 7u * kSize);
  EXPECT_FALSE((*index)->GetAll(kCommitsKey, Lsn(5 * kSize), Lsn(6 * kSize))->empty());
}

TEST_F(IndexTest, ASegmentMayBecomeWholeMeanwhile) {
  Write(16, 2);
  const std::string path = wal_.path() + "/" + FormatSegmentName(1, 4, kSize);
  std::filesystem::rename(path, path + ".partial");
  const auto set = WalSet::Open(wal_.path());
  std::filesystem::rename(path + ".partial", path);
  const auto index = WalIndex::Open(*set, {}, {.directory = index_.path() + "/a/b"});
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->GetAll(kCommitsKey, Lsn(4 * kSize), Lsn(5 * kSize))->empty());
}

// A segment that only has the rest of a record which begins before it.
TEST_F(IndexTest, TheRestOfARecordIsNoDamage) {
  WalWriter wal(kSize);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  wal.Append(kRmXlog, 0x20, kSize + kSize / 2);
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_FALSE((*index)->damage());
  Compare(index->get(), Expected(), 1);
}

TEST(Collector, TakesNoBlockThatCannotBe) {
  std::vector<uint8_t> page(kBlockSize, 1);
  Collector collector{Lsn(0)};
  RecordView view(kPg15);
  Ingest ingest;
  ChangeList changes;
  std::vector<std::vector<uint8_t>> records;
  for (const uint32_t block : {0xffffffffu, 0xfffffffeu}) {
    records.push_back(testing::RecordBuilder(kRmXlog, 0xb0).Image(0, block, page.data()).Bytes());
    ASSERT_FALSE(view.Parse(records.back()));
    ASSERT_FALSE(ingest.Take(view, &changes));
    collector.Take(changes, view, {Lsn(records.size() * 8), Lsn(100), records.back()});
  }
  std::vector<IndexEntry> decoded;
  ASSERT_TRUE(collector.ForEach([&](const PageKey& key, const std::vector<IndexEntry>& entries) {
    std::string bytes;
    EncodeEntry(EntryKindOf(key), entries[0], {.start = entries[0].start}, &bytes);
    return DecodeEntries(EntryKindOf(key), entries[0].start,
                         Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                         &decoded);
  }));
  EXPECT_EQ(decoded.size(), 2u);  // the page's and the size's
}

// Files of pg_commit_ts go when the setting is turned off, however often that record is read.
TEST_F(IndexTest, TimestampsThatAreNoLongerKept) {
  WalWriter wal(kSize);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  layout::xlog::ParameterChange off{};
  off.wal_level = 1;
  wal.AppendData(kRmXlog, layout::xlog::kParameterChange,
                 std::string(reinterpret_cast<const char*>(&off), sizeof(off)));
  wal.AppendData(kRmClog, 0x00, Numbers({2}));
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index);
  IndexedChanges changes(index->get(), Lsn(), true);
  ASSERT_TRUE(changes.CheckWalLevel(Lsn(wal.position())));
  for (int round = 0; round < 2; round++) {
    const auto got = changes.Get(SlruKey(SlruKind::kCommitTs), Lsn(wal.position()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->size(), 1u);
  }
}

// A promotion comes without a checkpoint before it: transactions have gone on since the last one.
TEST_F(IndexTest, TimestampsThatAreKeptSinceAPromotion) {
  WalWriter wal(kSize);
  const auto& at = kPg15.checkpoint;
  std::string checkpoint(at.size, '\0');
  const uint64_t next_xid = 701, redo = wal.position();
  std::memcpy(checkpoint.data(), &redo, sizeof(redo));
  checkpoint[8] = checkpoint[12] = 1;  // timelines
  std::memcpy(checkpoint.data() + at.next_xid, &next_xid, sizeof(next_xid));
  wal.AppendData(kRmXlog, layout::xlog::kCheckpointOnline, checkpoint);
  wal.set_xid(2000);
  wal.AppendData(kRmClog, 0x00, Numbers({1}));
  wal.set_xid(0);
  layout::xlog::ParameterChange on{};
  on.wal_level = 1;
  on.track_commit_timestamp = 1;
  wal.AppendData(kRmXlog, layout::xlog::kParameterChange,
                 std::string(reinterpret_cast<const char*>(&on), sizeof(on)));
  wal.Save(wal_.path());
  const auto index = Open();
  ASSERT_TRUE(index);
  IndexedChanges changes(index->get(), Lsn(), false);
  for (const uint32_t xid : {701u, 2000u}) {
    const SlruBlock block{SlruKind::kCommitTs, 0, xid / 819};
    const auto got = changes.Get(PageKey::OfSlruBlock(block), Lsn(wal.position()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->size(), xid == 2000 ? 1u : 0u) << xid;
  }
}

TEST_F(IndexTest, LeftoversAreRemovedUnlessSomebodyWritesThem) {
  Write(1, 1);
  ASSERT_TRUE(Open());
  const std::string directory = std::filesystem::path(Files()[0]).parent_path();
  std::ofstream(directory + "/old.tmp").put('x');
  std::ofstream(directory + "/new.tmp").put('x');
  const FileDescriptor writer(open((directory + "/new.tmp").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(writer.get(), LOCK_EX), 0);
  ASSERT_TRUE(Open());
  EXPECT_FALSE(std::filesystem::exists(directory + "/old.tmp"));
  EXPECT_TRUE(std::filesystem::exists(directory + "/new.tmp"));
}

// Who may write into the directory must not lead another user's program to files of that user, or keep it waiting.
TEST_F(IndexTest, LinksAndFifosAreNotFollowed) {
  Write(1, 1);
  ASSERT_TRUE(Open());
  const std::string path = Files()[0];
  TempDirectory outside;
  const std::string victim = outside.path() + "/victim", content(5000, 'v');
  std::ofstream(victim) << content;
  for (const bool is_link : {true, false}) {
    std::filesystem::remove(path);
    if (is_link)
      std::filesystem::create_symlink(victim, path);
    else
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    std::filesystem::remove(path + ".tmp");
    std::filesystem::create_symlink(victim, path + ".tmp");
    const auto index = Open();
    EXPECT_FALSE(index && (*index)->counts().built == 0) << is_link;
    std::ifstream in(victim, std::ios::binary);
    EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), content) << is_link;
  }
}

TEST_F(IndexTest, OthersCannotReadIt) {
  const mode_t mask = umask(0);
  Write(1, 1);
  ASSERT_TRUE(Open());
  umask(mask);
  struct stat st;
  for (const std::string& path : Files()) {
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    ASSERT_EQ(stat(std::filesystem::path(path).parent_path().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700u);
  }
}

}  // namespace
}  // namespace neon_redo
