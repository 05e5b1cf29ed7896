// libFuzzer target: a client against the WAL sender's session, before and after authentication.
//
// Input: a byte whose value modulo 4 says where it begins (a local client before startup, one
// logged in, one that streams, a client by TCP on which TLS is established), then pieces, each a
// byte of length and that many bytes from the client. A piece of length 0 lets the client read, one
// of 255 time pass. Whatever comes, the session answers in whole messages, sends no byte of WAL
// that was not written, none at all before login, and keeps little in memory. Seeds:
// tests/fuzz/session_seeds.py DIR.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/unit/session_client.h"
#include "tests/unit/wal_writer.h"

namespace {

using namespace neon_redo;

struct World {
  World() {
    for (int i = 0; wal.position() < (uint64_t{5} << 20) + 50'000; i++)
      wal.Append(10, 0, static_cast<size_t>(i * 7919 % 12'000));
    wal.Save(directory.path());
    auto opened = WalSource::Open(directory.path());
    auto empty = SlotStore::Open(directory.path() + "/slots");
    if (!opened || !empty) std::abort();
    source = std::move(*opened);
    slots = std::move(*empty);
    host.source = source.get();
    host.users = &users;
    host.slots = &slots;
  }

  TempDirectory directory;  // TMPDIR=/dev/shm makes slots cheap
  WalWriter wal{1 << 20, 3};
  std::unique_ptr<WalSource> source;
  SlotStore slots;
  ScramUsers users;
  SessionHost host;
};

void Require(bool fact) {
  if (!fact) std::abort();
}

// Everything the session says, judged as it comes.
class Judge {
 public:
  explicit Judge(World* world) : world_(world) {}

  void Check(SessionClient* client) {
    client->Take(1 << 20);
    Require(client->session.output().buffered() < Session::kMaxOutput + (32 << 10));
    for (const ServerSays& m : client->Messages()) {
      Require(std::string_view("RSKZETDCWdcv").find(m.type) != std::string_view::npos);
      if (m.type == 'd') CheckWal(m.body, client->session.statistics().authenticated);
    }
  }

 private:
  void CheckWal(const std::string& body, bool authenticated) {
    const auto message =
        DecodeServerMessage(Bytes(reinterpret_cast<const uint8_t*>(body.data()), body.size()));
    Require(message.has_value() && authenticated);
    const auto* data = std::get_if<XLogData>(&*message);
    if (!data) return;
    const std::string& wal = world_->wal.wal();
    const uint64_t begin = world_->wal.position() - wal.size();
    Require(data->start.value >= begin && data->end() <= world_->source->end());
    Require(std::equal(data->data.begin(), data->data.end(),
                       wal.begin() + static_cast<long>(data->start.value - begin),
                       [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); }));
  }

  World* const world_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size == 0) return 0;
  const int place = data[0] % 4;
  Peer peer;
  peer.local = place != 3;
  world.host.tls = place == 3;
  SessionClient client(world.host, peer);
  Judge judge(&world);
  auto now = Session::Clock::now();
  if (place == 3) {
    client.Send(StartupPacket("", 80877103));
    Require(client.TakeRaw() == "S");
    client.session.TlsEstablished();
  } else if (place > 0) {
    client.LogIn();
    if (place == 2) client.Send(Query("START_REPLICATION 0/300000"));
    judge.Check(&client);
  }
  const uint8_t* p = data + 1;
  const uint8_t* const end = data + size;
  while (p < end && !client.session.closing()) {
    const size_t length = *p++;
    if (length == 0) {
      // Before startup one byte may come that is no message.
      if (place == 0 && !client.session.statistics().authenticated) {
        const std::string raw(client.session.output().head());
        if (raw == "N" || raw == "S") client.session.output().ConsumeHead(1);
      }
      judge.Check(&client);
    } else if (length == 255) {
      now += std::chrono::seconds(10);
      client.session.Tick(now);
    } else if (client.session.wants_input()) {
      const size_t n = std::min<size_t>(length, static_cast<size_t>(end - p));
      client.session.Feed({reinterpret_cast<const char*>(p), n}, now);
      p += n;
    } else {
      judge.Check(&client);
    }
  }
  if (place > 0) judge.Check(&client);
  return 0;
}
