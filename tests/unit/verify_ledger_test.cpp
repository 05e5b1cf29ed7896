// The ledger's file, and what is written into it and read back: also when it was damaged or made up.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>

#include "cpp_core/backup/checksum.h"
#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/verify/backup_proof.h"
#include "cpp_core/verify/ledger.h"
#include "cpp_core/verify/ledger_check.h"
#include "cpp_core/verify/ledger_run.h"
#include "cpp_core/verify/made_blocks.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegment = 16u << 20;

LedgerFile FileOf(const std::string& path) { return {path, {1, 2, 3, 4, 5}, false}; }

Ledger Example() {
  Ledger ledger;
  ledger.system_identifier = 7'000'000'000'000'000'000;
  ledger.start = Lsn(3 * uint64_t{kSegment} + 40);
  ledger.start_timeline = 1;
  ledger.label = "weekly";
  ledger.contents = {{"base/5/1259", 8192, 42}, {"global/pg_control", 8192, {}}};
  ledger.stored = {{FileOf("/b/base/5/1259"), {0}}, {FileOf("/b/global/pg_control"), {1}}};
  ledger.segment_size = kSegment;
  ledger.timeline = 2;
  for (uint64_t number = 3; number < 6; number++)
    ledger.segments.push_back({number < 5 ? 1u : 2u, number, {FileOf("/a/x")}, number * 11});
  ledger.redo = Lsn(4 * uint64_t{kSegment} + 1000);
  ledger.end = Lsn(5 * uint64_t{kSegment} + 2000);
  ledger.last_transaction = 99;
  ledger.proven_at = 1'700'000'000;
  ledger.read_all_at = 1'600'000'000;
  ledger.state = "what the checks know";
  return ledger;
}

// With the right checksum, as one who makes a ledger up would write it.
std::string Sealed(std::string bytes) {
  auto checksum = FileChecksum::Make(ChecksumKind::kSha256);
  EXPECT_TRUE(checksum->Add(Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())));
  return bytes + *checksum->Finish();
}

class LedgerFileTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("neon_redo_ledger." + std::to_string(getpid()) + "." +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directory(directory_);
    path_ = directory_ / "main.ledger";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary) << content;
    chmod(path_.c_str(), 0600);
  }

  std::filesystem::path directory_;
  std::string path_;
};

TEST_F(LedgerFileTest, IsReadAsItWasWritten) {
  ASSERT_TRUE(WriteLedger(path_, Example()));
  struct stat st;
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  const auto read = ReadLedger(path_);
  ASSERT_TRUE(read && read->ledger) << read.error().message;
  EXPECT_EQ(LedgerBytes(*read->ledger), LedgerBytes(Example()));
  EXPECT_TRUE(read->ledger->segments[2].files[0].IsAsBefore(Example().segments[2].files[0]));
}

TEST_F(LedgerFileTest, NoneThere) {
  auto read = ReadLedger(path_);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->ledger);
  EXPECT_EQ(read->why_not, "there was no ledger yet");
  Write("");
  read = ReadLedger(path_);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->ledger);
  EXPECT_TRUE(CheckLedgerPlace(path_));
  EXPECT_TRUE(RemoveLedger(path_));
  EXPECT_TRUE(RemoveLedger(path_));
}

TEST_F(LedgerFileTest, OtherFilesAreNotOverwritten) {
  Write("a letter to my aunt");
  EXPECT_EQ(ReadLedger(path_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(CheckLedgerPlace(path_).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(WriteLedger(path_, Example()));
  EXPECT_TRUE(CheckLedgerPlace(path_));
}

TEST_F(LedgerFileTest, NeighboursStayAsTheyAre) {
  std::ofstream(path_ + ".tmp") << "my own";
  ASSERT_TRUE(CheckLedgerPlace(path_));
  ASSERT_TRUE(WriteLedger(path_, Example()));
  std::ifstream in(path_ + ".tmp");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "my own");
  const std::filesystem::directory_iterator files(directory_);
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST_F(LedgerFileTest, OthersMayNotWriteIt) {
  ASSERT_TRUE(WriteLedger(path_, Example()));
  chmod(path_.c_str(), 0620);
  EXPECT_EQ(ReadLedger(path_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LedgerFileTest, EachDamageIsFound) {
  ASSERT_TRUE(WriteLedger(path_, Example()));
  const std::string good = Read();
  for (size_t at = 0; at < good.size(); at++) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    const auto read = ParseLedger(bad, path_);
    ASSERT_FALSE(read) << at;
    const bool says = read.error().message.find("give --full") != std::string::npos;
    ASSERT_TRUE(says || at <= 20) << at;
  }
  for (size_t size = 1; size < good.size(); size++)
    ASSERT_FALSE(ParseLedger(good.substr(0, size), path_)) << size;
  ASSERT_FALSE(ParseLedger(good + "x", path_));
}

TEST_F(LedgerFileTest, AnotherVersionProvesNothing) {
  std::string bytes = LedgerBytes(Example());
  bytes[17]++;  // the format
  const auto read = ParseLedger(Sealed(bytes), path_);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->ledger);
  EXPECT_NE(read->why_not.find("may have checked otherwise"), std::string::npos);
}

TEST_F(LedgerFileTest, WhatCannotBeIsRefused) {
  const auto refuses = [this](const Ledger& ledger) {
    const auto read = ParseLedger(Sealed(LedgerBytes(ledger)), path_);
    return !read && read.error().code == ErrorCode::kCorrupt;
  };
  EXPECT_FALSE(refuses(Example()));
  Ledger ledger = Example();
  ledger.segment_size = 0;
  EXPECT_TRUE(refuses(ledger));
  ledger = Example();
  ledger.segments.pop_back();
  EXPECT_TRUE(refuses(ledger));
  ledger = Example();
  ledger.segments[1].number = 9;
  EXPECT_TRUE(refuses(ledger));
  ledger = Example();
  ledger.redo = Lsn(1);
  EXPECT_TRUE(refuses(ledger));
  ledger = Example();
  ledger.stored[0].contents = {2};
  EXPECT_TRUE(refuses(ledger));
}

// Nothing is read beyond the bytes, nor is room made for what they only claim to have. The sanitizers look on.
TEST_F(LedgerFileTest, MadeUpBytesDoNoHarm) {
  std::mt19937 random(1);
  const std::string good = LedgerBytes(Example());
  for (int round = 0; round < 20'000; round++) {
    std::string bad = good;
    for (unsigned i = random() % 4 + 1; i > 0; i--)
      bad[17 + random() % (bad.size() - 17)] = static_cast<char>(random() % 4 ? 0xff : random());
    if (random() % 8 == 0) bad.resize(17 + random() % (bad.size() - 17));
    static_cast<void>(ParseLedger(Sealed(bad), path_));
  }
}

TEST(LedgerStates, MadeUpBytesDoNoHarm) {
  const auto backup = DataDirectory("/nowhere");
  VerifyOptions options;
  std::mt19937 random(2);
  for (int round = 0; round < 3'000; round++) {
    std::string bytes(random() % 400, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 ? random() % 3 : random());
    StateReader in(bytes);
    MemoryBudget memory(1 << 20);
    FileCheck files(*backup, nullptr);
    SlruCheck slrus(*backup, &memory, "/tmp");
    TwoPhaseCheck two_phase;
    BackupProof proof(options, *backup);
    MadeBlocks made;
    const BaseFiles list;
    switch (round % 6) {
      case 0:
        files.Load(&in);
        break;
      case 1:
        slrus.Load(&in);
        break;
      case 2:
        two_phase.Load(&in);
        break;
      case 3:
        proof.Resume({}, list, Lsn(1), &in);
        break;
      case 4:
        made.Load(&in);
        break;
      default:
        LoadIngest(&in);
    }
  }
}

TEST(LedgerStates, IngestIsRemembered) {
  Ingest ingest;
  ingest.Remember({{.next_xid = 1,
                    .next_oid = 2,
                    .next_multixact = 3,
                    .next_multixact_offset = 4,
                    .oldest_xid = 5,
                    .oldest_multixact = 6,
                    .timeline = 7,
                    .checkpoint_redo = Lsn(8),
                    .track_commit_timestamp = true},
                   9,
                   10});
  StateWriter out;
  SaveIngest(ingest, &out);
  StateReader in(out.bytes());
  const Ingest::Memory memory = LoadIngest(&in).memory();
  EXPECT_TRUE(in.is_done());
  EXPECT_EQ(memory.state.next_xid, 1u);
  EXPECT_EQ(memory.state.timeline, 7u);
  EXPECT_EQ(memory.state.checkpoint_redo, Lsn(8));
  EXPECT_TRUE(memory.state.track_commit_timestamp);
  EXPECT_EQ(memory.last_offsets_page, 9);
  EXPECT_EQ(memory.early_offsets_page, 10);
}

TEST(LedgerStates, CatalogRowsGoWithTheirBlocks) {
  const RelFileNode rel{1663, 5, 1259};
  KnownCatalogs known;
  known.relations = {rel};
  for (const uint32_t block : {1u, 4u, 7u}) {
    known.changed.insert({rel, 0, block});
    known.rows[{rel, 0, block}].push_back(
        {.xmin = block, .xmax = 0, .infomask = 1, .oid = 2, .name = "t"});
  }
  StateWriter out;
  known.Save(&out);
  StateReader in(out.bytes());
  KnownCatalogs loaded = KnownCatalogs::Load(&in);
  EXPECT_TRUE(in.is_done());
  EXPECT_EQ(loaded.changed, known.changed);
  EXPECT_EQ(loaded.rows.at({rel, 0, 4})[0].xmin, 4u);
  Change cut{};
  cut.kind = ChangeKind::kTruncateFork;
  cut.key = PageKey::OfRelationSize(rel, kMainFork);
  cut.number = 4;
  loaded.Take(cut);
  EXPECT_EQ(loaded.changed, (std::set<BlockTag>{{rel, 0, 1}}));
  EXPECT_EQ(loaded.rows.size(), 1u);
  cut.kind = ChangeKind::kDropRelation;
  loaded.Take(cut);
  EXPECT_TRUE(loaded.changed.empty() && loaded.rows.empty());
}

TEST(MadeBlocksTest, IsASetOfBlocks) {
  std::mt19937 random(3);
  MadeBlocks made;
  std::set<BlockTag> all;
  for (int step = 0; step < 20'000; step++) {
    const RelFileNode rel{1663, static_cast<uint32_t>(random() % 2),
                          static_cast<uint32_t>(random() % 2)};
    const auto number = static_cast<uint32_t>(random() % 60);
    Change change{};
    change.key = PageKey::OfRelationSize(rel, kMainFork);
    change.number = number;
    const auto gone = [&](const auto& is_gone) {
      made.Take(change);
      std::erase_if(all, is_gone);
    };
    switch (random() % 40) {
      case 0:
        change.kind = ChangeKind::kTruncateFork;
        gone([&](const BlockTag& tag) { return tag.rel == rel && tag.block >= number; });
        break;
      case 1:
        change.kind = random() % 2 ? ChangeKind::kDropRelation : ChangeKind::kCreateFork;
        change.flags = kNewRelationFile;
        gone([&](const BlockTag& tag) { return tag.rel == rel; });
        break;
      case 2:
        if (random() % 4 != 0) break;
        change.kind = ChangeKind::kDropDatabase;
        change.key = PageKey::OfRelationMap(rel.spc, rel.db);
        gone([&](const BlockTag& tag) { return tag.rel.db == rel.db; });
        break;
      default:
        made.Add({rel, 0, number});
        all.insert({rel, 0, number});
    }
    if (step % 100 != 0) continue;
    StateWriter out;
    made.Save(&out);
    StateReader in(out.bytes());
    MadeBlocks loaded;
    loaded.Load(&in);
    ASSERT_TRUE(in.is_done());
    for (uint32_t db = 0; db < 2; db++)
      for (uint32_t node = 0; node < 2; node++)
        for (uint32_t block = 0; block < 61; block++) {
          const BlockTag tag{{1663, db, node}, 0, block};
          ASSERT_EQ(loaded.Contains(tag), all.contains(tag)) << step << " " << block;
        }
  }
}

// Four records, of which each is 100 bytes long and two begin in each segment.
class LedgerRunTest : public testing::Test {
 protected:
  static WalRecord Record(int number, uint32_t crc) {
    static RecordHeader header;
    header = {};
    header.crc = crc;
    const Lsn start(uint64_t{kSegment} * static_cast<uint64_t>(3 + number / 2) + 40 +
                    static_cast<uint64_t>(number % 2) * 100);
    return {start, start + 100, Bytes(reinterpret_cast<const uint8_t*>(&header), sizeof(header))};
  }
  static Ledger Inventory() {
    Ledger ledger = Example();
    ledger.segments.clear();
    for (uint64_t number = 3; number < 5; number++)
      ledger.segments.push_back({1, number, {FileOf("/a/x")}, 0});
    return ledger;
  }
  static Ledger Proven() {
    LedgerRun run(Inventory(), nullptr);
    for (int i = 0; i < 4; i++) run.Take(Record(i, 7));
    run.EndOfWal();
    const std::map<std::string, uint64_t> contents = {{"base/5/1259", 1}};
    run.Prove({.redo = Record(2, 7).start,
               .end = Record(3, 7).end,
               .backup_end = Lsn(1),
               .last_transaction = {},
               .contents = &contents,
               .state = {}});
    const auto ledger = run.Finish(1'700'000'000);
    EXPECT_TRUE(ledger);
    return *ledger;
  }
};

TEST_F(LedgerRunTest, BeginsInTheSegmentOfRedo) {
  const Ledger before = Proven();
  EXPECT_EQ(before.contents[0].hash, 1u);
  EXPECT_FALSE(before.contents[1].hash);
  LedgerRun run(Inventory(), &before);
  EXPECT_EQ(run.read_from(), Lsn(4 * uint64_t{kSegment}));
  EXPECT_FALSE(run.Replays(run.read_from()));
  EXPECT_TRUE(run.Replays(before.redo));
  EXPECT_FALSE(run.IsNew(Record(3, 7).start));
  EXPECT_TRUE(run.IsNew(Record(3, 7).end));
  for (int i = 2; i < 4; i++) run.Take(Record(i, 7));
  run.EndOfWal();
  EXPECT_EQ(run.doubt(), "");
}

TEST_F(LedgerRunTest, OtherWalIsDoubted) {
  const Ledger before = Proven();
  LedgerRun changed(Inventory(), &before);
  changed.Take(Record(2, 7));
  changed.Take(Record(3, 8));
  changed.EndOfWal();
  EXPECT_NE(changed.doubt().find("is not as it was"), std::string::npos);
  LedgerRun shorter(Inventory(), &before);
  shorter.Take(Record(2, 7));
  shorter.EndOfWal();
  EXPECT_NE(shorter.doubt().find("is not as it was"), std::string::npos);
  LedgerRun elsewhere(Inventory(), &before);
  elsewhere.Take(Record(3, 7));
  EXPECT_NE(elsewhere.doubt().find("no record begins at"), std::string::npos);
}

TEST(LedgerOptions, WhatProvesLessIsRefused) {
  VerifyOptions options;
  EXPECT_TRUE(CheckLedgerOptions(options, true));
  options.ledger = "l";
  EXPECT_TRUE(CheckLedgerOptions(options, false));
  EXPECT_FALSE(CheckLedgerOptions(options, true));
  const auto refuses = [&](auto change) {
    VerifyOptions other = options;
    change(&other);
    return !CheckLedgerOptions(other, false);
  };
  EXPECT_TRUE(refuses([](VerifyOptions* o) { o->quick = true; }));
  EXPECT_TRUE(refuses([](VerifyOptions* o) { o->until_lsn = Lsn(1); }));
  EXPECT_TRUE(refuses([](VerifyOptions* o) { o->until_time = 1; }));
  EXPECT_TRUE(refuses([](VerifyOptions* o) { o->restore_command = "cp"; }));
  EXPECT_TRUE(refuses([](VerifyOptions* o) { o->engine = Engine::kNative; }));
}

}  // namespace
}  // namespace neon_redo
