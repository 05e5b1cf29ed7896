// Which of several copies of a segment is read.
#include "cpp_core/wal/copies.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "tests/unit/failing_calls.h"
#include "tests/unit/packed.h"
#include "tests/unit/two_directories.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

class WalCopies : public TwoDirectories {};

TEST_F(WalCopies, EqualCopiesAreFine) {
  for (uint64_t i = 0; i < 5; i++) fs::copy_file(A(i), B(i));
  ExpectAll("");
}

TEST_F(WalCopies, TheWholeGoesBeforeThePartialAndTheShort) {
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
TEST_F(WalCopies, TheLongestValidCopyIsReadWithoutAWord) {
  for (const uint64_t i : {uint64_t{2}, uint64_t{4}}) {
    fs::copy_file(A(i), B(i));
    const std::string old(kSize - 500000, '\0');
    Overwrite(A(i), 500000, old);
    ExpectAll("");
    fs::remove(A(i));
    fs::rename(B(i), A(i));
  }
}

// Damage in each part of a segment, also in the records that cross its boundaries.
TEST_F(WalCopies, ADamagedCopyIsNotRead) {
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

TEST_F(WalCopies, DifferentWalIsTold) {
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

// The size that counts is that of the content, which a packed file does not show.
TEST_F(WalCopies, TheLongerPackedCopyIsRead) {
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
TEST_F(WalCopies, DamageInARecordThatCrossesSegments) {
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

// What is in a file that is damaged, no other one says that ends within the segment.
TEST_F(WalCopies, ADamagedFileIsNotReplacedByAShorterOne) {
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
TEST_F(WalCopies, AFileThatCannotBeReadIsReplaced) {
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
TEST_F(WalCopies, AShortageIsNoReasonToReadAnother) {
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

// What its receiver or archiver has only created.
TEST_F(WalCopies, AnEmptyPackedFileWaitsForItsWal) {
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

}  // namespace
}  // namespace neon_redo
