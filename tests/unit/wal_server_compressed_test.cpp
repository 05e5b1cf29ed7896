// The WAL sender over an archive of compressed segments, on synthetic WAL and without sockets.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <list>

#include "cpp_core/wal_server/session.h"
#include "tests/unit/await.h"
#include "tests/unit/packed.h"
#include "tests/unit/pgbackrest_files.h"
#include "tests/unit/session_client.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using namespace std::string_literals;

constexpr uint32_t kSize = 1 << 20;
constexpr std::pair<Packing, const char*> kFormats[] = {{Packing::kGzip, ".gz"},
                                                        {Packing::kLz4, ".lz4"},
                                                        {Packing::kZstd, ".zst"},
                                                        {Packing::kBzip2, ".bz2"},
                                                        {Packing::kXz, ".xz"}};

// What a client has got: the WAL, one message after another, and the error, if there was one.
struct Got {
  std::string wal;
  std::string error;
};

class CompressedTest : public ::testing::Test {
 protected:
  // The last segment has a little less than a third of WAL.
  void WriteWal(size_t segments) {
    while (wal_.position() < (3 + segments - 1) * uint64_t{kSize} + 300'000)
      wal_.Append(10, 0, wal_.position() * 31 % 12'000);
  }
  std::string Content(size_t i) const {
    std::string out = wal_.wal().substr(i * kSize, kSize);
    out.resize(kSize, '\0');
    return out;
  }
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Clear() const {
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
  }
  // As an archive_command does it: by another name, and then by a rename.
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name + ".new"), std::ios::binary) << bytes;
    std::filesystem::rename(Path(name + ".new"), Path(name));
  }
  void Pack(size_t i, Packing packing = Packing::kGzip, const std::string& suffix = ".gz") const {
    Write(wal_.SegmentFile(i) + suffix, Packed(Content(i), packing));
  }
  void PackAll(size_t segments) const {
    for (size_t i = 0; i < segments; i++) {
      const auto& [packing, suffix] = kFormats[i % std::size(kFormats)];
      Pack(i, packing, suffix);
    }
  }

  void Open() {
    auto source = WalSource::Open(directory_.path());
    ASSERT_TRUE(source) << source.error().message;
    source_ = std::move(*source);
    source_->set_give_up([this](const auto& file) {
      given_up_++;
      for (SessionClient& client : clients_) client.session.GiveUp(file);
    });
    host_.source = source_.get();
    host_.slots = &slots_;
  }

  // Waits until something that runs in the background is done.
  bool Collect() {
    neon_redo::testing::Await("the background", [&] {
      pollfd wanted{source_->background_fd(), POLLIN, 0};
      return poll(&wanted, 1, 0) == 1;
    });
    return source_->Collect();
  }
  bool Refresh() {
    bool more = source_->Refresh();
    for (int i = 0; i < 20 && (source_->wants_refresh() || source_->tail_waits()); i++) {
      if (source_->tail_waits()) Collect();
      more = source_->Refresh() || more;
    }
    return more;
  }

  SessionClient& Client(Lsn start) {
    SessionClient& client = clients_.emplace_back(host_, Peer{}, 1001 + clients_.size());
    client.LogIn();
    client.TakeMessages();
    client.Send(Query("START_REPLICATION " + start.ToString()));
    return client;
  }
  // All that there is, unless an error ends it.
  Got Take(SessionClient& client, Lsn start) {
    Got out;
    for (;;) {
      for (const ServerSays& m : client.TakeMessages()) {
        if (m.type == 'E') out.error = m.body.substr(m.body.find("\0M"s) + 2);
        if (m.type != 'd') continue;
        const auto decoded = DecodeServerMessage(
            Bytes(reinterpret_cast<const uint8_t*>(m.body.data()), m.body.size()));
        const auto* data = decoded ? std::get_if<XLogData>(&*decoded) : nullptr;
        if (data == nullptr) continue;
        EXPECT_EQ(data->start, start + out.wal.size());
        out.wal.append(reinterpret_cast<const char*>(data->data.data()), data->data.size());
      }
      if (!out.error.empty() || client.session.caught_up() || !client.session.streaming())
        return out;
      Collect();
    }
  }
  Got TakeAll() { return Take(Client(begin_), begin_); }

  const Lsn begin_{uint64_t{3} * kSize};
  TempDirectory directory_;
  WalWriter wal_{kSize, 3};
  std::unique_ptr<WalSource> source_;
  SlotStore slots_;
  SessionHost host_;
  int given_up_ = 0;
  std::list<SessionClient> clients_;
};

TEST_F(CompressedTest, EachFormatIsStreamed) {
  WriteWal(6);
  for (const auto& [packing, suffix] : kFormats) {
    for (const char* named : {suffix, ""}) {  // Barman's have no suffix
      SCOPED_TRACE(PackingName(packing));
      Clear();
      for (size_t i = 0; i < 6; i++) Pack(i, packing, named);
      Open();
      EXPECT_EQ(source_->end(), wal_.written().back().end);
      const Got got = TakeAll();
      EXPECT_EQ(got.error, "");
      EXPECT_TRUE(got.wal == wal_.wal());
      clients_.clear();
    }
  }
}

TEST_F(CompressedTest, StartsWithinASegmentAndMixesWithPlainOnes) {
  WriteWal(7);
  PackAll(7);
  for (const size_t i : {0, 3}) {
    std::filesystem::remove(Path(wal_.SegmentFile(i) + kFormats[i % 5].second));
    Write(wal_.SegmentFile(i), Content(i));
  }
  Open();
  for (const uint64_t offset : {0, 100, 1'234'567}) {
    const Lsn start = begin_ + offset;
    const Got got = Take(Client(start), start);
    EXPECT_TRUE(got.wal == wal_.wal().substr(offset)) << got.error;
  }
}

TEST_F(CompressedTest, PgBackRestsNamesAreFoundAndChecked) {
  WriteWal(4);
  const std::string part = wal_.SegmentFile(0).substr(0, 16);
  std::filesystem::create_directory(Path(part));
  const auto name = [&](size_t i, const std::string& suffix) {
    return fmt::format("{}/{}-{}{}", part, wal_.SegmentFile(i), Sha1(Content(i)), suffix);
  };
  Write(name(0, ".zst"), Packed(Content(0), Packing::kZstd));
  Write(name(1, ""), Content(1));
  Write(name(2, ".gz"), Packed(Content(2), Packing::kGzip));
  Open();
  EXPECT_EQ(source_->end(), begin_ + 3 * kSize);
  EXPECT_TRUE(TakeAll().wal == wal_.wal().substr(0, 3 * kSize));
  // One that comes.
  Write(name(3, ".gz"), Packed(Content(3), Packing::kGzip));
  EXPECT_TRUE(Refresh());
  EXPECT_TRUE(TakeAll().wal == wal_.wal());
  // The content of another segment.
  Write(name(0, ".zst"), Packed(Content(1), Packing::kZstd));
  const Got got = TakeAll();
  EXPECT_EQ(got.wal, "");
  EXPECT_NE(got.error.find("could not send WAL from LSN 0/300000: file \""), std::string::npos);
  EXPECT_NE(got.error.find("its content has the SHA-1 checksum"), std::string::npos) << got.error;
}

TEST_F(CompressedTest, FollowsAnArchiveThatGrows) {
  WriteWal(9);
  Pack(0);
  Open();
  SessionClient& client = Client(begin_);
  std::string got = Take(client, begin_).wal;
  EXPECT_EQ(got.size(), kSize);
  for (size_t i = 1; i < 9; i++) {
    const auto& [packing, suffix] = kFormats[i % std::size(kFormats)];
    // One that is being written is no end of WAL, and nothing to speak of.
    const std::string file = wal_.SegmentFile(i) + suffix;
    const std::string packed = Packed(Content(i), packing);
    std::ofstream(Path(file), std::ios::binary) << packed.substr(0, packed.size() / 2);
    EXPECT_FALSE(Refresh()) << i;
    EXPECT_EQ(source_->trouble(), "");
    std::ofstream(Path(file), std::ios::binary) << packed;
    EXPECT_TRUE(Refresh()) << i;
    got += Take(client, begin_ + got.size()).wal;
    EXPECT_EQ((begin_ + got.size()).value, source_->end().value);
  }
  EXPECT_TRUE(got == wal_.wal());
  EXPECT_FALSE(Refresh());
}

// Its receiver compresses as it receives.
TEST_F(CompressedTest, FollowsASegmentInProgress) {
  WriteWal(2);
  Pack(0);
  const std::string file = wal_.SegmentFile(1) + ".gz.partial";
  const std::string last = wal_.wal().substr(kSize);
  const auto begun = [&](size_t bytes) {
    const std::string packed = Packed(last.substr(0, bytes), Packing::kGzip);
    return packed.substr(0, packed.size() - 8);  // without the stream's end
  };
  Write(file, begun(100'000));
  Open();
  const Lsn at_first = source_->end();
  EXPECT_GT(at_first, begin_ + kSize);
  EXPECT_LE(at_first, begin_ + kSize + 100'000);
  SessionClient& client = Client(begin_);
  std::string got = Take(client, begin_).wal;
  EXPECT_TRUE(got == wal_.wal().substr(0, at_first - begin_));
  Write(file, begun(200'000));
  neon_redo::testing::Await("the segment to be read again", [&] { return Refresh(); });
  got += Take(client, begin_ + got.size()).wal;
  EXPECT_GT(source_->end(), at_first);
  std::filesystem::remove(Path(file));
  Pack(1);
  neon_redo::testing::Await("the whole segment", [&] { return Refresh(); });
  got += Take(client, begin_ + got.size()).wal;
  EXPECT_TRUE(got == wal_.wal());
}

TEST_F(CompressedTest, DamageEndsTheStreamWithItsPlace) {
  WriteWal(5);
  for (const auto& [packing, suffix] : kFormats) {
    SCOPED_TRACE(suffix);
    const std::string whole = Packed(Content(2), packing);
    std::string flipped = whole;
    flipped.replace(whole.size() / 2, 500, 500, '\xff');
    std::string foreign = Content(2);
    foreign.replace(20 * kWalPageSize, kWalPageSize, Content(1), 20 * kWalPageSize, kWalPageSize);
    for (const std::string& damaged :
         {whole.substr(0, whole.size() / 2), flipped, Packed(foreign, packing),
          Packed(Content(2) + std::string(10 << 20, '\0'), packing)}) {
      Clear();
      for (size_t i = 0; i < 5; i++) Pack(i, packing, suffix);
      Open();
      Write(wal_.SegmentFile(2) + suffix, damaged);
      const Got got = TakeAll();
      EXPECT_LE(got.wal.size(), 2 * kSize + 20 * kWalPageSize);
      EXPECT_GE(got.wal.size(), 2 * kSize);
      EXPECT_TRUE(wal_.wal().starts_with(got.wal));
      EXPECT_NE(got.error.find(wal_.SegmentFile(2) + suffix), std::string::npos) << got.error;
      EXPECT_NE(got.error.find(" LSN 0/5"), std::string::npos) << got.error;
      clients_.clear();
    }
  }
}

TEST_F(CompressedTest, AHugeFileIsNotReadToItsEnd) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i);
  Open();
  std::filesystem::resize_file(Path(wal_.SegmentFile(1) + ".gz"), uint64_t{1} << 40);
  const Got got = TakeAll();
  EXPECT_EQ(got.wal.size(), kSize);
  EXPECT_NE(got.error.find("it has 1099511627776 bytes, too many for a segment of 1048576"),
            std::string::npos)
      << got.error;
}

TEST_F(CompressedTest, LinksAreNotServed) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i);
  Open();
  const std::string name = wal_.SegmentFile(1) + ".gz";
  TempDirectory elsewhere;
  std::filesystem::rename(Path(name), elsewhere.path() + "/segment");
  std::filesystem::create_symlink(elsewhere.path() + "/segment", Path(name));
  EXPECT_NE(TakeAll().error.find("is a symbolic link"), std::string::npos);
}

TEST_F(CompressedTest, IsCompressedWhileItIsServed) {
  WriteWal(6);
  for (size_t i = 0; i < 6; i++) Write(wal_.SegmentFile(i), Content(i));
  Open();
  SessionClient& client = Client(begin_);
  client.Take(kSize + 300'000);
  for (size_t i = 0; i < 6; i++) {
    Pack(i, Packing::kZstd, ".zst");
    std::filesystem::remove(Path(wal_.SegmentFile(i)));
  }
  EXPECT_FALSE(Refresh());
  EXPECT_TRUE(Take(client, begin_).wal == wal_.wal());
}

// More clients in more segments than there may be files: each gets all of its WAL, from a bounded number
// of files, and what was under way of a file that is given up comes from memory.
TEST_F(CompressedTest, FilesAreBounded) {
  constexpr size_t kSegments = 40;
  WriteWal(kSegments);
  PackAll(kSegments);
  Open();
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  std::vector<SessionClient*> clients;
  for (size_t i = 0; i < kSegments - 1; i++) clients.push_back(&Client(begin_ + i * kSize + 8192));
  // Each has a part of its first message, and keeps its segment.
  for (SessionClient* client : clients) {
    neon_redo::testing::Await("its first message", [&] {
      source_->Collect();
      client->Take(1);
      return client->session.output().range().length > 0;
    });
    EXPECT_LE(descriptors() - before, 16 + 2 * 3 + 2);
  }
  EXPECT_GT(given_up_, 10);
  for (size_t i = 0; i < clients.size(); i++) {
    const uint64_t offset = i * kSize + 8192;
    const Got got = Take(*clients[i], begin_ + offset);
    EXPECT_TRUE(got.wal == wal_.wal().substr(offset)) << i << got.error;
  }
  EXPECT_LE(descriptors() - before, 16 + 2 * 3 + 2);
}

// Files that nobody uses any more leave room for what is next.
TEST_F(CompressedTest, DecompressesAheadHoweverLongItServes) {
  constexpr size_t kSegments = 2 * SegmentUnpacker::kMostFiles;
  WriteWal(kSegments);
  PackAll(kSegments);
  Open();
  EXPECT_TRUE(TakeAll().wal == wal_.wal());
  clients_.clear();
  EXPECT_TRUE(source_->OpenAhead(1, begin_.value / kSize));
}

TEST_F(CompressedTest, AClientThatIsGoneCostsNothing) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i, Packing::kXz, ".xz");
  Open();
  for (int i = 0; i < 50; i++) {
    Client(begin_ + i * 20'000);
    clients_.clear();
  }
  EXPECT_TRUE(TakeAll().wal == wal_.wal());
}

TEST_F(CompressedTest, SaysWhatToDoWhereThereIsNoRoom) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i);
  Open();
  const char* const temporary = std::getenv("TMPDIR");
  const std::string kept = temporary ? temporary : "";
  setenv("TMPDIR", "/nowhere", 1);
  const Got got = TakeAll();
  temporary ? setenv("TMPDIR", kept.c_str(), 1) : unsetenv("TMPDIR");
  EXPECT_EQ(got.wal, "");
  EXPECT_NE(got.error.find("could not create a file for unpacked data in directory \"/nowhere\""),
            std::string::npos)
      << got.error;
  EXPECT_TRUE(TakeAll().wal == wal_.wal());
}

TEST_F(CompressedTest, ANewTimelineByACompressedHistory) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i);
  Open();
  const uint64_t fork = 2 * uint64_t{kSize} + 100'000;
  EXPECT_FALSE(source_->HasNewTimeline());
  const std::string history = fmt::format("1\t{}\tno reason\n", (begin_ + fork).ToString());
  Write("00000002.history.gz", Packed(history, Packing::kGzip));
  EXPECT_TRUE(source_->HasNewTimeline());
  ASSERT_TRUE(source_->BeginRelist());
  EXPECT_FALSE(source_->BeginRelist());
  EXPECT_FALSE(Collect());
  Write(FormatSegmentName(2, 5, kSize) + ".zst", Packed(Content(2), Packing::kZstd));
  neon_redo::testing::Await("the time for another list", [&] { return source_->BeginRelist(); });
  EXPECT_TRUE(Collect());
  EXPECT_EQ(source_->timeline(), 2u);
  EXPECT_EQ(source_->end(), wal_.written().back().end);
  const auto read = source_->ReadHistory(2);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, history);
  const Lsn start = begin_ + 2 * uint64_t{kSize};
  EXPECT_TRUE(Take(Client(start), start).wal == wal_.wal().substr(2 * kSize));
}

// Clients of the same segment, one after another, have it decompressed once.
TEST_F(CompressedTest, AFileIsShared) {
  WriteWal(3);
  for (size_t i = 0; i < 3; i++) Pack(i);
  Open();
  TakeAll();
  const auto first = source_->OpenSegment(1, 4);
  ASSERT_TRUE(first);
  EXPECT_FALSE((*first)->waits);
  EXPECT_TRUE((*first)->fd);
  EXPECT_EQ(*source_->OpenSegment(1, 4), *first);
}

}  // namespace
}  // namespace neon_redo
