// The WAL sender's session and its source of WAL, on synthetic WAL and without sockets.
#include "cpp_core/wal_server/session.h"

#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/fuzz/scram_client.h"
#include "tests/unit/session_client.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

using namespace std::string_literals;

std::string Types(const std::vector<ServerSays>& messages) {
  std::string out;
  for (const ServerSays& m : messages) out += m.type;
  return out;
}

// The field of an ErrorResponse.
std::string ErrorField(const std::string& body, char field) {
  for (size_t at = 0; at < body.size() && body[at] != '\0';) {
    const size_t end = body.find('\0', at);
    if (body[at] == field) return body.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  return {};
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    // Three segments and a part of a fourth, with records of all sizes.
    for (int i = 0; wal_.position() < (uint64_t{6} << 20) + 300'000; i++)
      wal_.Append(10, 0, static_cast<size_t>(i * 7919 % 12'000));
    wal_.Save(directory_.path());
  }

  void Open() {
    auto source = WalSource::Open(directory_.path());
    ASSERT_TRUE(source) << source.error().message;
    source_ = std::move(*source);
    auto slots = SlotStore::Open(directory_.path() + "/slots");
    ASSERT_TRUE(slots);
    slots_ = std::move(*slots);
    host_.source = source_.get();
    host_.slots = &slots_;
  }

  // The WAL of the messages, which must follow each other and obey the rules.
  std::string Wal(const std::vector<ServerSays>& messages, Lsn start) {
    std::string out;
    for (const ServerSays& m : messages) {
      if (m.type != 'd') continue;
      const auto decoded = DecodeServerMessage(
          Bytes(reinterpret_cast<const uint8_t*>(m.body.data()), m.body.size()));
      EXPECT_TRUE(decoded);
      const auto* data = std::get_if<XLogData>(&*decoded);
      if (!data) continue;
      EXPECT_EQ(data->start, start + out.size());
      EXPECT_GT(data->data.size(), 0u);
      EXPECT_LE(data->data.size(), 128u * 1024);
      EXPECT_TRUE(data->end() == data->server_end || data->end().value % kWalPageSize == 0);
      out.append(reinterpret_cast<const char*>(data->data.data()), data->data.size());
    }
    return out;
  }

  const Lsn begin_{uint64_t{3} << 20};
  TempDirectory directory_;
  WalWriter wal_;
  std::unique_ptr<WalSource> source_;
  SlotStore slots_;
  SessionHost host_;
};

TEST_F(SessionTest, StreamsAllValidWalHoweverTheInputIsCut) {
  Open();
  ASSERT_EQ(source_->end(), wal_.written().back().end);
  const std::string said = StartupPacket(""s, 80877103) + StartupPacket(""s, 80877104);
  const std::string rest = StartupPacket("user\0u\0replication\0yes\0database\0replication\0\0"s) +
                           Query("IDENTIFY_SYSTEM") + Query("SHOW wal_segment_size;") +
                           Query("START_REPLICATION " + begin_.ToString() + " TIMELINE 1");
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{64}, rest.size()}) {
    SessionClient client(host_);
    for (const std::string& packet : {said.substr(0, 8), said.substr(8)}) {
      client.Send(packet);
      EXPECT_EQ(client.TakeRaw(), "N");
    }
    for (size_t at = 0; at < rest.size(); at += piece) client.Send(rest.substr(at, piece));
    EXPECT_EQ(Wal(client.TakeMessages(), begin_), wal_.wal());
    EXPECT_FALSE(client.session.closing());
    EXPECT_TRUE(client.session.caught_up());
    EXPECT_EQ(client.session.statistics().state, SenderState::kStreaming);
    EXPECT_EQ(client.session.statistics().sent, source_->end());
  }
  SessionClient client(host_);
  client.LogIn();
  const auto welcome = client.TakeMessages();
  EXPECT_EQ(Types(welcome), "RSSSSSSSSSSSSSKZ");
  client.Send(Query("IDENTIFY_SYSTEM"));
  EXPECT_EQ(Types(client.TakeMessages()), "TDCZ");
  // From the middle of a page.
  const Lsn start = begin_ + 12'345;
  client.Send(Query("START_REPLICATION PHYSICAL " + start.ToString()));
  const auto messages = client.TakeMessages();
  EXPECT_EQ(messages[0].type, 'W');
  EXPECT_EQ(Wal(messages, start), wal_.wal().substr(12'345));
}

TEST_F(SessionTest, FollowsWalThatGrows) {
  const std::string file = directory_.path() + "/" + wal_.SegmentFile(3);
  const std::string last = wal_.wal().substr(3 << 20);
  std::mt19937 random(7);
  std::filesystem::resize_file(file, 0);
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("START_REPLICATION " + begin_.ToString()));
  std::string got = Wal(client.TakeMessages(), begin_);
  // The last segment whole but for zeroes, and then piece by piece.
  for (size_t have = 0; have < last.size();) {
    have = std::min(last.size(), have + random() % 20'000);
    std::string content = last.substr(0, have);
    content.resize(1 << 20, '\0');
    std::ofstream(file, std::ios::binary) << content;
    source_->Refresh();
    got += Wal(client.TakeMessages(), begin_ + got.size());
    // All records that are whole, and no byte of the next one; but up to a complete segment's end.
    Lsn whole = begin_;
    for (const auto& record : wal_.written())
      if (record.end <= begin_ + (3 << 20) + have) whole = record.end;
    ASSERT_EQ((begin_ + got.size()).value, std::max(whole.value, uint64_t{6} << 20)) << have;
  }
  EXPECT_EQ(got, wal_.wal());
}

// The growing segment becomes another file: by a rename over it, and by the whole segment beside
// the .partial file.
TEST_F(SessionTest, FollowsASegmentThatIsReplaced) {
  const std::string file = directory_.path() + "/" + wal_.SegmentFile(3);
  const std::string last = wal_.wal().substr(3 << 20);
  auto write = [&](const std::string& path, size_t have) {
    std::string content = last.substr(0, have);
    content.resize(1 << 20, '\0');
    std::ofstream(path + ".new", std::ios::binary) << content;
    std::filesystem::rename(path + ".new", path);
  };
  for (const std::string suffix : {"", ".partial"}) {
    std::filesystem::remove(file);
    write(file + suffix, 100'000);
    Open();
    SessionClient client(host_);
    client.LogIn();
    client.TakeMessages();
    client.Send(Query("START_REPLICATION " + begin_.ToString()));
    std::string got = Wal(client.TakeMessages(), begin_);
    for (const size_t have : {size_t{200'000}, last.size()}) {
      write(file, have);
      if (have == last.size()) std::filesystem::remove(file + ".partial");
      EXPECT_TRUE(source_->Refresh());
      got += Wal(client.TakeMessages(), begin_ + got.size());
    }
    EXPECT_TRUE(got == wal_.wal()) << suffix;
  }
}

TEST_F(SessionTest, SendsNothingBehindDamage) {
  // A page of the second segment is that of another place.
  std::fstream file(directory_.path() + "/" + wal_.SegmentFile(1),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(20 * 8192);
  file << wal_.wal().substr(0, 8192);
  file.close();
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("START_REPLICATION " + begin_.ToString()));
  const auto messages = client.TakeMessages();
  EXPECT_LE(Wal(messages, begin_).size(), (1u << 20) + 20 * 8192);
  ASSERT_GE(messages.size(), 2u);
  EXPECT_EQ(messages.back().type, 'Z');
  EXPECT_EQ(ErrorField(messages[messages.size() - 2].body, 'C'), "XX001");
}

TEST_F(SessionTest, ServesBehindASwitch) {
  WalWriter wal(1 << 20, 3);
  wal.Append(10, 0, 5000);
  wal.Switch();
  wal.Append(10, 0, 100);
  std::filesystem::remove_all(directory_.path());
  std::filesystem::create_directory(directory_.path());
  wal.Save(directory_.path());
  Open();
  EXPECT_EQ(source_->end(), wal.written().back().end);
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("START_REPLICATION " + begin_.ToString()));
  EXPECT_EQ(Wal(client.TakeMessages(), begin_), wal.wal());
}

TEST_F(SessionTest, AClientThatDoesNotReadCostsLittleMemory) {
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  size_t asked = 0;
  for (; asked < 100'000 && client.session.wants_input(); asked++)
    client.Send(Query("IDENTIFY_SYSTEM"));
  EXPECT_LT(asked, 5000u);
  EXPECT_LT(client.session.output().buffered(), Session::kMaxOutput + 4096);
  size_t answered = 0;
  for (const ServerSays& m : client.TakeMessages()) answered += m.type == 'Z';
  EXPECT_EQ(answered, asked);
  EXPECT_TRUE(client.session.wants_input());
}

TEST_F(SessionTest, StopsWhenTheClientHasIt) {
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("START_REPLICATION " + begin_.ToString()));
  client.Take(500'000);
  client.session.Stop(Session::Clock::now());
  EXPECT_EQ(client.session.statistics().state, SenderState::kStopping);
  const auto rest = client.TakeMessages();
  EXPECT_EQ(Wal(rest, begin_), wal_.wal());
  EXPECT_EQ(rest.back().body[0], 'k');
  EXPECT_EQ(rest.back().body[17], 1);  // it wants an answer
  EXPECT_FALSE(client.session.closing());
  const auto status = Encode(StandbyStatus{source_->end(), {}, {}, {}, false});
  client.Send(ClientMessageBytes(
      'd', std::string(reinterpret_cast<const char*>(status.data()), status.size())));
  EXPECT_EQ(Types(client.TakeMessages()), "cC");
  EXPECT_TRUE(client.session.closing());
}

TEST_F(SessionTest, WhatIsNotAllowedIsRefused) {
  Open();
  struct Case {
    std::string packet;
    const char* sqlstate;
  };
  const Case cases[] = {
      {StartupPacket("replication\0true\0\0"s), "28000"},
      {StartupPacket("user\0u\0replication\0maybe\0\0"s), "22023"},
      {StartupPacket("user\0u\0\0"s), "0A000"},
      {StartupPacket("user\0u\0replication\0database\0\0"s), "0A000"},
      {StartupPacket("user\0\xff\0replication\0true\0\0"s), "22021"},
      {StartupPacket("user\0u\0replication\0true\0"s), "08P01"},
      {StartupPacket("user\0u\0"s, 2 << 16), "0A000"},
      // Bytes behind an SSLRequest could be anybody's.
      {StartupPacket(""s, 80877103) + "x", nullptr},
      {Int32(5), nullptr},
      {Int32(1u << 30), nullptr},
  };
  for (const Case& c : cases) {
    SessionClient client(host_);
    client.Send(c.packet);
    EXPECT_TRUE(client.session.closing());
    if (!c.sqlstate) continue;
    const auto messages = client.TakeMessages();
    ASSERT_EQ(Types(messages), "E");
    EXPECT_EQ(ErrorField(messages[0].body, 'C'), c.sqlstate);
    EXPECT_EQ(ErrorField(messages[0].body, 'S'), "FATAL");
  }
  Peer stranger;
  stranger.permitted = false;
  SessionClient client(host_, stranger);
  client.LogIn();
  EXPECT_EQ(ErrorField(client.TakeMessages()[0].body, 'M'),
            "Peer authentication failed for user \"u\"");
}

TEST_F(SessionTest, SlotsAreLimited) {
  Open();
  host_.max_replication_slots = 2;
  SessionClient client(host_);
  client.LogIn();
  client.Send(Query("CREATE_REPLICATION_SLOT a PHYSICAL"));
  client.Send(Query("CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL"));
  client.TakeMessages();
  client.Send(Query("CREATE_REPLICATION_SLOT c PHYSICAL"));
  const auto refused = client.TakeMessages();
  ASSERT_EQ(Types(refused), "EZ");
  EXPECT_EQ(ErrorField(refused[0].body, 'C'), "53400");
  EXPECT_EQ(ErrorField(refused[0].body, 'M'), "all replication slots are in use");
  EXPECT_EQ(slots_.slots().size(), 2u);
  client.Send(Query("DROP_REPLICATION_SLOT b"));
  client.Send(Query("CREATE_REPLICATION_SLOT c PHYSICAL"));
  EXPECT_EQ(Types(client.TakeMessages()), "CZTDCZ");
}

TEST_F(SessionTest, DropWaitsForASlotInUse) {
  Open();
  auto reader = std::make_unique<SessionClient>(host_);
  reader->LogIn();
  reader->Send(Query("CREATE_REPLICATION_SLOT s PHYSICAL"));
  reader->Send(Query("START_REPLICATION SLOT s PHYSICAL " + source_->end().ToString()));
  ASSERT_TRUE(reader->session.streaming());
  SessionClient client(host_, {}, 1002);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("DROP_REPLICATION_SLOT s"));
  EXPECT_EQ(ErrorField(client.TakeMessages()[0].body, 'C'), "55006");

  // What comes behind the command waits with it.
  client.Send(Query("DROP_REPLICATION_SLOT s WAIT") + Query("SHOW wal_level"));
  client.session.Tick(Session::Clock::now());
  EXPECT_EQ(Types(client.TakeMessages()), "");
  client.session.Cancel();
  const auto cancelled = client.TakeMessages();
  EXPECT_EQ(Types(cancelled), "EZTDCZ");
  EXPECT_EQ(ErrorField(cancelled[0].body, 'C'), "57014");

  client.Send(Query("DROP_REPLICATION_SLOT s WAIT"));
  EXPECT_EQ(Types(client.TakeMessages()), "");
  reader.reset();
  client.session.Tick(Session::Clock::now());
  EXPECT_EQ(Types(client.TakeMessages()), "CZ");
  EXPECT_EQ(slots_.Find("s"), nullptr);
}

// However much a client says at once, a turn does a bounded amount of it, in order.
TEST_F(SessionTest, ATurnHasABudget) {
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  std::string said;
  for (int i = 0; i < 200; i++) said += ClientMessageBytes('H', "") + Query("SHOW wal_level");
  client.session.BeginTurn();
  client.Send(said);
  int turns = 0;
  std::string types;
  for (; client.session.wants_turn(); turns++) {
    const std::string now = Types(client.TakeMessages());
    EXPECT_LE(now.size(), 4u * Session::kTurnWork / Session::kCommandWork + 4);
    types += now;
    client.session.BeginTurn();
    client.session.Continue(Session::Clock::now());
  }
  types += Types(client.TakeMessages());
  EXPECT_GE(turns, 10);
  EXPECT_EQ(types.size(), 4u * 200);
  EXPECT_TRUE(client.session.wants_input());
}

// Messages of five bytes cost no more in pieces of 200 kB than one by one. If each moved
// what stands behind it, they would cost many times as much.
TEST_F(SessionTest, SmallMessagesAreCheap) {
  Open();
  const std::string message = ClientMessageBytes('H', "");
  auto processor_time = [&](size_t messages_a_piece) {
    SessionClient client(host_);
    client.LogIn();
    client.TakeMessages();
    std::string piece;
    for (size_t i = 0; i < messages_a_piece; i++) piece += message;
    const std::clock_t begin = std::clock();
    for (size_t sent = 0; sent < 200'000; sent += messages_a_piece) client.Send(piece);
    const std::clock_t end = std::clock();
    EXPECT_TRUE(client.session.wants_input());
    return static_cast<double>(end - begin) / CLOCKS_PER_SEC;
  };
  const double one_by_one = processor_time(1);
  const double large = processor_time(40'000);
  EXPECT_LT(large, 1.5 * one_by_one);
}

TEST_F(SessionTest, SilentClientsAreGivenUp) {
  Open();
  host_.sender_timeout = std::chrono::seconds(30);
  const auto now = Session::Clock::now();
  // Before login.
  SessionClient stranger(host_);
  stranger.session.Tick(now + std::chrono::seconds(9));
  EXPECT_FALSE(stranger.session.closing());
  stranger.session.Tick(now + std::chrono::seconds(11));
  EXPECT_TRUE(stranger.session.broken());
  // After it, with or without the start of a message.
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send("Q");
  client.session.Tick(now + std::chrono::seconds(29));
  EXPECT_FALSE(client.session.closing());
  client.session.Tick(now + std::chrono::seconds(31));
  EXPECT_TRUE(client.session.closing());
  EXPECT_EQ(ErrorField(client.TakeMessages()[0].body, 'C'), "57P05");
}

// A role that leaves the users file while it logs in keeps the rights that it had.
TEST_F(SessionTest, ARoleThatIsRemovedGetsNoMoreRights) {
  Open();
  const std::string path = directory_.path() + "/users";
  std::ofstream(path) << "u:" << kScramVerifier << " slots=own\n";
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  auto users = ScramUsers::Open(path);
  ASSERT_TRUE(users) << users.error().message;
  host_.users = &*users;
  host_.tls = true;
  Peer peer;
  peer.local = false;
  SessionClient client(host_, peer);
  client.Send(StartupPacket(""s, 80877103));
  EXPECT_EQ(client.TakeRaw(), "S");
  client.session.TlsEstablished("hash");
  client.LogIn();
  const ScramClient scram("hash");
  EXPECT_EQ(Types(client.TakeMessages()), "R");
  client.Send(scram.First());
  const auto first = client.TakeMessages();
  ASSERT_EQ(Types(first), "R");
  std::ofstream(path) << "other:" << kScramVerifier << "\n";
  ASSERT_TRUE(users->Reload(path));
  client.Send(scram.Final(first[0].body.substr(4)));
  ASSERT_TRUE(client.session.statistics().authenticated);
  client.TakeMessages();
  client.Send(Query("CREATE_REPLICATION_SLOT s PHYSICAL"));
  const auto refused = client.TakeMessages();
  ASSERT_EQ(Types(refused), "EZ");
  EXPECT_EQ(ErrorField(refused[0].body, 'C'), "42501");
  client.Send(Query("CREATE_REPLICATION_SLOT own PHYSICAL"));
  EXPECT_EQ(Types(client.TakeMessages()), "TDCZ");
}

TEST_F(SessionTest, OneWriteOfTheSlotsATurn) {
  Open();
  int allowed = 1;
  host_.may_write_slots = [&allowed] { return allowed-- > 0; };
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  client.Send(Query("CREATE_REPLICATION_SLOT a PHYSICAL") +
              Query("CREATE_REPLICATION_SLOT b PHYSICAL") + Query("SHOW wal_level"));
  EXPECT_EQ(Types(client.TakeMessages()), "TDCZ");
  EXPECT_TRUE(client.session.wants_turn());
  EXPECT_FALSE(client.session.wants_input());
  allowed = 1;
  client.session.BeginTurn();
  client.session.Continue(Session::Clock::now());
  EXPECT_EQ(Types(client.TakeMessages()), "TDCZTDCZ");
  EXPECT_TRUE(client.session.wants_input());
  EXPECT_EQ(slots_.slots().size(), 2u);
}

TEST_F(SessionTest, ADamagedPageIsNoConcernOfWhoStartsAfterIt) {
  std::fstream file(directory_.path() + "/" + wal_.SegmentFile(1),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(20 * 8192);
  file << wal_.wal().substr(0, 8192);
  file.close();
  Open();
  SessionClient client(host_);
  client.LogIn();
  client.TakeMessages();
  const Lsn start = begin_ + (1 << 20) + 21 * 8192;
  client.Send(Query("START_REPLICATION " + start.ToString()));
  EXPECT_EQ(Wal(client.TakeMessages(), start), wal_.wal().substr(start - begin_));
}

TEST(ReplicationCommandTest, Grammar) {
  const struct {
    const char* text;
    int index;  // of the variant; -1: a syntax error
  } cases[] = {
      {"IDENTIFY_SYSTEM", 0},
      {" IDENTIFY_SYSTEM ; ", 0},
      {"identify_system", 9},
      {"IDENTIFY_SYSTEM x", -1},
      {"SHOW a.b", 1},
      {"SHOW", -1},
      {"TIMELINE_HISTORY 3", 2},
      {"TIMELINE_HISTORY 4294967296", -1},
      {"READ_REPLICATION_SLOT \"a\"", 3},
      {"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL ( RESERVE_WAL, \"reserve_wal\" 'on' )", 4},
      {"CREATE_REPLICATION_SLOT a PHYSICAL RESERVE_WAL", 4},
      {"CREATE_REPLICATION_SLOT a PHYSICAL (SNAPSHOT 'nothing')", -1},
      {"CREATE_REPLICATION_SLOT a LOGICAL test_decoding (SNAPSHOT 'nothing')", 8},
      {"DROP_REPLICATION_SLOT a WAIT", 5},
      {"START_REPLICATION 0/0", 6},
      {"START_REPLICATION SLOT \"a\" PHYSICAL aB/1c TIMELINE 2;", 6},
      {"START_REPLICATION 123456789/0", -1},
      {"START_REPLICATION SLOT a LOGICAL 0/0 (x 'y')", 8},
      {"BASE_BACKUP (LABEL 'x')", 7},
      {"SELECT 1", 9},
      {"", 9},
  };
  for (const auto& c : cases) {
    const auto parsed = ParseReplicationCommand(c.text);
    EXPECT_EQ(parsed ? static_cast<int>(parsed->index()) : -1, c.index) << c.text;
  }
  const auto start =
      ParseReplicationCommand("START_REPLICATION SLOT \"A\"\"b\" 16/B374D848 TIMELINE 9");
  ASSERT_TRUE(start);
  const auto& physical = std::get<command::StartPhysical>(*start);
  EXPECT_EQ(*physical.slot, "A\"b");
  EXPECT_EQ(physical.start.ToString(), "16/B374D848");
  EXPECT_EQ(physical.timeline, 9u);
}

}  // namespace
}  // namespace neon_redo
