// What the WAL sender looks at before it sends pages: these pages, and no others.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "cpp_core/wal_server/wal_source.h"
#include "tests/unit/await.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

constexpr uint32_t kSegment = 16 << 20;

class SourceTest : public ::testing::Test {
 protected:
  void Overwrite(int segment, uint64_t page, const std::string& bytes) {
    std::fstream file(directory_.path() + "/" + wal_->SegmentFile(static_cast<size_t>(segment)),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(page * kWalPageSize));
    file << bytes;
  }
  void Open() {
    wal_->Save(directory_.path());
    auto source = WalSource::Open(directory_.path());
    ASSERT_TRUE(source) << source.error().message;
    source_ = std::move(*source);
  }
  std::shared_ptr<SegmentFile> Segment(uint64_t number) {
    auto file = source_->OpenSegment(1, number);
    EXPECT_TRUE(file);
    return file ? *file : nullptr;
  }

  TempDirectory directory_;
  std::optional<WalWriter> wal_{std::in_place, kSegment, 3};
  std::unique_ptr<WalSource> source_;
};

TEST_F(SourceTest, OnlyThePagesAskedForAreLookedAt) {
  while (wal_->position() < uint64_t{5} * kSegment + 20'000) wal_->Append(10, 0, 200'000);
  Open();
  // Damage at the start of a segment is no concern of a client that begins at its end.
  Overwrite(0, 7, std::string(kWalPageSize, 'x'));
  const auto file = Segment(3);
  const uint64_t end = kSegment - 3 * kWalPageSize;
  EXPECT_EQ(source_->FirstBadPage(file.get(), end, kSegment), std::nullopt);
  EXPECT_EQ(source_->FirstBadPage(file.get(), 0, 7 * kWalPageSize), std::nullopt);
  EXPECT_EQ(source_->FirstBadPage(file.get(), 100, 7 * kWalPageSize + 1), 7 * kWalPageSize);
  EXPECT_EQ(source_->FirstBadPage(file.get(), 7 * kWalPageSize + 5, kSegment), 7 * kWalPageSize);
  EXPECT_EQ(source_->FirstBadPage(file.get(), 8 * kWalPageSize, kSegment), std::nullopt);
  EXPECT_EQ(std::count(file->good_pages.begin(), file->good_pages.end(), true),
            kSegment / kWalPageSize - 1);
}

TEST_F(SourceTest, ZeroesAreRightAfterASwitchOnly) {
  for (const size_t last : {size_t{100}, size_t{50'000}}) {
    wal_.emplace(kSegment, 3);
    for (int i = 0; i < 20; i++) wal_->Append(10, 0, 5000);
    wal_->Append(10, 0, last);
    const uint64_t switched = wal_->Switch().start.value % kSegment;
    wal_->Append(10, 0, 100);
    Open();
    const uint64_t zeroes = (switched / kWalPageSize + 1) * kWalPageSize;
    // From the end, from the middle, and with the pages before them.
    for (const uint64_t begin :
         {uint64_t{kSegment} - kWalPageSize, zeroes + kWalPageSize, zeroes, uint64_t{0}}) {
      const auto file = Segment(3);
      EXPECT_EQ(source_->FirstBadPage(file.get(), begin, kSegment), std::nullopt) << begin;
      EXPECT_EQ(file->zeroes_from, zeroes);
    }
    // Without the record of the switch they are a hole.
    Overwrite(0, zeroes / kWalPageSize - 1, std::string(kWalPageSize, '\0'));
    const auto file = Segment(3);
    EXPECT_EQ(source_->FirstBadPage(file.get(), zeroes, kSegment), zeroes);
    EXPECT_EQ(source_->FirstBadPage(file.get(), 0, kSegment), zeroes - kWalPageSize);
  }
}

TEST_F(SourceTest, AHistoryFileMustBeARegularOne) {
  wal_->Append(10, 0, 5000);
  Open();
  const std::string path = directory_.path() + "/00000007.history";
  EXPECT_EQ(source_->ReadHistory(7).error().code, ErrorCode::kNotFound);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(source_->ReadHistory(7).error().code, ErrorCode::kInvalidArgument);
  unlink(path.c_str());
  std::filesystem::create_symlink("/dev/zero", path);
  EXPECT_EQ(source_->ReadHistory(7).error().code, ErrorCode::kInvalidArgument);
  unlink(path.c_str());
  std::ofstream(path) << std::string(2 << 20, ' ');
  EXPECT_EQ(source_->ReadHistory(7).error().code, ErrorCode::kInvalidArgument);
}

// By programs whose files are not read.
TEST_F(SourceTest, CompressedSegmentsAreNamed) {
  while (wal_->position() < uint64_t{5} * kSegment + 20'000) wal_->Append(10, 0, 200'000);
  wal_->Save(directory_.path());
  const auto path = [&](size_t segment) {
    return directory_.path() + "/" + wal_->SegmentFile(segment);
  };
  std::filesystem::rename(path(0), path(0) + ".lzo");
  Open();
  std::filesystem::remove(path(0));
  // An old one is no concern of a client that begins behind it.
  EXPECT_TRUE(source_->OpenSegment(1, 4));
  const auto old = source_->OpenSegment(1, 3);
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(old.error().message.find(wal_->SegmentFile(0) + ".lzo\" is compressed"),
            std::string::npos)
      << old.error().message;
  // WAL that goes on in one does not seem to end.
  std::filesystem::rename(path(2), path(2) + ".Z");
  const auto source = WalSource::Open(directory_.path());
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(source.error().message.find(wal_->SegmentFile(2) + ".Z"), std::string::npos);
}

// Somebody who may write into the archive has other files sent to clients.
TEST_F(SourceTest, LinksAreNotServed) {
  while (wal_->position() < uint64_t{4} * kSegment + 20'000) wal_->Append(10, 0, 200'000);
  Open();
  TempDirectory elsewhere;
  const std::string secret = elsewhere.path() + "/secret";
  std::ofstream(secret) << "secret\n";
  std::filesystem::create_symlink(secret, directory_.path() + "/00000007.history");
  const auto history = source_->ReadHistory(7);
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(history.error().message.find("is a symbolic link"), std::string::npos);
  const std::string segment = directory_.path() + "/" + wal_->SegmentFile(0);
  std::filesystem::rename(segment, elsewhere.path() + "/segment");
  std::filesystem::create_symlink(elsewhere.path() + "/segment", segment);
  const auto file = source_->OpenSegment(1, 3);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  // The directory may be on another disk.
  const std::string link = elsewhere.path() + "/link";
  std::filesystem::create_directory_symlink(directory_.path(), link);
  const auto source = WalSource::Open(link);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->OpenSegment(1, 4));
}

// Timeline 1 was left in its second segment, and timeline 2 has a copy of that segment's start.
class NewTimelineTest : public ::testing::Test {
 protected:
  NewTimelineTest() {
    while (wal_.position() < fork_.value) wal_.Append(10, 0, 1000);
    wal_.Save(directory_.path());
    std::ofstream(Path("00000002.history")) << "1\t" << fork_.ToString() << "\tno reason\n";
  }
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void WriteNew(const std::string& content, const std::string& suffix = "") {
    std::ofstream(Path(FormatSegmentName(2, 4, kSmall) + suffix), std::ios::binary) << content;
  }
  static bool Relist(WalSource* source) {
    neon_redo::testing::Await("a list to begin", [&] { return source->BeginRelist(); });
    neon_redo::testing::Await("its end", [&] {
      pollfd wanted{source->background_fd(), POLLIN, 0};
      return poll(&wanted, 1, 0) == 1;
    });
    return source->Collect();
  }
  // The pages before `page` are lost.
  static std::string Zeroed(std::string content, size_t page) {
    return content.replace(0, page * kWalPageSize, page * kWalPageSize, '\0');
  }

  static constexpr uint32_t kSmall = 1 << 20;
  const Lsn fork_{uint64_t{4} * kSmall + 500'000};
  TempDirectory directory_;
  WalWriter wal_{kSmall, 3};
};

TEST_F(NewTimelineTest, DamageAtItsStartIsNotItsAbsence) {
  std::string segment = wal_.wal().substr(kSmall);
  segment.resize(kSmall, '\0');
  for (const std::string suffix : {"", ".partial"}) {
    WriteNew(Zeroed(segment, 2), suffix);
    const auto source = WalSource::Open(directory_.path());
    ASSERT_FALSE(source);
    EXPECT_EQ(source.error().code, ErrorCode::kCorrupt);
    const auto reader = WalReader::Open({{directory_.path()}, {}, {}, {}});
    ASSERT_TRUE(reader);
    Result<std::optional<WalRecord>> record = (*reader)->Next();
    while (record && *record) record = (*reader)->Next();
    ASSERT_FALSE(record);
    EXPECT_EQ(source.error().message, record.error().message);
    EXPECT_NE(source.error().message.find("the page is empty; valid WAL follows at 0/404000"),
              std::string::npos)
        << source.error().message;
    std::filesystem::remove(Path(FormatSegmentName(2, 4, kSmall) + suffix));
  }
}

TEST_F(NewTimelineTest, IsServedOnceItHasWal) {
  const auto serves = [&](uint32_t timeline) {
    const auto source = WalSource::Open(directory_.path());
    EXPECT_TRUE(source) << source.error().message;
    return source && (*source)->timeline() == timeline;
  };
  std::string segment = wal_.wal().substr(kSmall);
  segment.resize(kSmall, '\0');
  EXPECT_TRUE(serves(1));
  // As receivers make it, and as a server takes an old segment for it.
  for (const std::string& empty : {std::string(), std::string(20, '\0'), std::string(kSmall, '\0'),
                                   wal_.wal().substr(0, kSmall)}) {
    WriteNew(empty, ".partial");
    EXPECT_TRUE(serves(1)) << empty.size();
  }
  WriteNew(
      Zeroed(segment, kSmall / kWalPageSize).replace(0, kWalPageSize, segment, 0, kWalPageSize),
      ".partial");
  EXPECT_TRUE(serves(2));
}

TEST_F(NewTimelineTest, DamageThatComesIsReported) {
  std::string segment = wal_.wal().substr(kSmall);
  segment.resize(kSmall, '\0');
  const auto source = WalSource::Open(directory_.path());
  ASSERT_TRUE(source);
  WriteNew(Zeroed(segment, 2));
  EXPECT_FALSE(Relist(source->get()));
  EXPECT_NE((*source)->trouble().find("the page is empty; valid WAL follows at 0/404000"),
            std::string::npos)
      << (*source)->trouble();
  // It is not reported again at each look.
  const std::string trouble = (*source)->trouble();
  (*source)->Refresh();
  EXPECT_EQ((*source)->trouble(), trouble);
  EXPECT_EQ((*source)->timeline(), 1u);
  WriteNew(segment);
  EXPECT_TRUE(Relist(source->get()));
  EXPECT_EQ((*source)->trouble(), "");
  EXPECT_EQ((*source)->timeline(), 2u);
}

// The same of a segment after the last that has WAL.
TEST_F(NewTimelineTest, DamageAtTheStartOfTheLastSegmentIsNotTheEndOfWal) {
  std::string segment = wal_.wal().substr(kSmall);
  segment.resize(kSmall, '\0');
  std::ofstream(Path(wal_.SegmentFile(1)), std::ios::binary) << Zeroed(segment, 1);
  const auto source = WalSource::Open(directory_.path());
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message.find("valid WAL follows at 0/402000"), std::string::npos)
      << source.error().message;
}

}  // namespace
}  // namespace neon_redo
