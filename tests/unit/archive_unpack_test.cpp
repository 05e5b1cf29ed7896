// Compressed segments: each format, damage in it, and content that is larger than a segment.
#include "cpp_core/archive/unpack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "cpp_core/archive/listing.h"
#include "cpp_core/archive/segment_file.h"
#include "cpp_core/archive/wal_set.h"
#include "tests/unit/packed.h"
#include "tests/unit/pgbackrest_files.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

constexpr Packing kAll[] = {Packing::kGzip, Packing::kLz4, Packing::kZstd, Packing::kBzip2,
                            Packing::kXz};
constexpr const char* kSuffixes[] = {".gz", ".lz4", ".zst", ".bz2", ".xz"};

class UnpackTest : public testing::Test {
 protected:
  Result<std::string> Read(Packing packing, const std::string& file, size_t capacity,
                           bool* is_cut = nullptr) {
    const std::string path = dir_.path() + "/packed";
    std::ofstream(path, std::ios::binary) << file;
    const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    // A byte more than that is allowed, which must stay as it is.
    std::string out(capacity + 1, '#');
    const auto unpacked =
        Unpack(packing, fd.get(), path, reinterpret_cast<uint8_t*>(out.data()), capacity);
    EXPECT_EQ(out.back(), '#');
    if (!unpacked) {
      if (unpacked.error().code == ErrorCode::kCorrupt) {
        EXPECT_NE(unpacked.error().message.find(path), std::string::npos);
      }
      return tl::unexpected(unpacked.error());
    }
    if (is_cut != nullptr) *is_cut = unpacked->is_cut;
    out.resize(unpacked->size);
    return out;
  }
  static std::string Noise(size_t bytes) {
    std::string out(bytes, '\0');
    uint32_t noise = 1;
    for (size_t i = 0; i < bytes; i++)
      out[i] = static_cast<char>(i % 1000 < 500 ? 'x' : (noise = noise * 1103515245 + 12345) >> 16);
    return out;
  }

  TempDirectory dir_;
};

TEST_F(UnpackTest, EachFormat) {
  const std::string content = Noise(700000);
  for (const Packing packing : kAll) {
    SCOPED_TRACE(PackingName(packing));
    const std::string packed = Packed(content, packing);
    EXPECT_EQ(PackingOf(Bytes(reinterpret_cast<const uint8_t*>(packed.data()), 8)), packing);
    for (const size_t capacity : {content.size(), content.size() + 1, size_t{1} << 20}) {
      const auto read = Read(packing, packed, capacity);
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(*read, content);
    }
    // Several streams in one file.
    const auto twice = Read(packing, packed + packed, 2 << 20);
    ASSERT_TRUE(twice) << twice.error().message;
    EXPECT_EQ(*twice, content + content);
    EXPECT_EQ(*Read(packing, Packed("", packing), 100), "");
  }
}

TEST_F(UnpackTest, MoreThanASegmentIsDamage) {
  const std::string bomb = std::string(50 << 20, '\0');
  for (const Packing packing : kAll) {
    SCOPED_TRACE(PackingName(packing));
    const std::string packed = Packed(bomb, packing);
    for (const size_t capacity : {size_t{0}, size_t{1}, size_t{1} << 20, bomb.size() - 1}) {
      const auto read = Read(packing, packed, capacity);
      ASSERT_FALSE(read);
      EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(read.error().message.find("has more than"), std::string::npos)
          << read.error().message;
    }
  }
}

TEST_F(UnpackTest, ZeroesAfterAStreamOfGzipOrXzAreNoDamage) {
  const std::string content = Noise(70000), end = "end";
  for (const Packing packing : kAll) {
    SCOPED_TRACE(PackingName(packing));
    const bool allows = packing == Packing::kGzip || packing == Packing::kXz;
    const std::string packed = Packed(content, packing);
    for (const size_t zeroes : {4, 512, 300000}) {
      const std::string padded = packed + std::string(zeroes, '\0');
      bool is_cut = false;
      const auto read = Read(packing, padded, 1 << 20, &is_cut);
      EXPECT_EQ(read.has_value() && !is_cut, allows) << zeroes;
      if (!allows) continue;
      EXPECT_TRUE(*read == content) << zeroes;
      EXPECT_TRUE(*Read(packing, padded + Packed(end, packing), 1 << 20) == content + end);
      EXPECT_FALSE(Read(packing, padded + "trailing garbage", 1 << 20));
    }
  }
}

TEST_F(UnpackTest, ACutFileIsTold) {
  const std::string content = Noise(300000);
  for (const Packing packing : kAll) {
    SCOPED_TRACE(PackingName(packing));
    const std::string packed = Packed(content, packing);
    for (size_t cut = 1; cut < packed.size(); cut += 1 + packed.size() / 97) {
      bool is_cut = false;
      const auto read = Read(packing, packed.substr(0, cut), 1 << 20, &is_cut);
      if (!read) continue;
      EXPECT_TRUE(is_cut) << cut << " of " << packed.size();
      EXPECT_EQ(*read, content.substr(0, read->size()));
    }
    EXPECT_FALSE(Read(packing, packed + "trailing garbage", 1 << 20)) << "accepts garbage";
  }
}

// With the formats' checksums, no flipped bit gives other bytes.
TEST_F(UnpackTest, FlippedBitsGiveNoOtherContent) {
  const std::string content = Noise(60000);
  for (const Packing packing : kAll) {
    SCOPED_TRACE(PackingName(packing));
    const std::string packed = Packed(content, packing);
    for (size_t at = 0; at < packed.size(); at += 1 + packed.size() / 211) {
      std::string flipped = packed;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      bool is_cut = false;
      const auto read = Read(packing, flipped, 1 << 20, &is_cut);
      if (read && !is_cut) {
        EXPECT_EQ(*read, content) << at;
      }
    }
  }
}

// A frame whose header asks for this window, whatever it holds.
std::string ZstdWithWindow(const std::string& in, int window_log) {
  std::string out(ZSTD_compressBound(in.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_inBuffer from{in.data(), in.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // Not in one call, after which the frame would have the size of its content.
  EXPECT_FALSE(ZSTD_isError(ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush)));
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

// The header of the first block is made to ask for a dictionary of 4 << (code / 2 + 10) bytes.
std::string XzWithDictionary(const std::string& in, uint8_t code) {
  std::string out = Packed(in, Packing::kXz);
  constexpr size_t kHeader = LZMA_STREAM_HEADER_SIZE;
  auto* header = reinterpret_cast<uint8_t*>(out.data()) + kHeader;
  const size_t size = (header[0] + size_t{1}) * 4 - 4;
  size_t at = 2;
  for (const uint8_t has_size : {0x40, 0x80}) {
    if ((header[1] & has_size) == 0) continue;
    while (header[at] & 0x80) at++;
    at++;
  }
  EXPECT_EQ(header[at], 0x21);  // LZMA2
  header[at + 2] = code;
  const uint32_t crc = lzma_crc32(header, size, 0);
  std::memcpy(header + size, &crc, sizeof(crc));
  return out;
}

TEST_F(UnpackTest, AStreamThatNeedsTooMuchMemoryIsNotDamaged) {
  const std::string content = Noise(100000);
  EXPECT_EQ(*Read(Packing::kZstd, ZstdWithWindow(content, 27), 1 << 20), content);
  EXPECT_EQ(*Read(Packing::kXz, XzWithDictionary(content, 28), 1 << 20), content);
  for (const auto& [packing, packed] : {std::pair(Packing::kZstd, ZstdWithWindow(content, 28)),
                                        std::pair(Packing::kXz, XzWithDictionary(content, 32))}) {
    SCOPED_TRACE(PackingName(packing));
    const auto read = Read(packing, packed, 1 << 20);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(read.error().message.find("/packed\": it needs more than 128 MB"), std::string::npos)
        << read.error().message;
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// With no room for the stream's window: in a process of its own, since the limit is the process's.
TEST_F(UnpackTest, AShortageOfMemoryIsNotDamage) {
  const std::string content = Noise(100000);
  const std::pair<Packing, std::string> streams[] = {{Packing::kZstd, ZstdWithWindow(content, 27)},
                                                     {Packing::kXz, XzWithDictionary(content, 28)}};
  for (const auto& stream : streams) {
    const Packing packing = stream.first;
    const auto in_little_memory = [&] {
      const rlimit limit{uint64_t{64} << 20, uint64_t{64} << 20};
      if (setrlimit(RLIMIT_DATA, &limit) != 0) _exit(2);
      const auto read = Read(packing, stream.second, 1 << 20);
      const bool is_right =
          !read && read.error().code == ErrorCode::kOutOfMemory &&
          read.error().message.find("/packed\": out of memory") != std::string::npos;
      if (!is_right) fmt::print(stderr, "{}\n", read ? "it was read" : read.error().message);
      _exit(is_right ? 0 : 1);
    };
    EXPECT_EXIT(in_little_memory(), testing::ExitedWithCode(0), "") << PackingName(packing);
  }
}
#endif

class PackedSegments : public testing::Test {
 protected:
  static constexpr uint32_t kSize = 1 << 20;

  void SetUp() override {
    while (wal_.wal().size() < 6 * kSize - 30000) wal_.Append(10, 0, 9000);
  }
  std::string Content(uint64_t i) const {
    std::string out = wal_.wal().substr(i * kSize, kSize);
    out.resize(kSize, '\0');
    return out;
  }
  void Write(const std::string& name, const std::string& content) const {
    const fs::path path = dir_.path() + "/" + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  void ExpectAll(const std::string& path) const {
    const ReadAll read(path);
    ASSERT_FALSE(read.error) << read.error->message;
    ASSERT_EQ(read.records.size(), wal_.written().size());
    for (size_t i = 0; i < read.records.size(); i++)
      ASSERT_EQ(read.records[i].bytes, wal_.written()[i].bytes);
  }
  void ExpectError(const std::string& words) const {
    const ReadAll read(dir_.path());
    ASSERT_TRUE(read.error) << words;
    EXPECT_EQ(read.error->code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error->message.find(words), std::string::npos) << read.error->message;
  }

  TempDirectory dir_;
  WalWriter wal_{kSize};
};

TEST_F(PackedSegments, EachFormatWithSuffixAndWithout) {
  for (const bool with_suffix : {true, false}) {
    for (uint64_t i = 0; i < 5; i++) {
      fs::remove(dir_.path() + "/" + wal_.SegmentFile(i) + kSuffixes[i]);
      Write(wal_.SegmentFile(i) + (with_suffix ? kSuffixes[i] : ""), Packed(Content(i), kAll[i]));
    }
    Write(wal_.SegmentFile(5), Content(5));
    ExpectAll(dir_.path());
  }
}

// Their names alone say what they are.
TEST_F(PackedSegments, LzmaAndBrotli) {
  const std::pair<Packing, const char*> kUnmarked[] = {{Packing::kLzma, ".lzma"},
                                                       {Packing::kBrotli, ".br"}};
  for (uint64_t i = 0; i < 5; i++)
    Write(wal_.SegmentFile(i) + kUnmarked[i % 2].second,
          Packed(Content(i), kUnmarked[i % 2].first));
  const std::string last = wal_.SegmentFile(5);
  Write(last + ".br.partial", Packed(Content(5).substr(0, kSize / 2), Packing::kBrotli));
  EXPECT_FALSE(ReadAll(dir_.path()).error);
  fs::remove(dir_.path() + "/" + last + ".br.partial");
  // WAL that nobody compressed, whatever its name says.
  Write(last + ".br", Content(5));
  ExpectAll(dir_.path());
  for (uint64_t i = 0; i < 2; i++) {
    const std::string file = wal_.SegmentFile(i) + kUnmarked[i].second;
    const std::string packed = Packed(Content(i), kUnmarked[i].first);
    Write(file, packed.substr(0, packed.size() / 2));
    ExpectError(file + "\" is cut short");
    Write(file, std::string(5000, '\xff'));
    ExpectError(file);
    Write(file, packed);
  }
  ExpectAll(dir_.path());
}

TEST_F(PackedSegments, WalG) {
  for (uint64_t i = 0; i < 6; i++) {
    const std::string file = "storage/wal_005/" + wal_.SegmentFile(i);
    Write(file + (i % 2 ? ".lz4" : ".br"),
          Packed(Content(i), i % 2 ? Packing::kLz4 : Packing::kBrotli));
    // Pages that it changes, for delta backups, and a part of such a list; facts on the segment.
    Write(file + "_delta.br", "x");
    Write(file + "_delta_part.lz4", "x");
    Write(file + ".json", "{}");
  }
  Write("storage/basebackups_005/base_000000010000000000000001_backup_stop_sentinel.json", "{}");
  for (const char* path : {"/storage", "/storage/wal_005"}) ExpectAll(dir_.path() + path);
  const auto listing = WalListing::Read(dir_.path() + "/storage");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_TRUE(listing->foreign.empty());
}

TEST_F(PackedSegments, PgBackRestAndBarman) {
  for (uint64_t i = 0; i < 6; i++) {
    const std::string name = wal_.SegmentFile(i), directory = name.substr(0, 16) + "/";
    const std::string hash = "-" + Sha1(Content(i));
    Write("stanza/15-1/" + directory + name + hash + (i % 2 ? ".gz" : ""),
          i % 2 ? Packed(Content(i), Packing::kGzip) : Content(i));
    Write("server/wals/" + directory + name, Packed(Content(i), Packing::kBzip2));
  }
  Write("stanza/15-1/0000000100000000/" + wal_.SegmentFile(1) + ".00000028.backup", "START WAL");
  Write("stanza/archive.info", "[backrest]");
  Write("server/wals/xlog.db", "x");
  for (const char* path : {"/stanza", "/stanza/15-1", "/server", "/server/wals"})
    ExpectAll(dir_.path() + path);
  // The segment in progress is in Barman's directory of streaming.
  const std::string last = wal_.SegmentFile(5);
  fs::remove(dir_.path() + "/server/wals/0000000100000000/" + last);
  Write("server/streaming/" + last + ".partial", Content(5));
  ExpectAll(dir_.path() + "/server");
  Write("stanza/17-2/0000000100000000/" + last, Content(5));
  const auto several = WalSet::Open(dir_.path() + "/stanza");
  ASSERT_FALSE(several);
  EXPECT_NE(several.error().message.find("/stanza/17-2"), std::string::npos);
}

TEST_F(PackedSegments, DamageIsNamed) {
  for (uint64_t i = 0; i < 6; i++) Write(wal_.SegmentFile(i), Content(i));
  const std::string name = wal_.SegmentFile(2);
  fs::remove(dir_.path() + "/" + name);
  for (size_t format = 0; format < 5; format++) {
    const std::string file = name + kSuffixes[format], packed = Packed(Content(2), kAll[format]);
    Write(file, packed.substr(0, packed.size() / 2));
    ExpectError(file + "\" is cut short");
    Write(file, packed + packed);
    ExpectError(file + "\" is damaged: it has more than 1048576 bytes");
    Write(file, "not compressed");
    ExpectError(
        file +
        "\", offset 0): it cannot be read as a segment of this WAL: it does not begin as a file that is compressed: it is damaged, or encrypted");
    Write(file, Packed(Content(2).substr(0, kSize / 2), kAll[format]));
    ExpectError(name);
    // A good copy beside it is read.
    Write(file, packed.substr(0, packed.size() / 2));
    Write(name, Content(2));
    ExpectAll(dir_.path());
    fs::remove(dir_.path() + "/" + name);
    fs::remove(dir_.path() + "/" + file);
  }
  const std::string other = name + "-" + Sha1("another") + ".gz";
  Write(other, Packed(Content(2), Packing::kGzip));
  ExpectError("SHA-1");
}

TEST_F(PackedSegments, ASegmentThatNeedsTooMuchMemoryIsNamed) {
  for (uint64_t i = 0; i < 6; i++) Write(wal_.SegmentFile(i), Content(i));
  const std::string name = wal_.SegmentFile(2);
  fs::remove(dir_.path() + "/" + name);
  Write(name + ".zst", ZstdWithWindow(Content(2), 28));
  const auto read =
      WalReader::Open({.directories = {dir_.path()}, .from = {}, .to = {}, .timeline = {}});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(read.error().message.find(name + ".zst\" is compressed; decompress it first"),
            std::string::npos)
      << read.error().message;
  Write(name, Content(2));
  ExpectAll(dir_.path());
}

// A receiver was interrupted: its last file has no end.
TEST_F(PackedSegments, APartialFileMayBeCut) {
  for (uint64_t i = 0; i < 5; i++) Write(wal_.SegmentFile(i), Content(i));
  for (size_t format = 0; format < 5; format++) {
    for (const std::string& suffix : {std::string(kSuffixes[format]) + ".partial",
                                      ".partial" + std::string(kSuffixes[format])}) {
      const std::string file = wal_.SegmentFile(5) + suffix;
      const std::string packed = Packed(Content(5), kAll[format]);
      Write(file, packed.substr(0, packed.size() - 1000));
      const ReadAll read(dir_.path());
      EXPECT_FALSE(read.error) << read.error->message;
      EXPECT_GE(read.records.size(), wal_.written().size() * 5 / 6);
      fs::remove(dir_.path() + "/" + file);
    }
  }
}

// To find where WAL begins, one page header is enough.
TEST_F(PackedSegments, TheStartIsReadWithoutTheRest) {
  const std::string content = Content(2);
  for (size_t format = 0; format < 5; format++) {
    SCOPED_TRACE(kSuffixes[format]);
    const std::string file = wal_.SegmentFile(2) + kSuffixes[format];
    const std::string packed = Packed(content + content, kAll[format]);
    Write(file, packed);
    Segment segment{};
    segment.path = dir_.path() + "/" + file;
    segment.packing = kAll[format];
    // Two segments are too much for a whole one.
    EXPECT_FALSE(SegmentReader::Open(segment, kSize));
    const auto start = SegmentReader::OpenStart(segment, 3 * kWalPageSize);
    ASSERT_TRUE(start) << start.error().message;
    std::string read(4 * kWalPageSize, '#');
    EXPECT_EQ(start->Read(reinterpret_cast<uint8_t*>(read.data()), read.size(), 0),
              static_cast<ssize_t>(3 * kWalPageSize));
    EXPECT_EQ(read.substr(0, 3 * kWalPageSize), content.substr(0, 3 * kWalPageSize));
  }
}

TEST_F(PackedSegments, MemoryIsUsedAgain) {
  SegmentContent content;
  const uint8_t *bytes = nullptr, *input = nullptr;
  for (const uint64_t i : {0, 1, 0}) {
    const std::string file = wal_.SegmentFile(i) + ".zst";
    Write(file, Packed(Content(i), Packing::kZstd));
    Segment segment{};
    segment.path = dir_.path() + "/" + file;
    segment.packing = Packing::kZstd;
    auto loaded = LoadSegment(segment, kSize, std::move(content));
    ASSERT_TRUE(loaded) << loaded.error().message;
    content = std::move(*loaded);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(content.bytes.get()), content.size),
              Content(i));
    if (bytes != nullptr) {
      EXPECT_EQ(content.bytes.get(), bytes);
      EXPECT_EQ(content.input.bytes.get(), input);
    }
    bytes = content.bytes.get();
    input = content.input.bytes.get();
  }
}

TEST_F(PackedSegments, FilesWithOtherSuffixesAreNamed) {
  for (uint64_t i = 0; i < 6; i++) Write(wal_.SegmentFile(i), Content(i));
  Write(wal_.SegmentFile(6) + ".7z", "x");
  const auto set = WalSet::Open(dir_.path());
  ASSERT_EQ(set->notes().size(), 1u);
  EXPECT_NE(set->notes()[0].find(".7z\" is left out"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo
