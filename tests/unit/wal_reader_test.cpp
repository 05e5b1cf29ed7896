// The WAL reader on synthetic WAL: every layout, every truncation of the last segment, flipped
// bits, missing and foreign files. Whatever is done to the bytes, what the reader returns is a run
// of the records that were written, from the first on.
#include "neon_redo/wal_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;
using Records = std::vector<WalWriter::Written>;

// The records are the first ones of those written, unchanged.
void ExpectPrefix(const Records& got, const Records& written) {
  ASSERT_LE(got.size(), written.size());
  for (size_t i = 0; i < got.size(); i++) {
    ASSERT_EQ(got[i].start, written[i].start) << i;
    ASSERT_EQ(got[i].end, written[i].end) << i;
    ASSERT_EQ(got[i].bytes, written[i].bytes) << i;
  }
}

void ExpectAll(const ReadAll& read, const WalWriter& wal) {
  EXPECT_FALSE(read.error) << read.error->message;
  EXPECT_EQ(read.records.size(), wal.written().size());
  ExpectPrefix(read.records, wal.written());
}

void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file << bytes;
}

// Records of all sizes, over several segments and ending within one.
WalWriter Mixed(uint32_t segment_size, uint64_t bytes, uint32_t seed) {
  WalWriter wal(segment_size);
  std::mt19937 random(seed);
  while (wal.wal().size() < bytes) {
    const uint32_t kind = random() % 100;
    const size_t length = kind < 80   ? random() % 300
                          : kind < 97 ? random() % 9000
                                      : random() % 60000;
    wal.Append(10, 0, length);
  }
  return wal;
}

TEST(WalReader, ReadsEverySegmentSize) {
  for (uint32_t mb : {1, 2, 16}) {
    TempDirectory dir;
    const WalWriter wal = Mixed(mb << 20, (uint64_t{mb} << 20) * 2 + 50000, mb);
    wal.Save(dir.path());
    const ReadAll read(dir.path());
    ExpectAll(read, wal);
    EXPECT_EQ(read.end.value, wal.position());
  }
}

TEST(WalReader, ReadsRecordsAtEveryDistanceFromAPageEnd) {
  for (size_t room = 8; room <= 64; room += 8) {
    for (size_t length : {0u, 1u, 5u, 6u, 7u, 14u, 30u, 38u, 8000u, 8168u, 20000u}) {
      TempDirectory dir;
      WalWriter wal;
      wal.Append(10, 0, 10);
      wal.FillUpTo(room);
      wal.Append(10, 0, length);
      wal.Append(10, 0, 3);
      wal.Save(dir.path());
      const ReadAll read(dir.path());
      ExpectAll(read, wal);
      EXPECT_EQ(read.end.value, wal.position()) << room << " " << length;
    }
  }
}

TEST(WalReader, AssemblesARecordOverManySegments) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  wal.Append(10, 0, 5 << 20);
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  ExpectAll(ReadAll(dir.path()), wal);
}

// A receiver renames its segment once it is whole.
TEST(WalReader, ReadsAPartialSegmentThatIsWholeByThen) {
  TempDirectory dir;
  WalWriter wal;
  for (int i = 0; i < 250; i++) wal.Append(10, 0, 10000);
  wal.Save(dir.path());
  const std::string last = dir.path() + "/" + wal.SegmentFile(2);
  std::filesystem::rename(last, last + ".partial");
  auto reader = WalReader::Open({{dir.path()}, {}, {}, {}});
  ASSERT_TRUE(reader);
  std::filesystem::rename(last + ".partial", last);
  WalRecord record;
  size_t read = 0;
  while ((*reader)->Next(&record)) read++;
  EXPECT_FALSE((*reader)->error()) << (*reader)->error()->message;
  EXPECT_EQ(read, wal.written().size());
}

TEST(WalReader, StopsAtZeroesARecycledSegmentAndAnAllocatedOne) {
  TempDirectory dir;
  WalWriter wal = Mixed(1 << 20, 300000, 1);
  wal.Save(dir.path());
  // Two segments ahead: one recycled with all its old pages, one of zeroes.
  WalWriter old = Mixed(1 << 20, 5 << 20, 2);
  std::ofstream(dir.path() + "/" + wal.SegmentFile(1), std::ios::binary)
      << old.wal().substr(0, 1 << 20);
  std::ofstream(dir.path() + "/" + wal.SegmentFile(2), std::ios::binary)
      << std::string(1 << 20, '\0');
  const ReadAll read(dir.path());
  ExpectAll(read, wal);
  EXPECT_EQ(read.end.value, wal.position());

  // The same when the current segment was itself recycled: old pages behind the end, not zeroes.
  WalWriter later(1 << 20, 9);
  while (later.wal().size() < 300000) later.Append(10, 0, 120);
  TempDirectory dir2;
  std::string bytes = later.wal();
  bytes.resize((bytes.size() + kWalPageMask) & ~kWalPageMask, '\0');
  bytes += old.wal().substr(bytes.size(), (1 << 20) - bytes.size());
  std::ofstream(dir2.path() + "/" + later.SegmentFile(0), std::ios::binary) << bytes;
  const ReadAll recycled(dir2.path());
  ExpectAll(recycled, later);
}

TEST(WalReader, SkipsTheRestOfASegmentAfterASwitch) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  wal.Switch();
  wal.Append(10, 0, 100);
  wal.Switch();
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  ExpectAll(ReadAll(dir.path()), wal);
}

// The zeroes after a switch are no place to stop: WAL continues in the next segment.
TEST(WalReader, StartsInTheZeroesAfterASwitch) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 20000);
  wal.Switch();
  const Lsn next(wal.position());
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  const Lsn end(wal.position());
  const Lsn after_switch(wal.written()[1].start.value + kRecordHeaderSize + 2);
  for (const Lsn from : {after_switch, Lsn((after_switch.value | kWalPageMask) + 1),
                         Lsn(next.value - kWalPageSize), Lsn(next.value - 8), next}) {
    const ReadAll read(WalReaderOptions{{dir.path()}, from, {}, {}});
    ASSERT_FALSE(read.error) << from.ToString() << read.error->message;
    ASSERT_EQ(read.records.size(), 1u) << from.ToString();
    EXPECT_EQ(read.end, end);
  }
  // After the last switch nothing follows.
  wal.Switch();
  fs::remove_all(dir.path());
  fs::create_directory(dir.path());
  wal.Save(dir.path());
  const ReadAll last(WalReaderOptions{{dir.path()}, Lsn(wal.position() - kWalPageSize), {}, {}});
  EXPECT_FALSE(last.error) << last.error->message;
  EXPECT_TRUE(last.records.empty());
}

TEST(WalReader, AStartAfterTheEndOfWalIsAnError) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  const Lsn end(wal.position());
  const auto read = [&](Lsn from) { return ReadAll(WalReaderOptions{{dir.path()}, from, {}, {}}); };
  EXPECT_FALSE(read(end).error);
  for (const Lsn from : {Lsn(end.value + 8), Lsn(end.value + 3 * kWalPageSize)}) {
    ASSERT_TRUE(read(from).error) << from.ToString();
    EXPECT_EQ(read(from).error->code, ErrorCode::kNotFound);
    EXPECT_NE(read(from).error->message.find("after the end of WAL at " + end.ToString()),
              std::string::npos)
        << read(from).error->message;
  }
  const ReadAll reversed(WalReaderOptions{{dir.path()}, end, Lsn(end.value - 8), {}});
  ASSERT_TRUE(reversed.error);
  EXPECT_EQ(reversed.error->code, ErrorCode::kInvalidArgument);
}

TEST(WalReader, AStartWithinTheLastRecordIsAnError) {
  TempDirectory dir;
  // One in a page, one that crosses pages, and one of which a page has nothing but the rest.
  for (const size_t length : {size_t{100}, size_t{9000}, size_t{30'000}}) {
    WalWriter wal;
    for (int i = 0; i < 3; i++) wal.Append(10, 0, 100);
    const auto last = wal.Append(10, 0, length);
    wal.Save(dir.path());
    const auto read = [&](Lsn from, std::optional<Lsn> to = {}) {
      return ReadAll(WalReaderOptions{{dir.path()}, from, to, {}});
    };
    for (const Lsn from : {last.start + 1, last.start + 8, Lsn(last.end.value - 8)}) {
      const auto got = read(from);
      ASSERT_TRUE(got.error) << from.ToString();
      EXPECT_EQ(got.error->code, ErrorCode::kNotFound);
      EXPECT_NE(got.error->message.find("no record starts at or after LSN " + from.ToString() +
                                        ": WAL ends at " + last.end.ToString()),
                std::string::npos)
          << got.error->message;
      // The end, from where a command that follows reads on.
      EXPECT_EQ(got.end, last.end);
      // A range within one record has none, and says nothing about the end of WAL.
      EXPECT_FALSE(read(from, Lsn(last.end.value - 8)).error);
    }
    EXPECT_EQ(read(last.start).records.size(), 1u);
    EXPECT_EQ(read(Lsn(last.start.value - 8)).records.size(), 1u);
    EXPECT_FALSE(read(last.end).error);
  }
}

TEST(WalReader, AStartInTheZeroesAfterTheLastSwitchIsTheEndOfWal) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  const auto last = wal.Switch();
  wal.Save(dir.path());
  const auto read = [&](uint64_t from) {
    return ReadAll(WalReaderOptions{{dir.path()}, Lsn(from), {}, {}});
  };
  for (const uint64_t from : {last.start.value + kRecordHeaderSize + 8, last.end.value - 8}) {
    EXPECT_FALSE(read(from).error) << Lsn(from).ToString();
    EXPECT_EQ(read(from).end, last.end);
  }
  EXPECT_TRUE(read(last.start.value + 8).error);
}

TEST(WalReader, FollowsAnOverwrittenContrecord) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  const auto torn = wal.Append(10, 0, 50000);
  wal.Abandon(torn.start + 3 * kWalPageSize);
  wal.Append(10, 0, 77);
  wal.Save(dir.path());
  ExpectAll(ReadAll(dir.path()), wal);

  // A page that claims to overwrite, but whose record names another place.
  wal.At(wal.written()[1].start)[30] ^= 1;
  const auto& record = wal.written()[1];
  uint8_t* at = wal.At(record.start);
  const uint32_t crc = RecordCrc32c(Bytes(at, record.bytes.size()));
  std::memcpy(at + 20, &crc, 4);
  wal.Save(dir.path());
  const ReadAll read(dir.path());
  ASSERT_TRUE(read.error);
  EXPECT_EQ(read.error->code, ErrorCode::kCorrupt);
  EXPECT_NE(read.error->message.find(torn.start.ToString()), std::string::npos);
}

TEST(WalReader, StartsAtTheFirstRecordAtOrAfterFrom) {
  TempDirectory dir;
  const WalWriter wal = Mixed(1 << 20, 2500000, 3);
  wal.Save(dir.path());
  std::mt19937 random(4);
  const uint64_t first = 3 << 20;
  for (int i = 0; i < 300; i++) {
    Lsn from(first + random() % (wal.position() - first));
    if (i % 3 == 0) from = wal.written()[random() % wal.written().size()].start;
    if (i % 3 == 1) from = Lsn(from.value & ~kWalPageMask);
    const ReadAll read(WalReaderOptions{{dir.path()}, from, std::nullopt, std::nullopt});
    ASSERT_FALSE(read.error) << read.error->message;
    auto expected = std::find_if(wal.written().begin(), wal.written().end(),
                                 [&](const auto& w) { return w.start >= from; });
    ASSERT_EQ(read.records.size(), static_cast<size_t>(wal.written().end() - expected));
    ExpectPrefix(read.records, Records(expected, wal.written().end()));
  }
}

TEST(WalReader, StopsBeforeTo) {
  TempDirectory dir;
  const WalWriter wal = Mixed(1 << 20, 1500000, 5);
  wal.Save(dir.path());
  // Nothing behind `to` is looked at: not even whether its segment is there.
  fs::remove(dir.path() + "/" + wal.SegmentFile(1));
  const Lsn boundary(4 << 20);
  for (size_t i = 0; wal.written()[i].end < boundary; i += 7) {
    const auto& w = wal.written()[i];
    for (const Lsn to : {w.end, Lsn(w.end.value - 9)}) {
      const ReadAll read(WalReaderOptions{{dir.path()}, std::nullopt, to, std::nullopt});
      ASSERT_FALSE(read.error) << read.error->message;
      EXPECT_TRUE(read.reached_to);
      EXPECT_EQ(read.records.size(), to == w.end ? i + 1 : i);
    }
  }
  const ReadAll read(WalReaderOptions{{dir.path()}, std::nullopt, boundary, std::nullopt});
  EXPECT_FALSE(read.error);
  EXPECT_TRUE(read.reached_to);
}

TEST(WalReader, FromOutsideTheWalIsAnError) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  const Lsn end(wal.position());
  auto read = [&](Lsn from) {
    return ReadAll(WalReaderOptions{{dir.path()}, from, std::nullopt, std::nullopt});
  };
  EXPECT_TRUE(read(end).records.empty());
  EXPECT_FALSE(read(end).error);
  for (const Lsn from : {Lsn(1 << 20), Lsn(4 << 20), Lsn(end.value + 5 * kWalPageSize)}) {
    ASSERT_TRUE(read(from).error);
    EXPECT_EQ(read(from).error->code, ErrorCode::kNotFound);
    EXPECT_NE(read(from).error->message.find(from.ToString()), std::string::npos)
        << read(from).error->message;
  }
}

// Recovery refuses a short segment; a partial one ends where its file does.
TEST(WalReader, EveryTruncationOfTheLastSegmentIsAnErrorUnlessItIsPartial) {
  WalWriter wal(1 << 20);
  while (wal.position() < (uint64_t{4} << 20) - 300) wal.Append(10, 0, 200);
  for (size_t length : {100, 3000, 9000, 20, 20000}) wal.Append(10, 0, length);
  ASSERT_GT(wal.position(), uint64_t{4} << 20);
  TempDirectory dir;
  wal.Save(dir.path());
  const std::string last = dir.path() + "/" + wal.SegmentFile(1);
  const uint64_t used = wal.position() - (4 << 20);
  ASSERT_LT(used, 60000u);
  const WalReaderOptions options{{dir.path()}, Lsn((4 << 20) - 1000), std::nullopt, std::nullopt};
  for (uint64_t size = used + 1; size-- > 0;) {
    // Every size within the first bytes of a page, where the headers are; elsewhere some.
    if (size % 8192 > 200 && size % 61 != 0) continue;
    fs::resize_file(last, size);
    const ReadAll whole(options);
    ASSERT_TRUE(whole.error) << size;
    ASSERT_EQ(whole.error->code, ErrorCode::kCorrupt) << whole.error->message;
    const std::string words = "truncated: it has " + std::to_string(size) + " bytes";
    ASSERT_NE(whole.error->message.find(words), std::string::npos) << whole.error->message;
    fs::rename(last, last + ".partial");
    const ReadAll read(WalReaderOptions{{dir.path()}, Lsn(4 << 20), std::nullopt, std::nullopt});
    const ReadAll all(options);
    fs::rename(last + ".partial", last);
    ASSERT_FALSE(all.error) << size << all.error->message;
    ASSERT_EQ(whole.records.size(), all.records.size()) << size;
    const Lsn end((4 << 20) + size);
    size_t expected = 0;
    for (const auto& w : wal.written()) {
      // Bytes cut off that were zero anyway are not missed.
      if (w.start.value >= (4 << 20) - 1000 && w.end.value <= end.value) expected++;
    }
    ASSERT_GE(all.records.size(), expected) << size;
    ASSERT_LE(all.records.size(), expected + 1) << size;
    const size_t skipped = static_cast<size_t>(
        std::find_if(wal.written().begin(), wal.written().end(),
                     [](const auto& w) { return w.start.value >= (4 << 20) - 1000; }) -
        wal.written().begin());
    ExpectPrefix(all.records,
                 Records(wal.written().begin() + static_cast<long>(skipped), wal.written().end()));
    // Within the segment itself: records, or a plain "there is no WAL".
    if (read.error) {
      ASSERT_EQ(read.error->code, ErrorCode::kNotFound) << read.error->message;
    }
  }
}

TEST(WalReader, EveryFlippedBitIsFoundOrAtTheEnd) {
  WalWriter wal(1 << 20);
  for (int i = 0; i < 30; i++) wal.Append(10, 0, static_cast<size_t>(i * 67 % 400));
  wal.Append(10, 0, 12000);
  for (int i = 0; i < 30; i++) wal.Append(10, 0, static_cast<size_t>(i * 31 % 200));
  const Lsn last = wal.written().back().start;
  TempDirectory dir;
  wal.Save(dir.path());
  const std::string path = dir.path() + "/" + wal.SegmentFile(0);
  size_t unseen = 0;
  for (uint64_t at = 0; at < wal.wal().size(); at++) {
    for (int bit = 0; bit < 8; bit += at % 64 < 56 ? 3 : 1) {
      const char flipped = static_cast<char>(wal.wal()[at] ^ (1 << bit));
      Overwrite(path, at, std::string(1, flipped));
      const ReadAll read(dir.path());
      ExpectPrefix(read.records, wal.written());
      if (read.error) {
        ASSERT_EQ(read.error->code, ErrorCode::kCorrupt);
        ASSERT_NE(read.error->message.find(wal.SegmentFile(0)), std::string::npos);
        ASSERT_NE(read.error->message.find("LSN 0/"), std::string::npos);
      } else if (read.records.size() < wal.written().size()) {
        // Taken for the end of WAL: only right where nothing valid follows.
        ASSERT_GE(read.end, last) << "byte " << at << " bit " << bit << ": " << read.reason;
      } else {
        unseen++;  // padding, or a flag that says nothing here
      }
    }
    Overwrite(path, at, wal.wal().substr(at, 1));
  }
  EXPECT_LT(unseen, wal.wal().size() / 10);
}

TEST(WalReader, DamageNamesFileOffsetAndLsn) {
  TempDirectory dir;
  WalWriter wal = Mixed(1 << 20, 1500000, 6);
  wal.Save(dir.path());
  const auto& victim = wal.written()[wal.written().size() / 4];
  const uint64_t offset = victim.start.value & ((1 << 20) - 1);
  ASSERT_LT(offset + 40, uint64_t{1} << 20);
  const std::string path = dir.path() + "/" + wal.SegmentFile(0);
  const char byte = static_cast<char>(*wal.At(victim.start + 24) ^ 4);
  Overwrite(path, offset + 24, std::string(1, byte));
  const ReadAll read(dir.path());
  ASSERT_TRUE(read.error);
  EXPECT_EQ(read.records.size(), wal.written().size() / 4);
  for (const std::string& part : {path, victim.start.ToString(), std::to_string(offset)})
    EXPECT_NE(read.error->message.find(part), std::string::npos) << read.error->message;
}

TEST(WalReader, MissingSegmentsAreErrorsWhenLaterOnesAreThere) {
  TempDirectory dir;
  const WalWriter wal = Mixed(1 << 20, 3500000, 7);
  wal.Save(dir.path());
  fs::remove(dir.path() + "/" + wal.SegmentFile(1));
  const ReadAll read(dir.path());
  ASSERT_TRUE(read.error);
  EXPECT_EQ(read.error->code, ErrorCode::kCorrupt);
  EXPECT_FALSE(read.records.empty());
  for (const std::string& part : {wal.SegmentFile(1), std::string("0/400000")})
    EXPECT_NE(read.error->message.find(part), std::string::npos) << read.error->message;
  // After the last one it is the end.
  fs::remove(dir.path() + "/" + wal.SegmentFile(2));
  fs::remove(dir.path() + "/" + wal.SegmentFile(3));
  EXPECT_FALSE(ReadAll(dir.path()).error);
}

TEST(WalReader, ATruncatedSegmentIsAnErrorWhenLaterOnesAreThere) {
  const WalWriter wal = Mixed(1 << 20, 2500000, 8);
  for (uint64_t size : {0u, 10u, 39u, 8192u, 100000u, 500001u, (1u << 20) - 8}) {
    TempDirectory dir;
    wal.Save(dir.path());
    fs::resize_file(dir.path() + "/" + wal.SegmentFile(1), size);
    const ReadAll read(dir.path());
    ASSERT_TRUE(read.error) << size;
    EXPECT_EQ(read.error->code, ErrorCode::kCorrupt);
    for (const std::string& part : {wal.SegmentFile(1), std::string("truncated"),
                                    std::to_string(size) + " bytes", std::string("LSN 0/4")})
      EXPECT_NE(read.error->message.find(part), std::string::npos) << read.error->message;
  }
}

TEST(WalReader, ASegmentCutBehindASwitchIsAnErrorToo) {
  TempDirectory dir;
  WalWriter wal;
  wal.Append(10, 0, 100);
  wal.Switch();
  wal.Append(10, 0, 100);
  wal.Save(dir.path());
  fs::resize_file(dir.path() + "/" + wal.SegmentFile(0), 16384);
  const ReadAll read(dir.path());
  ASSERT_TRUE(read.error);
  EXPECT_EQ(read.records.size(), 2u);
  EXPECT_NE(read.error->message.find("truncated"), std::string::npos) << read.error->message;
}

TEST(WalReader, ForeignSegmentsAreNamed) {
  const WalWriter wal = Mixed(1 << 20, 3500000, 9);
  WalWriter other(1 << 20, 4);
  other.set_system_identifier(42);
  other.Append(10, 0, 10);
  WalWriter big(2 << 20, 2);
  big.Append(10, 0, 10);
  WalWriter newer(1 << 20, 4000);
  newer.Append(10, 0, 10);
  auto head = [](WalWriter& w) {
    std::string bytes = w.wal();
    bytes.resize(1 << 20, '\0');
    return bytes;
  };
  std::string version = head(other);
  version[0] = 0x16;
  std::string unknown = version;
  unknown[0] = '\x01';
  const std::pair<std::string, std::string> cases[] = {
      {head(other), "system 42"},
      {head(big), "segments of 2097152 bytes"},
      {head(newer), "address 0/FA000000"},
      {version, "page magic D116, the other segments are of PostgreSQL 15"},
      {unknown, "page magic D101, expected D110 (PostgreSQL 15), D116 (PostgreSQL 17)"},
      {std::string(1 << 20, 'x'), "page magic 7878"},
      {std::string(3 << 20, '\0'), "3145728 bytes"},
  };
  // In the middle, and behind the end, where no record reaches.
  for (uint64_t index : {1, 5}) {
    for (const auto& [bytes, words] : cases) {
      TempDirectory dir;
      wal.Save(dir.path());
      std::ofstream(dir.path() + "/" + wal.SegmentFile(index), std::ios::binary) << bytes;
      const ReadAll read(dir.path());
      ASSERT_TRUE(read.error) << words;
      EXPECT_EQ(read.error->code, ErrorCode::kCorrupt);
      const std::string lsn = Lsn((3 + index) << 20).ToString();
      for (const std::string& part : {wal.SegmentFile(index), words, lsn})
        EXPECT_NE(read.error->message.find(part), std::string::npos) << read.error->message;
    }
  }
}

TEST(WalReader, HostileBytesNeverMakeARecord) {
  WalWriter wal = Mixed(1 << 20, 200000, 10);
  std::mt19937 random(11);
  for (int round = 0; round < 400; round++) {
    std::string bytes = wal.wal();
    bytes.resize(1 << 20, '\0');
    const size_t runs = 1 + random() % 3;
    for (size_t i = 0; i < runs; i++) {
      const size_t at = random() % 220000;
      const size_t n = 1 + random() % (round % 2 ? 8 : 9000);
      const uint32_t kind = random() % 3;
      for (size_t j = at; j < at + n; j++)
        bytes[j] = kind == 0 ? '\0' : kind == 1 ? '\xff' : static_cast<char>(random());
    }
    TempDirectory dir;
    std::ofstream(dir.path() + "/" + wal.SegmentFile(0), std::ios::binary) << bytes;
    const ReadAll read(dir.path());
    ExpectPrefix(read.records, wal.written());
  }
}

}  // namespace
}  // namespace neon_redo
