// Several directories of WAL as one, and which of several copies of a segment is read.
#include "cpp_core/archive/wal_set.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "cpp_core/archive/listing.h"
#include "cpp_core/wal/copies.h"
#include "tests/unit/failing_calls.h"
#include "tests/unit/packed.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

// Five segments, and two directories for them.
class TwoDirectories : public testing::Test {
 protected:
  static constexpr uint32_t kSize = 1 << 20;

  void SetUp() override {
    while (wal_.wal().size() < 5 * kSize - 30000) wal_.Append(10, 0, 9000);
    wal_.Save(a_.path());
  }
  std::string A(uint64_t i) const { return a_.path() + "/" + wal_.SegmentFile(i); }
  std::string B(uint64_t i) const { return b_.path() + "/" + wal_.SegmentFile(i); }
  Lsn At(uint64_t segment, uint64_t offset) const { return Lsn((3 + segment) * kSize + offset); }

  // Of the segment's file that the second directory and the first give.
  std::string PathOf(size_t i) const {
    const auto set = WalSet::Open({b_.path(), a_.path()});
    const auto line = set->Line({}, {});
    return line && line->size() > i ? (*line)[i].path : "";
  }
  struct Read {
    size_t records = 0;
    std::optional<Error> error;
    std::string notes;
  };
  Read ReadBoth() const { return ReadOf({a_.path(), b_.path()}); }
  Read ReadOf(const std::vector<std::string>& directories) const {
    Read out;
    auto reader = WalReader::Open({directories, {}, {}, {}});
    if (!reader) {
      out.error = reader.error();
      return out;
    }
    WalRecord record;
    for (; (*reader)->Next(&record); out.records++)
      if (record.bytes.size() != wal_.written()[out.records].bytes.size()) break;
    out.error = (*reader)->error();
    for (const std::string& note : (*reader)->notes()) out.notes += note + "\n";
    return out;
  }
  void ExpectAll(const std::string& note) const {
    const Read read = ReadBoth();
    EXPECT_FALSE(read.error) << read.error->message;
    EXPECT_EQ(read.records, wal_.written().size());
    if (note.empty())
      EXPECT_EQ(read.notes, "");
    else
      EXPECT_NE(read.notes.find(note), std::string::npos) << read.notes;
  }
  // Whichever of the directories is named first.
  void ExpectAllInAnyOrder() const {
    for (const bool a_first : {true, false}) {
      SCOPED_TRACE(a_first ? "A first" : "B first");
      const Read read = a_first ? ReadBoth() : ReadOf({b_.path(), a_.path()});
      EXPECT_FALSE(read.error) << read.error->message;
      EXPECT_EQ(read.records, wal_.written().size());
    }
  }
  void ExpectErrorInAnyOrder(const std::string& words) const {
    for (const bool a_first : {true, false}) {
      SCOPED_TRACE(a_first ? "A first" : "B first");
      const Read read = a_first ? ReadBoth() : ReadOf({b_.path(), a_.path()});
      EXPECT_TRUE(read.error) << read.records << " of " << wal_.written().size();
      if (read.error) {
        EXPECT_NE(read.error->message.find(words), std::string::npos) << read.error->message;
      }
    }
  }
  std::string Content(uint64_t i) const {
    std::string out = wal_.wal().substr(i * kSize, kSize);
    out.resize(kSize, '\0');
    return out;
  }
  static void Write(const std::string& path, const std::string& content) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  static std::string Gzip(const std::string& in) {
    std::string out(in.size() + 100000, '\0');
    z_stream stream{};
    deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }
  static void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  TempDirectory a_, b_;
  WalWriter wal_{kSize};
};

TEST_F(TwoDirectories, EachFillsTheHolesOfTheOther) {
  fs::rename(A(1), B(1));
  fs::rename(A(4), B(4));
  ExpectAll("");
  fs::rename(A(0), B(0));
  ExpectAll("");
}

TEST_F(TwoDirectories, EqualCopiesAreFine) {
  for (uint64_t i = 0; i < 5; i++) fs::copy_file(A(i), B(i));
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

TEST_F(TwoDirectories, TheWholeGoesBeforeThePartialAndTheShort) {
  fs::copy_file(A(2), B(2) + ".partial");
  ExpectAll("");
  EXPECT_EQ(PathOf(2), A(2));
  fs::resize_file(B(2) + ".partial", 100000);
  ExpectAll("");
  fs::rename(B(2) + ".partial", B(2));
  ExpectAll("\"" + B(2) + "\" is cut short: it has 100000 bytes");
  EXPECT_EQ(PathOf(2), A(2));
}

// A segment in use was copied before: the rest of it is older WAL or zeroes.
TEST_F(TwoDirectories, TheLongestValidCopyIsReadWithoutAWord) {
  for (const uint64_t i : {uint64_t{2}, uint64_t{4}}) {
    fs::copy_file(A(i), B(i));
    const std::string old(kSize - 500000, '\0');
    Overwrite(A(i), 500000, old);
    ExpectAll("");
    fs::remove(A(i));
    fs::rename(B(i), A(i));
  }
}

TEST_F(TwoDirectories, RecycledSegmentsAreNoWal) {
  fs::copy_file(A(0), B(3));  // the name of a later segment, and the content of an older one
  fs::copy_file(A(1), B(7));
  EXPECT_EQ(PathOf(3), A(3));
  fs::remove(B(7));
  ExpectAll("");
}

// Damage in each part of a segment, also in the records that cross its boundaries.
TEST_F(TwoDirectories, ADamagedCopyIsNotRead) {
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{100}, uint64_t{300000}, uint64_t{kSize - 100}}) {
    for (const bool first : {true, false}) {
      fs::copy_file(A(2), B(2));
      const std::string damaged = first ? A(2) : B(2);
      Overwrite(damaged, offset, "damage");
      const Read read = ReadBoth();
      EXPECT_FALSE(read.error) << offset << ": " << read.error->message;
      EXPECT_EQ(read.records, wal_.written().size()) << offset;
      EXPECT_NE(read.notes.find(damaged), std::string::npos) << offset << ": " << read.notes;
      fs::remove(first ? A(2) : B(2));
      if (first) fs::rename(B(2), A(2));
    }
  }
}

TEST_F(TwoDirectories, DifferentWalIsTold) {
  WalWriter other(kSize);
  while (other.wal().size() < kSize + 300000) other.Append(10, 0, 9000);
  for (int i = 0; i < 10; i++) other.Append(11, 0, 9000);
  other.Save(b_.path());
  fs::remove(B(0));
  const Read read = ReadBoth();
  EXPECT_FALSE(read.error) << read.error->message;
  EXPECT_EQ(read.records, wal_.written().size());
  EXPECT_NE(read.notes.find("\"" + A(1) + "\" and \"" + B(1) + "\" hold different WAL at LSN"),
            std::string::npos)
      << read.notes;
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

// The size that counts is that of the content, which a packed file does not show.
TEST_F(TwoDirectories, TheLongerPackedCopyIsRead) {
  const std::string last = Content(4);
  fs::remove(A(4));
  Write(A(4) + ".gz.partial", Gzip(last.substr(0, 200000)));
  Write(B(4) + ".partial", last);
  ExpectAllInAnyOrder();
  fs::remove(B(4) + ".partial");
  Write(B(4) + ".gz.partial", Gzip(last));
  ExpectAllInAnyOrder();
  // A good stream with less than a segment.
  fs::copy_file(A(3), B(3));
  fs::remove(A(3));
  Write(A(3) + ".gz", Gzip(Content(3).substr(0, 300000)));
  ExpectAllInAnyOrder();
  ExpectAll("\"" + A(3) + ".gz\" is cut short: it has 300000 bytes");
}

// What a part of a record holds is checked only where the whole of it is read.
TEST_F(TwoDirectories, DamageInARecordThatCrossesSegments) {
  std::destroy_at(&wal_);
  std::construct_at(&wal_, kSize);
  wal_.FillUpTo(100);
  wal_.Append(10, 0, 2500000);  // from the first segment into the third
  while (wal_.wal().size() < 5 * kSize - 30000) wal_.Append(10, 0, 9000);
  for (const uint64_t i : {uint64_t{1}, uint64_t{2}}) {
    for (const bool is_a : {true, false}) {
      wal_.Save(a_.path());
      fs::remove(B(1));
      fs::remove(B(2));
      fs::copy_file(A(i), B(i));
      Overwrite(is_a ? A(i) : B(i), 100000, "damage");
      ExpectAllInAnyOrder();
    }
  }
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

// What is in a file that is damaged, no other one says that ends within the segment.
TEST_F(TwoDirectories, ADamagedFileIsNotReplacedByAShorterOne) {
  const std::string last = Content(4);
  const auto expect = [&](const std::string& why) {
    Write(B(4) + ".partial", last.substr(0, 100000));
    ExpectErrorInAnyOrder(why);
    Write(B(4) + ".partial", last.substr(0, 100000) + std::string(kSize - 100000, '\0'));
    ExpectErrorInAnyOrder(why);
    fs::remove(B(4) + ".partial");
  };
  Overwrite(A(4), 0, "damage");
  expect("\"" + A(4) + "\" cannot be read as a segment of this WAL: it has page magic");
  Write(A(4), last);
  Overwrite(A(4), 50000, "damage");
  expect("\"" + A(4) + "\" is damaged at LSN");
  Write(A(4), last.substr(0, 90000));
  expect("\"" + A(4) + "\" is cut short");
  fs::remove(A(4));
  std::string packed = Gzip(last);
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x40);
  Write(A(4) + ".gz", packed);
  expect(A(4) + ".gz\" is damaged");
  // A segment that goes to its end leaves no doubt.
  fs::rename(A(4) + ".gz", A(3) + ".gz");
  fs::rename(A(3), B(3));
  Write(A(4), last);
  ExpectAllInAnyOrder();
}

// The plain file is the better by its name, but the kernel cannot read it.
TEST_F(TwoDirectories, AFileThatCannotBeReadIsReplaced) {
  const std::string other = B(2) + ".partial";
  fs::copy_file(A(2), other);
  const auto set = WalSet::Open({a_.path(), b_.path()});
  const auto line = set->Line({}, {});
  ASSERT_EQ((*line)[2].path, A(2));
  std::vector<std::string> notes;
  pread_plan = {0, EIO};
  const auto chosen = ChooseCopy(*line, 2, set->identity(), &notes);
  pread_plan = {0, 0};
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(chosen->path, other);
  ASSERT_EQ(chosen->doubts.size(), 1u);
  EXPECT_EQ(chosen->doubts[0].code, ErrorCode::kIo);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].find("\"" + other + "\" is read"), 0u) << notes[0];
  EXPECT_NE(notes[0].find(A(2) + "\": Input/output error"), std::string::npos) << notes[0];
}

// That there is no memory or descriptor says nothing about the file.
TEST_F(TwoDirectories, AShortageIsNoReasonToReadAnother) {
  fs::copy_file(A(2), B(2));
  const auto set = WalSet::Open({a_.path(), b_.path()});
  const auto line = set->Line({}, {});
  std::vector<std::string> notes;
  pread_plan = {0, ENOMEM};
  const auto chosen = ChooseCopy(*line, 2, set->identity(), &notes);
  pread_plan = {0, 0};
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ErrorCode::kOutOfMemory);
  EXPECT_TRUE(notes.empty());
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

// What its receiver or archiver has only created.
TEST_F(TwoDirectories, AnEmptyPackedFileWaitsForItsWal) {
  for (const std::string& content : {std::string(), std::string("\x1f")}) {
    for (const char* suffix : {"", ".gz", ".gz.partial", ".partial.gz"}) {
      SCOPED_TRACE(suffix);
      const std::string path = A(5) + suffix;
      Write(path, content);
      ExpectAll("no WAL segments in directory \"" + b_.path());
      fs::remove(path);
    }
  }
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

}  // namespace
}  // namespace neon_redo
