// WalReceiver against a server made of bytes: what a real one never sends, or only now and then.
#include "neon_redo/receiver.h"

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <future>

#include "cpp_core/wal_client/receiver_impl.h"
#include "tests/unit/wal_client_fake_server.h"

namespace neon_redo {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

const char* const kSlowHost = "slow.invalid";

ReceiverOptions OptionsFor(const FakeServer& server) {
  ReceiverOptions out;
  out.connect.conninfo = server.conninfo();
  return out;
}

struct Started {
  Started(const FakeServer& server, ReceiverOptions options) : receiver(options, cancel) {
    static_cast<void>(server);
    Status done = receiver.Connect();
    if (done) done = receiver.StartPhysical(std::nullopt, Lsn(0x1000), 1);
    EXPECT_TRUE(done) << done.error().message;
  }
  explicit Started(const FakeServer& server) : Started(server, OptionsFor(server)) {}

  // Everything until the stream ends: messages as text, then the error's code.
  std::vector<std::string> ReadAll() {
    std::vector<std::string> out;
    MessageBatch batch;
    for (;;) {
      const auto state = receiver.Receive(&batch, milliseconds(10000));
      if (!state) {
        out.push_back(ErrorCodeName(state.error().code));
        return out;
      }
      if (*state != WalReceiver::State::kStreaming) {
        out.push_back("end");
        return out;
      }
      if (batch.empty()) {
        out.push_back("nothing");
        return out;
      }
      for (const ServerMessage& m : batch.messages()) {
        if (const auto* wal = std::get_if<XLogData>(&m)) {
          out.push_back(
              wal->start.ToString() + ":" +
              std::string(reinterpret_cast<const char*>(wal->data.data()), wal->data.size()));
        } else {
          out.push_back("keepalive " + std::get<Keepalive>(m).server_end.ToString());
        }
      }
    }
  }

  CancelSignal cancel;
  WalReceiver receiver;
};

// Of an ErrorResponse or NoticeResponse: each field begins with its code.
std::string Fields(const std::vector<std::string>& fields) {
  std::string out;
  for (const std::string& field : fields) out += field + '\0';
  return out + '\0';
}

const std::string kCommandOk = Frame('C', std::string("COPY 0\0", 7)) + Frame('Z', "I");

// Each message of every kind that can come, split at every byte into two reads.
TEST(WalReceiver, EverySplitOfEveryMessage) {
  const std::string all =
      WalFrame(Lsn(0x1000), Lsn(0x2000), "first") + KeepaliveFrame(Lsn(0x2000), false) +
      Frame('N', Fields({"SNOTICE", "C00000", "Mhello"})) + Frame('S', std::string("x\0y\0", 4)) +
      WalFrame(Lsn(0x1005), Lsn(0x2000), "") +
      WalFrame(Lsn(0x1005), Lsn(0x2000), std::string(300, 'z')) +
      KeepaliveFrame(Lsn(0x3000), true) + kCommandOk;
  const std::vector<std::string> expected = {"0/1000:first",     "keepalive 0/2000",
                                             "0/1005:",          "0/1005:" + std::string(300, 'z'),
                                             "keepalive 0/3000", "end"};
  for (size_t at = 0; at <= all.size(); at++) {
    FakeServer server([&](FakeServer* s) {
      s->SendSplit(all, at);
      s->HoldOpen();
    });
    Started client(server);
    EXPECT_EQ(client.ReadAll(), expected) << "split at " << at;
  }
}

TEST(WalReceiver, NoSettingOfTimeOverflows) {
  EXPECT_EQ(ParseSettingTime("1min"), milliseconds(60'000));
  EXPECT_EQ(ParseSettingTime("500ms"), milliseconds(500));
  EXPECT_EQ(ParseSettingTime("2147483647d"), milliseconds(2'147'483'647));
  for (const char* bad :
       {"9223372036854775807d", "9223372036854775807h", "-1d", "99999999999", "x"})
    EXPECT_EQ(ParseSettingTime(bad), milliseconds(0)) << bad;
}

// The stream cut off at every byte: what was complete is handed over, then the loss shows.
TEST(WalReceiver, EveryTruncationIsALoss) {
  const std::string all =
      WalFrame(Lsn(0x1000), Lsn(0x2000), "first") + KeepaliveFrame(Lsn(0x2000), false);
  const size_t first = WalFrame(Lsn(0x1000), Lsn(0x2000), "first").size();
  for (size_t at = 0; at <= all.size(); at++) {
    FakeServer server([&](FakeServer* s) { s->Send(all.substr(0, at)); });
    Started client(server);
    std::vector<std::string> expected;
    if (at >= first) expected.push_back("0/1000:first");
    if (at == all.size()) expected.push_back("keepalive 0/2000");
    expected.push_back("io");
    EXPECT_EQ(client.ReadAll(), expected) << "cut at " << at;
  }
}

TEST(WalReceiver, WhatTheProtocolDoesNotHaveIsRefused) {
  const std::string good = WalFrame(Lsn(0x1000), Lsn(0x2000), "first");
  struct Case {
    std::string bytes;
    const char* code;
  };
  const std::vector<Case> cases = {
      {Frame('d', "q123"), "corrupt"},                // unknown kind
      {Frame('d', std::string(24, 'w')), "corrupt"},  // a truncated header
      {Frame('d', std::string(19, 'k')), "corrupt"},  // a keepalive too long
      {std::string("d") + Be(3, 4) + "abcd", "io"},   // libpq: lost synchronization
      {std::string("d") + Be(0xffffffff, 4) + "ab", "io"},
      {Frame('E', Fields({"SFATAL", "C57P01", "Mbye"})), "io"},
  };
  for (const Case& c : cases) {
    FakeServer server([&](FakeServer* s) {
      s->Send(good + c.bytes);
      s->HoldOpen();
    });
    Started client(server);
    EXPECT_EQ(client.ReadAll(), (std::vector<std::string>{"0/1000:first", c.code})) << c.bytes;
  }
}

TEST(WalReceiver, MessagesAboveTheLimitAreRefused) {
  FakeServer server([](FakeServer* s) {
    s->Send(WalFrame(Lsn(0x1000), Lsn(0x2000), std::string(75, 'a')));
    s->Send(WalFrame(Lsn(0x1000), Lsn(0x2000), std::string(76, 'a')));
    s->HoldOpen();
  });
  ReceiverOptions options = OptionsFor(server);
  options.max_message_bytes = 100;
  Started client(server, options);
  EXPECT_EQ(client.ReadAll(),
            (std::vector<std::string>{"0/1000:" + std::string(75, 'a'), "unsupported"}));
}

TEST(WalReceiver, ServerErrorKeepsItsWords) {
  FakeServer server([](FakeServer* s) {
    s->Send(Frame('E', Fields({"SERROR", "C58P01", "Mgone", "Dold", "Htry"})) + Frame('Z', "I"));
    s->HoldOpen();
  });
  Started client(server);
  MessageBatch batch;
  const auto state = client.receiver.Receive(&batch, milliseconds(10000));
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(state.error().message,
            "the server ended the stream: gone (SQLSTATE 58P01); detail: old; hint: try");
  EXPECT_EQ(client.receiver.server_error().sqlstate, "58P01");
  EXPECT_FALSE(client.receiver.server_error().transient());
}

TEST(WalReceiver, ServersWordsCommandNoTerminal) {
  FakeServer server([](FakeServer* s) {
    s->Send(Frame('E', Fields({"SERROR", "C58P01", "Mgo\x1b]0;ne",
                               "Dol\xc2\x9b"
                               "d",
                               "Htr\x7fy"})) +
            Frame('Z', "I"));
    s->HoldOpen();
  });
  Started client(server);
  MessageBatch batch;
  const auto state = client.receiver.Receive(&batch, milliseconds(10000));
  ASSERT_FALSE(state);
  for (const char* control : {"\x1b", "\x9b", "\x7f"})
    EXPECT_EQ(state.error().message.find(control), std::string::npos) << state.error().message;
}

// 10,000 small messages at once come in batches of at most kMaxBatch, in order.
TEST(WalReceiver, DrainsInBatches) {
  FakeServer server([](FakeServer* s) {
    std::string all;
    for (uint64_t i = 0; i < 10000; i++) all += WalFrame(Lsn(0x1000 + i), Lsn(0x9000), "x");
    s->Send(all + kCommandOk);
    s->HoldOpen();
  });
  Started client(server);
  MessageBatch batch;
  uint64_t next = 0x1000;
  size_t calls = 0;
  for (;; calls++) {
    const auto state = client.receiver.Receive(&batch, milliseconds(10000));
    ASSERT_TRUE(state) << state.error().message;
    if (*state != WalReceiver::State::kStreaming) break;
    EXPECT_LE(batch.messages().size(), WalReceiver::kMaxBatch);
    for (const ServerMessage& m : batch.messages())
      EXPECT_EQ(std::get<XLogData>(m).start.value, next++);
  }
  EXPECT_EQ(next, 0x1000u + 10000);
  EXPECT_LT(calls, 1000u);
}

StandbyStatus NextStatus(FakeServer* server) {
  const std::string payload = server->NextFromClient(milliseconds(10000));
  const auto message =
      DecodeClientMessage(Bytes(reinterpret_cast<const uint8_t*>(payload.data()), payload.size()));
  return message ? std::get<StandbyStatus>(*message) : StandbyStatus{};
}

// Positions are the consumer's, separate, and never move back.
TEST(WalReceiver, AnswersARequestWithThePositionsAsTheyAre) {
  std::promise<StandbyStatus> answered;
  std::promise<void> go;
  FakeServer server([&](FakeServer* s) {
    NextStatus(s);  // the one at the start
    go.get_future().wait();
    s->Send(KeepaliveFrame(Lsn(0x2000), true));
    answered.set_value(NextStatus(s));
    s->HoldOpen();
  });
  Started client(server);
  client.receiver.SetPositions({Lsn(30), Lsn(20), Lsn(10)});
  client.receiver.SetPositions({Lsn(29), Lsn(0), Lsn(11)});
  go.set_value();
  MessageBatch batch;
  ASSERT_TRUE(client.receiver.Receive(&batch, milliseconds(10000)));
  const StandbyStatus status = answered.get_future().get();
  EXPECT_EQ(status.written, Lsn(30));
  EXPECT_EQ(status.flushed, Lsn(20));
  EXPECT_EQ(status.applied, Lsn(11));
}

// The consumer does not call Receive at all; half of wal_sender_timeout is the deadline.
TEST(WalReceiver, StatusGoesOutWhileTheConsumerIsElsewhere) {
  std::promise<int> counted;
  FakeServer server(
      [&](FakeServer* s) {
        int statuses = 0;
        while (statuses < 5 && NextStatus(s).sent != ReplicationTime{}) statuses++;
        counted.set_value(statuses);
        s->HoldOpen();
      },
      "200ms");
  Started client(server);
  EXPECT_EQ(counted.get_future().get(), 5);
}

// As before, but the server asks, and no interval is near.
TEST(WalReceiver, AnswersARequestWhileTheConsumerIsElsewhere) {
  std::promise<bool> answered;
  FakeServer server(
      [&](FakeServer* s) {
        NextStatus(s);  // the one at the start
        s->Send(KeepaliveFrame(Lsn(0x2000), true));
        answered.set_value(NextStatus(s).sent != ReplicationTime{});
        s->HoldOpen();
      },
      "0");
  ReceiverOptions options = OptionsFor(server);
  options.status_interval = milliseconds(0);
  Started client(server, options);
  EXPECT_TRUE(answered.get_future().get());
}

TEST(WalReceiver, AStalledServerIsNotAnIdleOne) {
  // Idle: it answers when asked for a sign of life.
  FakeServer idle([](FakeServer* s) {
    while (!s->stopping())
      if (NextStatus(s).reply_requested) s->Send(KeepaliveFrame(Lsn(0x1000), false));
  });
  ReceiverOptions options = OptionsFor(idle);
  options.stall_timeout = milliseconds(200);
  Started alive(idle, options);
  MessageBatch batch;
  const auto until = Clock::now() + milliseconds(1000);
  while (Clock::now() < until) {
    const auto state = alive.receiver.Receive(&batch, milliseconds(50));
    ASSERT_TRUE(state) << state.error().message;
  }
  // Stalled: it reads and says nothing.
  FakeServer stalled([](FakeServer* s) { s->HoldOpen(); });
  options.connect.conninfo = stalled.conninfo();
  Started dead(stalled, options);
  for (int i = 0; i < 1000; i++) {
    const auto state = dead.receiver.Receive(&batch, milliseconds(10));
    if (state) continue;
    EXPECT_EQ(state.error().code, ErrorCode::kTimeout);
    return;
  }
  FAIL() << "not noticed";
}

// Time from Set() to the return of `wait`, which runs meanwhile; the best of a few attempts, for
// the machine may be busy with something else.
milliseconds TimeToCancel(const std::function<Status(const CancelSignal&)>& wait) {
  milliseconds best = milliseconds::max();
  for (int attempt = 0; attempt < 5 && best >= milliseconds(100); attempt++) {
    CancelSignal cancel;
    Clock::time_point set;
    std::thread canceller([&] {
      std::this_thread::sleep_for(milliseconds(50));
      set = Clock::now();
      cancel.Set();
    });
    const Status done = wait(cancel);
    const auto returned = Clock::now();
    canceller.join();
    EXPECT_FALSE(done);
    if (!done) {
      EXPECT_EQ(done.error().code, ErrorCode::kCancelled) << done.error().message;
    }
    best = std::min(best, std::chrono::duration_cast<milliseconds>(returned - set));
  }
  return best;
}

TEST(WalReceiver, CancellationIsQuickWhileReceiving) {
  const auto time = TimeToCancel([](const CancelSignal& cancel) {
    FakeServer server([](FakeServer* s) { s->HoldOpen(); });
    WalReceiver receiver(OptionsFor(server), cancel);
    EXPECT_TRUE(receiver.Connect());
    EXPECT_TRUE(receiver.StartPhysical(std::nullopt, Lsn(0x1000), 1));
    MessageBatch batch;
    const auto state = receiver.Receive(&batch, milliseconds(60000));
    return state ? Status{} : Status(tl::unexpected(state.error()));
  });
  EXPECT_LT(time, milliseconds(100));
}

TEST(WalReceiver, CancellationHandsOverWhatIsThere) {
  FakeServer server([](FakeServer* s) {
    s->Send(WalFrame(Lsn(0x1000), Lsn(0x2000), "a") + WalFrame(Lsn(0x1001), Lsn(0x2000), "b"));
    s->HoldOpen();
  });
  Started client(server);
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(100));
    client.cancel.Set();
  });
  EXPECT_EQ(client.ReadAll(), (std::vector<std::string>{"0/1000:a", "0/1001:b", "cancelled"}));
  canceller.join();
}

TEST(WalReceiver, CancellationIsQuickWhileConnecting) {
  // A listener that never answers.
  const int port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(port, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(port, 10), 0);
  socklen_t length = sizeof(address);
  getsockname(port, reinterpret_cast<sockaddr*>(&address), &length);
  ReceiverOptions options;
  const std::string settings =
      " user=u sslmode=disable port=" + std::to_string(ntohs(address.sin_port));
  // The second is a name that the resolver below never finds.
  for (const char* host : {"127.0.0.1", kSlowHost}) {
    options.connect.conninfo = "host=" + std::string(host) + settings;
    const auto time = TimeToCancel(
        [&](const CancelSignal& cancel) { return WalReceiver(options, cancel).Connect(); });
    EXPECT_LT(time, milliseconds(100)) << host;
  }
  options.connect.connect_timeout = milliseconds(50);
  const CancelSignal cancel;
  const Status late = WalReceiver(options, cancel).Connect();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  close(port);
}

}  // namespace
}  // namespace neon_redo

// Stands in for the C library's, which it calls, in this program and in the libpq that it uses.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** out) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (name && std::strcmp(name, neon_redo::kSlowHost) == 0) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    return EAI_AGAIN;
  }
  return real(name, service, hints, out);
}
