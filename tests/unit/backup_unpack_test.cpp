// Packed and spooled bytes: whole, damaged, cut off, and more than they should be.
#include "cpp_core/backup/unpack.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "cpp_core/backup/spool.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr Packing kPackings[] = {Packing::kGzip, Packing::kZlib,  Packing::kLz4,
                                 Packing::kZstd, Packing::kBzip2, Packing::kXz};

// Gives a text in pieces.
class TextSource : public ByteSource {
 public:
  TextSource(std::string text, size_t piece) : text_(std::move(text)), piece_(piece) {}
  Result<size_t> Read(WritableBytes out) override {
    const size_t count = std::min({piece_, out.size(), text_.size() - at_});
    std::copy_n(text_.data() + at_, count, out.data());
    at_ += count;
    return count;
  }

 private:
  const std::string text_;
  const size_t piece_;
  size_t at_ = 0;
};

Result<std::string> Unpacked(const std::string& packed, Packing packing, size_t piece = SIZE_MAX) {
  const auto source = Unpack(std::make_unique<TextSource>(packed, piece), packing, "file \"x\"");
  return ReadRest(source.get(), 100 << 20, "file \"x\"");
}

TEST(Unpack, WhatWasPacked) {
  const std::string plain = Noise(300'000);
  for (const Packing packing : kPackings) {
    const std::string packed = Packed(plain, packing);
    EXPECT_LT(packed.size(), plain.size());
    for (const size_t piece : {size_t{1000}, SIZE_MAX}) {
      const auto got = Unpacked(packed, packing, piece);
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_TRUE(*got == plain) << static_cast<int>(packing);
    }
    // Several members or frames after each other, one of them empty.
    const auto more = Unpacked(packed + Packed("", packing) + Packed("end", packing), packing, 777);
    ASSERT_TRUE(more) << static_cast<int>(packing) << more.error().message;
    EXPECT_TRUE(*more == plain + "end") << static_cast<int>(packing);
  }
}

// The formats without a checksum, and without a mark at the beginning.
TEST(Unpack, LzmaAndBrotli) {
  const std::string plain = Noise(300'000);
  for (const Packing packing : {Packing::kLzma, Packing::kBrotli}) {
    SCOPED_TRACE(PackingName(packing));
    const std::string packed = Packed(plain, packing);
    EXPECT_LT(packed.size(), plain.size());
    for (const size_t piece : {size_t{1000}, SIZE_MAX}) {
      const auto got = Unpacked(packed, packing, piece);
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_TRUE(*got == plain);
    }
    EXPECT_EQ(Unpacked(Packed("", packing), packing), "");
    for (size_t size = 0; size < packed.size(); size += 997) {
      const auto cut = Unpacked(packed.substr(0, size), packing);
      ASSERT_FALSE(cut) << size;
      EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
    }
    EXPECT_FALSE(Unpacked("\xff\xff" + packed, packing));
    EXPECT_FALSE(Unpacked(std::string(1000, '\xff'), packing));
  }
  // A header that asks for a dictionary of 2 GB.
  std::string large = Packed(plain, Packing::kLzma);
  large[4] = '\x7f';
  ErrorCode code{};
  ErrorOf(Unpacked(large, Packing::kLzma), &code);
  EXPECT_EQ(code, ErrorCode::kUnsupported);
}

TEST(Unpack, EveryCutIsFound) {
  const std::string plain = Noise(3000);
  for (const Packing packing : kPackings) {
    const std::string packed = Packed(plain, packing);
    for (size_t size = 0; size < packed.size(); size++) {
      const auto got = Unpacked(packed.substr(0, size), packing);
      ASSERT_FALSE(got) << static_cast<int>(packing) << " cut to " << size;
      EXPECT_EQ(got.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(got.error().message.find("file \"x\" at packed byte"), std::string::npos);
    }
  }
}

TEST(Unpack, NoFlippedByteGivesAnotherText) {
  const std::string plain = Noise(3000);
  for (const Packing packing : kPackings) {
    const std::string packed = Packed(plain, packing);
    for (size_t at = 0; at < packed.size(); at++) {
      std::string flipped = packed;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
      const auto got = Unpacked(flipped, packing);
      // Time and system in gzip's header are not covered by its checksum.
      EXPECT_TRUE(!got || *got == plain) << static_cast<int>(packing) << " byte " << at;
    }
    EXPECT_FALSE(Unpacked(packed + "x", packing));
    EXPECT_FALSE(Unpacked("x" + packed, packing));
  }
}

TEST(Unpack, ZeroesAfterGzipAndXzAreNoDamage) {
  const std::string plain = Noise(3000);
  for (const Packing packing : kPackings) {
    const auto got = Unpacked(Packed(plain, packing) + std::string(200000, '\0'), packing);
    EXPECT_EQ(got.has_value(), packing == Packing::kGzip || packing == Packing::kXz)
        << static_cast<int>(packing);
    if (got) {
      EXPECT_TRUE(*got == plain);
    }
  }
}

// The header of a frame of zstd: magic, no flags, a window of 256 MB. Then the frame needs no content.
TEST(Unpack, AFrameThatNeedsTooMuchMemoryIsNotDamaged) {
  const auto got = Unpacked(std::string("\x28\xb5\x2f\xfd\0\x90\x01\0\0", 9), Packing::kZstd);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(
      got.error().message,
      "could not decompress file \"x\": it needs more than 128 MB of memory; decompress it first");
}

TEST(Unpack, Names) {
  EXPECT_EQ(PackingOfName("base.tar.gz"), Packing::kGzip);
  EXPECT_EQ(PackingOfName("16384.bz2"), Packing::kBzip2);
  EXPECT_FALSE(PackingOfName("base.tar"));
  EXPECT_STREQ(PackingSuffix(Packing::kZstd), ".zst");
  EXPECT_STREQ(PackingSuffix(Packing::kNone), "");
}

TEST(Spool, TakesExactlyWhatIsAnnounced) {
  TempDirectory directory;
  auto spool = Spool::Create(directory.path());
  ASSERT_TRUE(spool) << spool.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));  // it has no name
  const std::string first = Noise(600'000), second = Noise(10, 2);
  for (const std::string& text : {first, second}) {
    TextSource source(text, SIZE_MAX);
    const auto begin = (*spool)->Take(&source, text.size(), "file \"x\"");
    ASSERT_TRUE(begin) << begin.error().message;
    std::string got(text.size(), '\0');
    EXPECT_EQ(ReadFileAt((*spool)->file()->get(), *begin,
                         {reinterpret_cast<uint8_t*>(got.data()), got.size()}, "spool"),
              got.size());
    EXPECT_TRUE(got == text);
  }
  EXPECT_EQ((*spool)->size(), 600'010u);
  for (const uint64_t size : {uint64_t{9}, uint64_t{11}}) {
    TextSource source(second, SIZE_MAX);
    EXPECT_EQ((*spool)->Take(&source, size, "x").error().code, ErrorCode::kCorrupt) << size;
  }
  // What cannot be is refused before a byte is written.
  for (const uint64_t size : {uint64_t{1} << 60, UINT64_MAX}) {
    TextSource source(second, SIZE_MAX);
    const auto refused = (*spool)->Take(&source, size, "file \"x\"");
    EXPECT_EQ(refused.error().code, ErrorCode::kIo);
    EXPECT_NE(refused.error().message.find(directory.path()), std::string::npos);
  }
  EXPECT_FALSE(Spool::Create(directory.path() + "/none"));
}

// 100 MB in less than 200 kB: as much is unpacked as is announced, and no more.
TEST(Spool, BombsEndAtTheAnnouncedSize) {
  TempDirectory directory;
  auto spool = Spool::Create(directory.path());
  ASSERT_TRUE(spool);
  const std::string bomb = Packed(std::string(100 << 20, '\0'), Packing::kGzip);
  EXPECT_LT(bomb.size(), size_t{200} << 10);
  const auto source = Unpack(std::make_unique<TextSource>(bomb, SIZE_MAX), Packing::kGzip, "x");
  const auto taken = (*spool)->Take(source.get(), 8192, "file \"x\"");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message, "file \"x\" has more bytes, and should have 8192");
  EXPECT_LE(FileSize((*spool)->file()->get(), "x").value_or(UINT64_MAX), 8192u);
}

}  // namespace
}  // namespace neon_redo
