// A restore command: its words, its spool, and lines of WAL that it brings.
#include "cpp_core/archive/restore_command.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "cpp_core/archive/restore_spool.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/wal/lineage.h"
#include "cpp_core/wal/open.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSize = 1 << 20;

size_t FilesIn(const std::string& directory) {
  const std::filesystem::directory_iterator files(directory);
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

// False: it took too long.
bool WaitUntil(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TEST(RestoreCommand, ExpandsAsPostgresql) {
  const auto expand = [](const char* command) { return ExpandRestoreCommand(command, "F", "/P"); };
  EXPECT_EQ(*expand("a %f \"%p\" %%f 100%%"), "a F \"/P\" %f 100%");
  EXPECT_EQ(*expand("%r"), "000000000000000000000000");
  EXPECT_EQ(*expand(""), "");
  for (const char* bad : {"%x", "%", "a %% %F"})
    EXPECT_EQ(expand(bad).error().code, ErrorCode::kInvalidArgument) << bad;
}

TEST(RestoreCommand, ReadsStatusesAsPostgresql) {
  const auto run = [](const char* command) {
    return RunRestoreCommand(command, "F", "/P", [](pid_t) {});
  };
  EXPECT_EQ(run("exit 0"), Restored::kFetched);
  EXPECT_EQ(run("exit 1"), Restored::kNotThere);
  EXPECT_EQ(run("exit 125"), Restored::kNotThere);
  for (const char* bad :
       {"exit 126", "/no/such/program", "exit 255", "kill -TERM $$", "kill -KILL $$"}) {
    const auto result = run(bad);
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kIo) << result.error().message;
  }
}

// In the session of this process it could ask on the terminal, and would be stopped.
TEST(RestoreCommand, IsInASessionOfItsOwn) {
  EXPECT_EQ(RunRestoreCommand("[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]", "F", "/P", [](pid_t) {}),
            Restored::kFetched);
}

TEST(RestoreCommand, SaysThatItHasEndedWhileItsIdIsStillItsOwn) {
  pid_t running = 0;
  bool was_there = false;
  const auto started = [&](pid_t pid) {
    if (pid == 0) was_there = kill(running, 0) == 0;
    running = pid;
  };
  EXPECT_EQ(RunRestoreCommand("exit 0", "F", "/P", started), Restored::kFetched);
  EXPECT_TRUE(was_there);
}

class RestoreSpoolTest : public testing::Test {
 protected:
  std::string Copy() const { return fmt::format("cp {}/%f %p 2>/dev/null", archive_.path()); }
  void Put(const std::string& name, const std::string& content) {
    std::ofstream(archive_.path() + "/" + name) << content;
  }

  TempDirectory archive_;
};

TEST_F(RestoreSpoolTest, KeepsAFileAsLongAsItIsHeldAndAFewMore) {
  for (int i = 0; i < 40; i++) Put(fmt::format("{}", i), "abc");
  const auto spool = RestoreSpool::Open(Copy());
  ASSERT_TRUE(spool) << spool.error().message;
  const std::string directory = (*spool)->directory();
  const auto held = (*spool)->Fetch("0", 3);
  ASSERT_TRUE(held && *held);
  for (int i = 1; i < 36; i++) {
    const auto file = (*spool)->Fetch(fmt::format("{}", i), 3,
                                      {fmt::format("{}", i + 1), fmt::format("{}", i + 2)});
    ASSERT_TRUE(file && *file) << i;
    EXPECT_TRUE(std::filesystem::exists((*file)->path()));
    // Of the command in work, one that was just asked for, and one that is held, besides.
    EXPECT_LE(FilesIn(directory), RestoreSpool::kMostFiles + 3) << i;
  }
  EXPECT_TRUE(std::filesystem::exists((*held)->path()));
  std::weak_ptr<RestoreSpool> gone = *spool;
  const_cast<std::shared_ptr<RestoreSpool>&>(*spool).reset();
  EXPECT_TRUE(gone.expired());
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST_F(RestoreSpoolTest, TellsWhatIsMissingFromWhatFailed) {
  Put("short", "abc");
  const auto spool = RestoreSpool::Open(Copy());
  ASSERT_TRUE(spool);
  const auto missing = (*spool)->Fetch("none", 3, {"short"});
  ASSERT_TRUE(missing) << missing.error().message;
  EXPECT_EQ(*missing, nullptr);
  Put("none", "abc");
  EXPECT_TRUE(*(*spool)->Fetch("none", 3));
  const auto wrong = (*spool)->Fetch("short", 4);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(wrong.error().message.find("has wrong size: 3 instead of 4"), std::string::npos);
}

TEST_F(RestoreSpoolTest, ServesSeveralThreads) {
  for (int i = 0; i < 20; i++) Put(fmt::format("{}", i), "abc");
  const auto spool = RestoreSpool::Open(Copy());
  ASSERT_TRUE(spool);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; i++) {
        const auto file = (*spool)->Fetch(fmt::format("{}", i), 3, {fmt::format("{}", i + 1)});
        good += file && *file;
        const auto missing = (*spool)->Fetch("none", 3);
        good += missing && !*missing;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 4 * 20 * 2);
}

TEST_F(RestoreSpoolTest, ItsEndStopsACommandThatRunsAhead) {
  Put("a", "abc");
  auto spool = RestoreSpool::Open(fmt::format("[ %f = a ] || exec sleep 600; {}", Copy()));
  ASSERT_TRUE(spool);
  ASSERT_TRUE((*spool)->Fetch("a", 3, {"b"}));
  spool->reset();  // would wait for ten minutes
}

TEST_F(RestoreSpoolTest, ItsEndStopsACommandThatIgnoresSignals) {
  Put("a", "abc");
  const std::string ignores = archive_.path() + "/ignores";
  auto spool = RestoreSpool::Open(
      fmt::format("[ %f = a ] || {{ trap '' TERM; touch {}; sleep 600; }}; {}", ignores, Copy()));
  ASSERT_TRUE(spool);
  ASSERT_TRUE((*spool)->Fetch("a", 3, {"b"}));
  ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(ignores); }));
  spool->reset();  // would wait for ten minutes
}

TEST_F(RestoreSpoolTest, AsksAgainForWhatWasNotThereAheadOfItsUse) {
  Put("a", "abc");
  for (const char* failure : {"exit 1", "exit 200"}) {
    const std::string asked = archive_.path() + "/asked";
    const auto spool = RestoreSpool::Open(fmt::format(
        "[ %f = a ] || [ -e {0} ] || {{ touch {0}; {1}; }}; {2}", asked, failure, Copy()));
    ASSERT_TRUE(spool);
    ASSERT_TRUE((*spool)->Fetch("a", 3, {"b"}));
    ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(asked); }));
    // The thread takes one after another: then it has the answer for "b".
    ASSERT_TRUE((*spool)->Fetch("none", 3));
    Put("b", "abc");
    const auto file = (*spool)->Fetch("b", 3);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(*file) << failure;
    std::filesystem::remove(asked);
    std::filesystem::remove(archive_.path() + "/b");
  }
}

class RestoredWal : public RestoreSpoolTest {
 protected:
  // Three segments with a record in each, of one timeline. The first starts in segment 3.
  WalWriter Write(uint32_t timeline) {
    WalWriter wal(kSize, 3, timeline);
    for (int i = 0; i < 12; i++) wal.Append(10, 0, 200'000);
    wal.Save(archive_.path());
    return wal;
  }
  std::string Command() const { return Copy(); }
  WalSources Sources() const { return {.restore_command = Command(), .start = Lsn(3 * kSize)}; }
  static size_t Count(const WalSet& set, const WalRange& range, std::string* why) {
    const auto reader = OpenWal(set, range);
    if (!reader) {
      *why = reader.error().message;
      return 0;
    }
    size_t n = 0;
    WalRecord record;
    while ((*reader)->Next(&record)) n++;
    *why = (*reader)->error() ? (*reader)->error()->message : (*reader)->end_reason();
    return n;
  }
};

TEST_F(RestoredWal, NeedsAStartAndNoDirectory) {
  Write(1);
  WalSources sources = Sources();
  const auto set = WalSet::Open(sources);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->segment_size(), kSize);
  std::string why;
  EXPECT_EQ(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u) << why;
  sources.start.reset();
  EXPECT_EQ(WalSet::Open(sources).error().code, ErrorCode::kInvalidArgument);
  sources.start = Lsn(100 * kSize);
  EXPECT_EQ(WalSet::Open(sources).error().code, ErrorCode::kNotFound);
}

TEST_F(RestoredWal, RefusesWhatIsNoHistoryFile) {
  Write(1);
  // A command that fetches from the web may bring a page that says so, with status 0.
  for (const char* page : {"echo '<html>' >%p", "touch %p"}) {
    WalSources sources = Sources();
    sources.restore_command =
        fmt::format("case %f in *.history) {}; exit 0;; esac; {}", page, Command());
    const auto set = WalSet::Open(sources);
    ASSERT_FALSE(set) << page;
    EXPECT_EQ(set.error().code, ErrorCode::kCorrupt) << set.error().message;
    EXPECT_NE(set.error().message.find("00000002.history"), std::string::npos);
  }
}

TEST_F(RestoredWal, FollowsHistoryFiles) {
  Write(1);
  // The second timeline begins within the second segment of the first.
  WalWriter second(kSize, 3, 2);
  for (int i = 0; i < 12; i++) second.Append(10, 0, 200'000);
  TempDirectory all;
  second.Save(all.path());
  for (const auto& file : std::filesystem::directory_iterator(all.path()))
    if (!file.path().filename().string().ends_with("03"))
      std::filesystem::copy(file.path(), archive_.path() / file.path().filename());
  Put("00000002.history", fmt::format("1\t{}\tx\n", Lsn(4 * kSize + 500'000).ToString()));
  const auto set = WalSet::Open(Sources());
  ASSERT_TRUE(set) << set.error().message;
  const auto lineage = ReadLineage(*set, std::nullopt, Lsn(3 * kSize));
  ASSERT_TRUE(lineage) << lineage.error().message;
  EXPECT_EQ(lineage->timeline, 2u);
  ASSERT_EQ(lineage->forks.size(), 1u);
  const auto reader = OpenWal(*set, {.from = Lsn(3 * kSize)});
  ASSERT_TRUE(reader) << reader.error().message;
  WalRecord record;
  while ((*reader)->Next(&record)) {
  }
  EXPECT_EQ((*reader)->timeline(), 2u) << (*reader)->end_reason();
  EXPECT_FALSE((*reader)->error());
  // The other one, when it is asked for.
  WalSources first = Sources();
  first.timeline = 1;
  const auto old = WalSet::Open(first);
  ASSERT_TRUE(old) << old.error().message;
  std::string why;
  EXPECT_EQ(Count(*old, {.from = Lsn(3 * kSize), .timeline = 1}, &why), 12u) << why;
}

TEST_F(RestoredWal, ADirectoryGoesFirstAndTheRestIsFetched) {
  Write(1);
  TempDirectory some;
  const std::string name = FormatSegmentName(1, 4, kSize);
  std::filesystem::copy(archive_.path() + "/" + name, some.path() + "/" + name);
  std::filesystem::remove(archive_.path() + "/" + name);
  WalSources sources = Sources();
  sources.directories = {some.path()};
  const auto set = WalSet::Open(sources);
  ASSERT_TRUE(set) << set.error().message;
  std::string why;
  EXPECT_EQ(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u) << why;
  // One that is cut short is not enough.
  std::filesystem::copy(some.path() + "/" + name, archive_.path() + "/" + name);
  std::filesystem::resize_file(some.path() + "/" + name, 300'000);
  const auto cut = WalSet::Open(sources);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ(Count(*cut, {.from = Lsn(3 * kSize)}, &why), 12u) << why;
}

TEST_F(RestoredWal, RefusesASegmentThatADirectoryOnlyHasInAFormThatIsNotRead) {
  Write(1);
  TempDirectory some;
  const std::string last = FormatSegmentName(1, 5, kSize),
                    packed = some.path() + "/" + last + ".lzo";
  const std::string third = FormatSegmentName(1, 3, kSize);
  std::filesystem::copy(archive_.path() + "/" + third, some.path() + "/" + third);
  std::filesystem::rename(archive_.path() + "/" + last, packed);
  WalSources sources = Sources();
  sources.directories = {some.path()};
  std::string why;
  const auto set = WalSet::Open(sources);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_LT(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u);
  EXPECT_NE(why.find(packed + "\" is compressed"), std::string::npos) << why;
  const auto begins = OpenWal(*set, {.from = Lsn(5 * kSize)});
  ASSERT_FALSE(begins);
  EXPECT_EQ(begins.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(begins.error().message.find(packed + "\" is compressed"), std::string::npos);
}

// Of WAL that ends within a segment.
TEST_F(RestoredWal, SaysThatALaterFileIsNoWal) {
  Write(1);
  const std::string end = FormatSegmentName(1, 4, kSize), later = FormatSegmentName(1, 5, kSize);
  std::filesystem::resize_file(archive_.path() + "/" + end, 500'000);
  std::filesystem::resize_file(archive_.path() + "/" + end, kSize);
  Put(later, std::string(kSize, 'x'));
  std::string why;
  const auto set = WalSet::Open(Sources());
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_LT(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u);
  EXPECT_NE(why.find(fmt::format("file \"{}\" (LSN 0/500000 by its name) cannot be read", later)),
            std::string::npos)
      << why;
}

TEST_F(RestoredWal, SaysWhatIsWrongWithAFileOfTheCommand) {
  Write(1);
  const std::string name = FormatSegmentName(1, 4, kSize), path = archive_.path() + "/" + name;
  std::string why;
  const auto refused = [&](const std::string& command) {
    WalSources sources = Sources();
    sources.restore_command =
        fmt::format("if [ %f = {} ]; then {}; else {}; fi", name, command, Command());
    const auto set = WalSet::Open(sources);
    if (!set) return set.error().message;
    EXPECT_LT(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u);
    return why;
  };
  const std::string compressed = refused("gzip <" + path + " >%p");
  EXPECT_NE(compressed.find("the command must decompress it"), std::string::npos) << compressed;
  const std::string directory = refused("mkdir %p");
  EXPECT_NE(directory.find("from the restore command is a directory"), std::string::npos)
      << directory;
  // The first one, from which the segment size is known, of another version.
  const std::string first = FormatSegmentName(1, 3, kSize);
  std::fstream(archive_.path() + "/" + first, std::ios::in | std::ios::out).write("\x34\x12", 2);
  const auto set = WalSet::Open(Sources());
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("page magic 1234, expected D110"), std::string::npos)
      << set.error().message;
}

// The spool is gone when somebody reads it.
TEST_F(RestoredWal, NamesNoFileOfTheSpoolInANote) {
  Write(1);
  TempDirectory some;
  const std::string name = FormatSegmentName(1, 4, kSize);
  std::filesystem::copy(archive_.path() + "/" + name, some.path() + "/" + name);
  std::filesystem::resize_file(some.path() + "/" + name, 300'000);
  WalSources sources = Sources();
  sources.directories = {some.path()};
  const auto set = WalSet::Open(sources);
  ASSERT_TRUE(set) << set.error().message;
  const auto reader = OpenWal(*set, {.from = Lsn(3 * kSize)});
  ASSERT_TRUE(reader) << reader.error().message;
  WalRecord record;
  while ((*reader)->Next(&record)) {
  }
  ASSERT_EQ((*reader)->notes().size(), 1u);
  EXPECT_EQ((*reader)->notes()[0].find(fmt::format("\"{}\" is read, since", name)), 0u)
      << (*reader)->notes()[0];
}

TEST_F(RestoredWal, AGapIsDamageAndAFailureAnError) {
  Write(1);
  const std::string name = FormatSegmentName(1, 4, kSize);
  std::filesystem::remove(archive_.path() + "/" + name);
  std::string why;
  auto set = WalSet::Open(Sources());
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_LT(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u);
  EXPECT_NE(why.find("is missing, but later segments are there"), std::string::npos) << why;
  WalSources sources = Sources();
  sources.restore_command = fmt::format("[ %f = {} ] && exit 200; {}", name, Command());
  set = WalSet::Open(sources);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_LT(Count(*set, {.from = Lsn(3 * kSize)}, &why), 12u);
  EXPECT_NE(why.find("ended with status 200"), std::string::npos) << why;
}

}  // namespace
}  // namespace neon_redo
