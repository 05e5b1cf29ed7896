// Several directories of WAL as one.
#include "cpp_core/archive/wal_set.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cpp_core/archive/listing.h"
#include "tests/unit/failing_calls.h"
#include "tests/unit/packed.h"
#include "tests/unit/two_directories.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

TEST_F(TwoDirectories, EachFillsTheHolesOfTheOther) {
  fs::rename(A(1), B(1));
  fs::rename(A(4), B(4));
  ExpectAll("");
  fs::rename(A(0), B(0));
  ExpectAll("");
}

TEST_F(TwoDirectories, ADirectoryNamedTwiceIsOne) {
  fs::remove(b_.path());
  fs::create_directory_symlink(a_.path(), b_.path());
  const auto set = WalSet::Open({a_.path(), b_.path(), a_.path()});
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->paths().size(), 1u);
  const auto line = set->Line({}, {});
  ASSERT_TRUE(line);
  for (const Segment& s : *line) EXPECT_TRUE(s.copies.empty());
}

TEST_F(TwoDirectories, RecycledSegmentsAreNoWal) {
  fs::copy_file(A(0), B(3));  // the name of a later segment, and the content of an older one
  fs::copy_file(A(1), B(7));
  EXPECT_EQ(PathOf(3), A(3));
  fs::remove(B(7));
  ExpectAll("");
}

TEST_F(TwoDirectories, BothMustBeOfOneCluster) {
  WalWriter other(kSize, 9);
  other.set_system_identifier(42);
  other.Append(10, 0, 100);
  other.Save(b_.path());
  const auto cluster = WalSet::Open({a_.path(), b_.path()});
  ASSERT_FALSE(cluster);
  EXPECT_EQ(cluster.error().code, ErrorCode::kInvalidArgument);
  for (const std::string& part : {a_.path(), b_.path(), std::string("system identifiers")})
    EXPECT_NE(cluster.error().message.find(part), std::string::npos) << cluster.error().message;

  fs::remove_all(b_.path());
  fs::create_directory(b_.path());
  WalWriter large(kSize * 2, 9);
  large.Append(10, 0, 100);
  large.Save(b_.path());
  const auto size = WalSet::Open({a_.path(), b_.path()});
  ASSERT_FALSE(size);
  EXPECT_NE(size.error().message.find("segments of 1048576 and 2097152 bytes"), std::string::npos)
      << size.error().message;
}

TEST_F(TwoDirectories, AnEmptyDirectoryIsNamed) {
  ExpectAll("no WAL segments in directory \"" + b_.path() + "\"");
  const auto missing = WalSet::Open({a_.path(), b_.path() + "/none"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  TempDirectory empty;
  const auto none = WalSet::Open({b_.path(), empty.path()});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find(b_.path() + "\" and \"" + empty.path()), std::string::npos);
}

TEST_F(TwoDirectories, ARecycledFileHidesNoSegmentInAnUnknownFormat) {
  fs::rename(A(4), A(4) + ".lzo");
  fs::copy_file(A(2), B(4));
  ExpectErrorInAnyOrder(A(4) + ".lzo\" is compressed");
  // Nor does one that ends before it may.
  Write(B(4) + ".partial", Content(4).substr(0, 200000));
  ExpectErrorInAnyOrder(A(4) + ".lzo\" is compressed");
  // A whole one is all there is.
  fs::rename(A(3), A(3) + ".lzo");
  Write(B(3), Content(3));
  fs::remove(A(4) + ".lzo");
  Write(B(4), Content(4));
  ExpectAllInAnyOrder();
}

TEST_F(TwoDirectories, ALinkToNothingIsNoAbsence) {
  fs::create_symlink("/none", b_.path() + "/0000000100000000");
  ExpectErrorInAnyOrder("/0000000100000000\": No such file");
  fs::remove(b_.path() + "/0000000100000000");
  for (const char* name : {"pg_wal", "wals", "15-1"}) {
    fs::create_symlink(name, b_.path() + "/" + name);  // to itself
    ExpectErrorInAnyOrder(b_.path() + "/" + name + "\": Too many levels");
    fs::remove(b_.path() + "/" + name);
  }
  fs::create_directory(b_.path() + "/wals");
  fs::create_symlink("/none", b_.path() + "/streaming");
  ExpectErrorInAnyOrder("/streaming\": No such file");
}

// An archive that expires its WAL removes directories while they are listed.
TEST_F(TwoDirectories, ADirectoryMayGoWhileItIsListed) {
  const std::string path = a_.path() + "/00000001000000FF";
  std::atomic<bool> is_done = false;
  std::thread changes([&] {
    while (!is_done) {
      fs::create_directory(path);
      fs::remove(path);
    }
  });
  for (int i = 0; i < 300; i++) {
    const auto listed = WalListing::Read(a_.path());
    EXPECT_TRUE(listed) << listed.error().message;
    if (!listed) break;
  }
  is_done = true;
  changes.join();
}

TEST_F(TwoDirectories, ALineMayHaveNoSegment) {
  WalWriter branch(kSize, 5, 2);
  branch.Append(10, 0, 9000);
  branch.Save(b_.path());
  std::ofstream(b_.path() + "/00000002.history") << "1\t0/F00000\tx\n";
  const Read read = ReadOf({b_.path()});
  ASSERT_TRUE(read.error);
  EXPECT_EQ(read.error->code, ErrorCode::kNotFound);
  EXPECT_NE(read.error->message.find("00000002.history"), std::string::npos) << read.error->message;
}

// Barman's streaming counts beside its wals, however they are named.
TEST_F(TwoDirectories, ADirectoryAndThePartsOfIt) {
  const std::string server = b_.path() + "/server";
  for (uint64_t i = 0; i < 4; i++)
    Write(server + "/wals/0000000100000000/" + wal_.SegmentFile(i), Content(i));
  Write(server + "/streaming/" + wal_.SegmentFile(4) + ".partial", Content(4));
  for (const auto& directories : {std::vector{server + "/wals", server},
                                  std::vector{server, server + "/wals"}, std::vector{server}}) {
    const Read read = ReadOf(directories);
    EXPECT_FALSE(read.error) << read.error->message;
    EXPECT_EQ(read.records, wal_.written().size());
    const auto line = WalSet::Open(directories)->Line({}, {});
    for (const Segment& s : *line) EXPECT_TRUE(s.copies.empty());
  }
}

// The history of a timeline is wherever one of the directories has it.
// The page without a header is damage, since a page follows that has one. Whichever call fails once,
// WAL does not seem to end there.
TEST_F(TwoDirectories, WalThatCannotBeLookedForIsNotTakenForNone) {
  Overwrite(A(4), 3 * kWalPageSize, std::string(kWalPageSize, '\0'));
  const auto error = [&](int failing) -> std::optional<Error> {
    auto reader = WalReader::Open({{a_.path()}, At(4, 0), {}, {}});
    if (!reader) return reader.error();
    pread_plan = {failing, EIO};
    WalRecord record;
    while ((*reader)->Next(&record)) {
    }
    return (*reader)->error();
  };
  int failing = 0;
  for (; pread_plan.error == 0; failing++) {
    ASSERT_LT(failing, 1000);
    const auto found = error(failing);
    ASSERT_TRUE(found) << failing;
    EXPECT_TRUE(found->code == ErrorCode::kCorrupt || found->code == ErrorCode::kIo) << failing;
  }
  pread_plan = {0, 0};
  EXPECT_GT(failing, 3);
}

// Its receiver has completed it, an archive compresses it, Barman moves it to another directory.
TEST_F(TwoDirectories, AFileThatGetsAnotherNameMeanwhileIsFound) {
  const std::string part = fs::path(A(4)).filename().string().substr(0, 16) + "/";
  const std::string name = fs::path(A(4)).filename();
  const std::string whole = Content(4), packed = Gzip(whole);
  const struct {
    std::string before, content, after, content_after;
  } kChanges[] = {
      {name + ".partial", whole, name, whole},
      {name + ".gz.partial", packed.substr(0, packed.size() / 2), name + ".gz", packed},
      {name + ".partial.gz", packed.substr(0, packed.size() / 2), name + ".gz", packed},
      {name, whole, name + ".gz", packed},
      {name + ".partial", whole, part + name, packed},
  };
  fs::remove(A(4));
  for (const auto& change : kChanges) {
    SCOPED_TRACE(change.before + " becomes " + change.after);
    Write(b_.path() + "/" + change.before, change.content);
    auto reader = WalReader::Open({{a_.path(), b_.path()}, {}, {}, {}});
    ASSERT_TRUE(reader) << reader.error().message;
    WalRecord record;
    ASSERT_TRUE((*reader)->Next(&record));
    fs::remove(b_.path() + "/" + change.before);
    Write(b_.path() + "/" + change.after, change.content_after);
    size_t records = 1;
    while ((*reader)->Next(&record)) records++;
    EXPECT_FALSE((*reader)->error()) << (*reader)->error()->message;
    EXPECT_EQ(records, wal_.written().size());
    fs::remove(b_.path() + "/" + change.after);
  }
  // Not one that is gone.
  Write(A(4), whole);
  auto reader = WalReader::Open({{a_.path()}, {}, {}, {}});
  WalRecord record;
  ASSERT_TRUE((*reader)->Next(&record));
  fs::remove(A(4));
  while ((*reader)->Next(&record)) {
  }
  ASSERT_TRUE((*reader)->error());
  EXPECT_EQ((*reader)->error()->code, ErrorCode::kIo);
}

// Barman compresses files and leaves them their names. What a file has is known once it is decompressed.
TEST_F(TwoDirectories, ACompressedFileIsLookedAtAsSuch) {
  const auto set = WalSet::Open(a_.path());
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->Look(1, 5).value());
  Write(A(2), Gzip(Content(2)));
  const auto look = set->Look(1, 5);
  ASSERT_TRUE(look && *look);
  EXPECT_TRUE((*look)->is_loaded());
  EXPECT_EQ((*look)->packing, Packing::kGzip);
  // A plain one goes before one that is compressed, but only if it is whole.
  Write(A(2) + ".gz", Gzip(Content(2)));
  const auto look_at = [&](const std::string& content) {
    Write(A(2), content);
    const auto found = set->Look(1, 5);
    return found && *found ? (*found)->path : "";
  };
  EXPECT_EQ(look_at(Content(2)), A(2));
  EXPECT_EQ(look_at(Content(2).substr(0, 100'000)), A(2) + ".gz");
  EXPECT_EQ(look_at(std::string(kSize, '\0')), A(2) + ".gz");
  fs::remove(A(2));
  Write(A(2) + ".partial", Content(2).substr(0, 100'000));
  EXPECT_EQ(set->Look(1, 5).value()->path, A(2) + ".gz");
  fs::remove(A(2) + ".gz");
  EXPECT_EQ(set->Look(1, 5).value()->path, A(2) + ".partial");
  Write(A(2) + ".gz.partial", Gzip(Content(2)));
  EXPECT_EQ(set->Look(1, 5).value()->path, A(2) + ".partial");
  fs::remove(A(2) + ".partial");
  EXPECT_TRUE(set->Look(1, 5).value()->is_partial);
  fs::remove(A(2) + ".gz.partial");
  EXPECT_FALSE(set->Look(1, 5).value());
  Write(A(2) + ".lzo", "x");
  const auto refused = set->Look(1, 5);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            fmt::format("WAL segment \"{}.lzo\" is compressed; decompress it first", A(2)));
}

TEST_F(TwoDirectories, EachPathHasItsOwnQuotes) {
  const auto none = WalSet::Open({a_.path(), b_.path()})->Line(7, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            fmt::format("no segments of timeline 7 in \"{}\" and \"{}\"", a_.path(), b_.path()));
  TempDirectory c;
  const auto empty = WalSet::Open({b_.path(), c.path()});
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().message,
            fmt::format("no WAL segments in directory \"{}\" and \"{}\"", b_.path(), c.path()));
}

// A message names the damaged file once.
TEST_F(TwoDirectories, WhatIsWrongWithAFileIsSaidOfIt) {
  for (const std::string& content : {std::string("\x1f\x8b"
                                                 "damage"),
                                     Gzip("WAL")}) {
    Write(A(4), content);
    const std::string message = ReadOf({a_.path()}).error.value_or(Error{}).message;
    EXPECT_NE(message.find(" cannot be read as a segment of this WAL: it is "), std::string::npos)
        << message;
    EXPECT_EQ(message.find(A(4)), message.rfind(A(4))) << message;
  }
}

TEST_F(TwoDirectories, HistoryFilesOfAllCount) {
  WalWriter branch(kSize, 5, 2);
  while (branch.wal().size() < 2 * kSize - 30000) branch.Append(10, 0, 9000);
  branch.Save(b_.path());
  const auto line = [&](uint32_t timeline) {
    const auto set = WalSet::Open({a_.path(), b_.path()});
    const auto out = set->Line(timeline, {});
    std::string text;
    if (!out) return out.error().message;
    for (const Segment& s : *out) text += fmt::format("{}.{} ", s.timeline, s.number);
    return text;
  };
  EXPECT_EQ(line(2), "1.3 1.4 2.5 2.6 ");
  std::ofstream(a_.path() + "/00000002.history") << "1\t0/600010\tno reason\n";
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  fs::copy_file(a_.path() + "/00000002.history", b_.path() + "/00000002.history");
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  // Barman compresses it in place, other programs give it a suffix, and the words may differ.
  fs::remove(a_.path() + "/00000002.history");
  Write(b_.path() + "/00000002.history", Gzip("1\t0/600010\tno reason\n"));
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  fs::rename(b_.path() + "/00000002.history", b_.path() + "/00000002.history.gz");
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  // WAL-G's, of which the name alone says that it is compressed.
  fs::remove(b_.path() + "/00000002.history.gz");
  const std::string brotli = b_.path() + "/00000002.history.br";
  Write(brotli, Packed("1\t0/600010\tno reason\n", Packing::kBrotli));
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  fs::remove(brotli);
  Write(b_.path() + "/00000002.history.gz", Gzip("1\t0/600010\tno reason\n"));
  Write(a_.path() + "/00000002.history", "# of the promotion\n1\t0/600010\tanother\n");
  EXPECT_EQ(line(2), "1.3 1.4 1.5 2.6 ");
  fs::remove(a_.path() + "/00000002.history");
  const std::string packed = Gzip("1\t0/600010\tno reason\n");
  Write(b_.path() + "/00000002.history.gz", packed.substr(0, packed.size() - 9));
  EXPECT_NE(line(2).find("00000002.history.gz\" is cut short"), std::string::npos) << line(2);
  Write(b_.path() + "/00000002.history.gz", Gzip(std::string(2 << 20, 'x')));
  EXPECT_NE(line(2).find("it has more than 1048576 bytes"), std::string::npos) << line(2);
  fs::rename(b_.path() + "/00000002.history.gz", b_.path() + "/00000002.history.lzo");
  EXPECT_NE(line(2).find(".lzo\" is compressed; decompress it first"), std::string::npos)
      << line(2);
  Write(a_.path() + "/00000002.history", "1\t0/600010\tno reason\n");
  fs::remove(b_.path() + "/00000002.history.lzo");
  std::ofstream(b_.path() + "/00000002.history") << "1\t0/500010\tno reason\n";
  EXPECT_NE(line(2).find("00000002.history\" differ"), std::string::npos) << line(2);
  EXPECT_EQ(line(1), "1.3 1.4 1.5 1.6 1.7 ");
}

// A server that stops does not wait for the list of a large archive.
TEST_F(TwoDirectories, AListEndsEarly) {
  std::atomic<bool> ending{false};
  const WalSources sources{.directories = {a_.path()}, .ending = &ending};
  EXPECT_TRUE(WalSet::Open(sources));
  ending = true;
  const auto ended = WalSet::Open(sources);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace neon_redo
