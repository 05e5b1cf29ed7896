// libFuzzer target: a client against the WAL sender's session, before and after authentication.
//
// Input: a byte whose value modulo 5 says where it begins (a local client before startup, one
// logged in, one that streams, a client by TCP on which TLS is established, one that has logged in
// there), then pieces, each a byte of length and that many bytes from the client. A piece of length
// 0 lets the client read, one of 255 time pass; one of 254 is the next message of an exchange by a
// client that knows the password. Whatever comes, the session answers in whole messages, sends no
// byte of WAL that was not written, none at all before login, lets nobody log in by TCP who has
// not the password, keeps little in memory, and leaves the slots as its file has them.
// Seeds: tests/fuzz/session_seeds.py DIR.
//
// An execution costs tens of microseconds: WAL and slots are files in memory, each execution begins
// without slots, and WAL is not read, as the ranges of files that a session sends say it all.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cpp_core/wal_server/statistics.h"
#include "tests/fuzz/scram_client.h"
#include "tests/fuzz/scratch.h"
#include "tests/unit/session_client.h"
#include "tests/unit/wal_writer.h"

namespace {

using namespace neon_redo;

constexpr uint64_t kFirstSegment = 3;
constexpr const char* kChannel = "hash of a certificate";
constexpr const char* kStart = "START_REPLICATION 0/3FC000";  // shortly before its end

void Require(bool fact) {
  if (!fact) std::abort();
}

// What no execution changes.
struct World {
  World() {
    // A segment and a little of the next.
    for (int i = 0; wal.position() < (uint64_t{4} << 20) + 20'000; i++)
      wal.Append(10, 0, static_cast<size_t>(i * 7919 % 12'000));
    wal.Save(ScratchDirectory());
    auto opened = WalSource::Open(ScratchDirectory());
    auto empty = SlotStore::Open(SlotsPath());
    if (!opened || !empty) std::abort();
    source = std::move(*opened);
    no_slots = std::move(*empty);
    for (const uint64_t number : {kFirstSegment, kFirstSegment + 1}) {
      auto file = source->OpenSegment(1, number);
      if (!file) std::abort();
      segments.push_back(std::move(*file));
      RequireWritten(number * wal.segment_size());
    }
    const std::string line = std::string("u:") + kScramVerifier;
    const ScratchFile file("users", reinterpret_cast<const uint8_t*>(line.data()), line.size());
    auto read = ScramUsers::Open(ScratchDirectory() + "/users");
    if (!read) std::abort();
    users = std::move(*read);
    host.source = source.get();
    host.users = &users;
    host.make_nonce = [] { return Result<std::string>("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"); };
  }

  static std::string SlotsPath() { return ScratchDirectory() + "/slots"; }
  uint64_t begin() const { return wal.position() - wal.wal().size(); }

  // The range of a segment file is the WAL from there on, and all of it was written. Files do not
  // change, and their bytes were compared with what was written (RequireWritten): so nothing has to
  // be read.
  void RequireWal(const Output::Range& range, Lsn start) const {
    const uint64_t number = start.value / wal.segment_size();
    Require(start.value >= begin() && number - kFirstSegment < segments.size());
    Require(range.file == segments[number - kFirstSegment]);
    Require(range.offset == start.value % wal.segment_size());
    Require(range.length <= wal.segment_size() - range.offset);
    Require(start.value + range.length <= source->end().value);
  }

  WalWriter wal{1 << 20, kFirstSegment};
  std::unique_ptr<WalSource> source;
  std::vector<std::shared_ptr<const SegmentFile>> segments;  // stay open: checked and read once
  SlotStore no_slots;
  ScramUsers users;
  SessionHost host;

 private:
  void RequireWritten(uint64_t segment_start) const {
    const std::string_view written =
        std::string_view(wal.wal()).substr(segment_start - begin(), wal.segment_size());
    std::string read(written.size(), '\0');
    const int fd = segments.back()->fd.get();
    Require(pread(fd, read.data(), read.size(), 0) == static_cast<ssize_t>(read.size()));
    Require(read == written);
  }
};

// Takes what the session says, and judges it as it comes.
class Judge {
 public:
  Judge(const World& world, Session* session) : world_(world), session_(*session) {}

  // Reads about a megabyte, or all there is.
  void Read() {
    Output& output = session_.output();
    for (size_t taken = 0; taken < (1 << 20);) {
      if (output.empty() && !session_.Continue(Session::Clock::now())) break;
      Require(output.buffered() < Session::kMaxOutput + (32 << 10));
      const std::string_view head = output.head();
      taken += head.size() + output.range().length;
      pending_ += head;
      if (!head.empty()) output.ConsumeHead(head.size());
      CheckMessages();
      if (output.range().length > 0) {
        CheckWal(output.range());
        output.ConsumeRange(output.range().length);
      }
    }
    Require(pending_.empty());
  }

  // What the client who knows the password says next.
  void Prove(Session::Clock::time_point now) {
    const ScramClient client(kChannel);
    session_.Feed(server_first_.empty() ? client.First() : client.Final(server_first_), now);
    proved_ = !server_first_.empty();
  }
  bool proved() const { return proved_; }

 private:
  // The whole messages there are; only one of WAL may be left in pending_, begun. Before the
  // first, SSL and GSSAPI encryption may have been refused, each by one byte.
  void CheckMessages() {
    std::string_view rest = pending_;
    for (; refusals_ < 2 && rest.starts_with('N'); refusals_++) rest.remove_prefix(1);
    if (!rest.empty()) refusals_ = 2;
    while (rest.size() >= 5) {
      Require(std::string_view("RSKZETDCWdcv").find(rest[0]) != std::string_view::npos);
      const size_t length = 1 + size_t{LoadBe32(rest.data() + 1)};
      Require(length >= 5);
      if (length > rest.size()) break;
      if (rest[0] == 'R' && length > 9 && LoadBe32(rest.data() + 5) == 11)
        server_first_ = rest.substr(9, length - 9);
      // WAL stands in files, so it is not among these.
      if (rest[0] == 'd')
        Require(std::holds_alternative<Keepalive>(Decode(rest.substr(5, length - 5))));
      rest.remove_prefix(length);
    }
    pending_.erase(0, pending_.size() - rest.size());
  }

  // The range is the rest of the message that pending_ begins.
  void CheckWal(const Output::Range& range) {
    Require(pending_.size() >= 5 && pending_[0] == 'd');
    Require(LoadBe32(pending_.data() + 1) == pending_.size() - 1 + range.length);
    const ServerMessage message = Decode(std::string_view(pending_).substr(5));
    const auto* header = std::get_if<XLogData>(&message);
    Require(header && header->data.empty() && header->server_end == world_.source->end());
    world_.RequireWal(range, header->start);
    pending_.clear();
  }

  // CopyData, so the client has logged in.
  ServerMessage Decode(std::string_view body) const {
    Require(session_.statistics().authenticated);
    const auto message =
        DecodeServerMessage(Bytes(reinterpret_cast<const uint8_t*>(body.data()), body.size()));
    Require(message.has_value());
    return *message;
  }

  const World& world_;
  Session& session_;
  std::string pending_;
  int refusals_ = 0;
  std::string server_first_;  // of SCRAM
  bool proved_ = false;
};

// The client is gone: its temporary slots too, the others are free, and in the file.
void CheckSlots(SlotStore* slots) {
  if (slots->slots().empty()) return;
  Require(slots->Save().has_value());
  const auto read = SlotStore::Open(World::SlotsPath());
  Require(read.has_value());
  Require(std::equal(slots->slots().begin(), slots->slots().end(), read->slots().begin(),
                     read->slots().end(), [](const auto& a, const auto& b) {
                       return a.first == b.first && a.second.restart == b.second.restart &&
                              !a.second.temporary && a.second.active == 0;
                     }));
}

// Brings the session to the place where the input begins.
void Begin(int place, Session* session, Judge* judge, Session::Clock::time_point now) {
  using namespace std::string_literals;
  static const std::string kSslRequest = StartupPacket("", 80877103);
  static const std::string kStartup = StartupPacket("user\0u\0replication\0true\0\0"s);
  static const std::string kStream = Query(kStart);
  if (place >= 3) {
    session->Feed(kSslRequest, now);
    Require(session->output().head() == "S" && session->starting_tls());
    session->output().ConsumeHead(1);
    session->TlsEstablished(kChannel);
    if (place == 3) return;
    session->Feed(kStartup, now);
    judge->Read();
    judge->Prove(now);
    judge->Read();
    judge->Prove(now);
    judge->Read();
    Require(session->statistics().authenticated);
  } else if (place > 0) {
    session->Feed(kStartup, now);
    Require(session->statistics().authenticated);
    if (place == 2) session->Feed(kStream, now);
    Require(session->streaming() == (place == 2));
    judge->Read();
  }
}

void Play(std::string_view pieces, Session* session, Judge* judge, Session::Clock::time_point now) {
  while (!pieces.empty() && !session->closing()) {
    const auto length = static_cast<uint8_t>(pieces[0]);
    pieces.remove_prefix(1);
    if (length == 255) {
      now += std::chrono::seconds(10);
      session->Tick(now);
    } else if (length == 254 && session->wants_input()) {
      judge->Prove(now);
    } else if (length > 0 && session->wants_input()) {
      const std::string_view piece = pieces.substr(0, length);
      session->Feed(piece, now);
      pieces.remove_prefix(piece.size());
    } else {
      judge->Read();
    }
  }
  judge->Read();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size == 0) return 0;
  const int place = data[0] % 5;
  Peer peer;
  peer.local = place < 3;
  SlotStore slots = world.no_slots;
  world.host.slots = &slots;
  world.host.tls = !peer.local;
  {
    const auto now = Session::Clock::now();
    Session session(world.host, 1001, 0x12345678, peer, now);
    world.host.status = [&] {
      return DescribeServer({&session}, *world.source, slots, now).dump();
    };
    Judge judge(world, &session);
    Begin(place, &session, &judge, now);
    Play({reinterpret_cast<const char*>(data + 1), size - 1}, &session, &judge, now);
    Require(peer.local || !session.statistics().authenticated || judge.proved());
    Require(slots.slots().size() <= world.host.max_replication_slots);
  }
  CheckSlots(&slots);
  return 0;
}
