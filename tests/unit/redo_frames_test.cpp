// Frames there and back, and the queue they leave through.
#include "cpp_core/redo/worker/frames.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cpp_core/redo/worker/out_queue.h"
#include "cpp_core/redo/worker/pipe_loop.h"
#include "cpp_core/redo/worker/request_frames.h"
#include "neon_redo/record.h"

namespace neon_redo {
namespace {

std::vector<uint8_t> Hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// Everything in the queue, through a pipe that takes little at a time.
std::vector<uint8_t> Drain(OutQueue* queue) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_NONBLOCK), 0);
  fcntl(ends[1], F_SETPIPE_SZ, 4096);
  std::vector<uint8_t> bytes;
  std::mt19937 random(7);
  for (int turn = 0; !queue->empty(); ++turn) {
    if (turn == 1'000'000) {
      ADD_FAILURE() << queue->unsent() << " bytes are not taken";
      break;
    }
    const size_t before = queue->unsent();
    const ssize_t written = queue->WriteTo(ends[1]);
    EXPECT_EQ(queue->unsent(), before - static_cast<size_t>(std::max<ssize_t>(written, 0)));
    uint8_t some[8192];
    const ssize_t n = read(ends[0], some, 1 + random() % sizeof(some));
    if (n > 0) bytes.insert(bytes.end(), some, some + n);
  }
  for (uint8_t byte; read(ends[0], &byte, 1) == 1;) bytes.push_back(byte);
  close(ends[0]);
  close(ends[1]);
  return bytes;
}

TEST(FramesTest, AreNeonsBytes) {
  // As pageserver/src/walredo/process/protocol.rs lays them out: type, length, tag, payload.
  const uint8_t record[kRecordHeaderSize] = {0xab};
  const RedoRecord records[] = {{Lsn(0x16B374D848), record}};
  const RedoRequest request{{{0x67f, 0x5, 0x4000}, kInitFork, 0x01020304}, nullptr, records};
  OutQueue queue;
  QueueRequest(request, &queue);
  QueuePing(&queue);
  const std::string tag =
      "03"
      "0000067f"
      "00000005"
      "00004000"
      "01020304";
  EXPECT_EQ(Drain(&queue), Hex("42"
                               "00000015" +
                               tag +  // B
                               "41"
                               "00000024"
                               "00000016b374d848"
                               "ab" +                                           // A
                               std::string(2 * (kRecordHeaderSize - 1), '0') +  //
                               "47"
                               "00000015" +
                               tag +  // G
                               "48"
                               "00000004"));  // H
}

TEST(FramesTest, TagsSurviveTheTrip) {
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    const BlockTag tag{{static_cast<uint32_t>(random()), static_cast<uint32_t>(random()),
                        static_cast<uint32_t>(random())},
                       static_cast<uint8_t>(random()),
                       static_cast<uint32_t>(random())};
    uint8_t bytes[kTagSize];
    StoreTag(bytes, tag);
    EXPECT_EQ(LoadTag(bytes), tag);
  }
}

// Reads the queued bytes back frame by frame, as a worker does.
TEST(FramesTest, RequestsSurviveTheTrip) {
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint8_t> base(kBlockSize, static_cast<uint8_t>(random()));
    std::vector<std::vector<uint8_t>> bytes;
    std::vector<RedoRecord> records;
    const size_t sizes[] = {24, 100, 8192, 32767, 32768, 100000};
    for (size_t i = random() % 10 + 1; i > 0; --i) {
      bytes.emplace_back(sizes[random() % 6], static_cast<uint8_t>(random()));
    }
    for (const auto& one : bytes) records.push_back({Lsn(random()), one});
    const BlockTag tag{{1663, 5, 16384}, kMainFork, static_cast<uint32_t>(round)};
    const bool with_base = random() % 2 == 0;
    OutQueue queue;
    QueueRequest({tag, with_base ? base.data() : nullptr, records}, &queue);
    const std::vector<uint8_t> stream = Drain(&queue);

    ByteReader in(stream);
    auto next = [&in](FrameType type) {
      uint8_t seen = 0;
      Bytes length;
      Bytes payload;
      EXPECT_TRUE(in.Read(&seen) && in.ReadBytes(4, &length));
      EXPECT_EQ(seen, type);
      EXPECT_TRUE(in.ReadBytes(LoadBe32(length.data()) - 4, &payload));
      return payload;
    };
    EXPECT_EQ(LoadTag(next(kFrameBegin).data()), tag);
    if (with_base) {
      const Bytes push = next(kFramePush);
      ASSERT_EQ(push.size(), kTagSize + kBlockSize);
      EXPECT_EQ(LoadTag(push.data()), tag);
      EXPECT_EQ(std::memcmp(push.data() + kTagSize, base.data(), kBlockSize), 0);
    }
    for (const RedoRecord& record : records) {
      const Bytes apply = next(kFrameApply);
      ASSERT_EQ(apply.size(), 8 + record.record.size());
      EXPECT_EQ(LoadBe64(apply.data()), record.end.value);
      EXPECT_EQ(std::memcmp(apply.data() + 8, record.record.data(), record.record.size()), 0);
    }
    EXPECT_EQ(LoadTag(next(kFrameGet).data()), tag);
    EXPECT_EQ(in.remaining(), 0u);
  }
}

// Copies and borrowed pieces in any order, with writing in between.
TEST(OutQueueTest, KeepsTheOrderOfBytes) {
  std::mt19937 random(3);
  std::vector<uint8_t> large(200000);
  for (uint8_t& byte : large) byte = static_cast<uint8_t>(random());
  for (int round = 0; round < 20; ++round) {
    OutQueue queue;
    std::vector<uint8_t> expected;
    std::vector<uint8_t> got;
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
    auto turn = [&] {
      if (!queue.empty()) queue.WriteTo(ends[1]);
      uint8_t some[65536];
      const ssize_t n = read(ends[0], some, 1 + random() % sizeof(some));
      if (n > 0) got.insert(got.end(), some, some + n);
    };
    for (int piece = 0; piece < 200; ++piece) {
      const size_t size = random() % 4 == 0 ? random() % large.size() : random() % 300;
      const Bytes bytes(large.data() + random() % (large.size() - size), size);
      queue.Append(bytes);
      expected.insert(expected.end(), bytes.begin(), bytes.end());
      if (random() % 2 == 0) turn();
    }
    for (int turns = 0; got.size() < expected.size() && turns < 1'000'000; ++turns) turn();
    EXPECT_TRUE(queue.empty());
    EXPECT_TRUE(got == expected);
    close(ends[0]);
    close(ends[1]);
  }
}

TEST(StreamTailTest, KeepsTheEndOfAnything) {
  StreamTail tail;
  EXPECT_EQ(tail.OneLine(), "");
  auto append = [&tail](const std::string& text) {
    tail.Append(Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  };
  append("FATAL:  no\nDETAIL:\twhy\n\n");
  EXPECT_EQ(tail.OneLine(), "FATAL:  no; DETAIL: why");
  append(std::string("\x01\xff", 2) + "end");
  EXPECT_EQ(tail.OneLine(), "FATAL:  no; DETAIL: why; ; ??end");
  for (int i = 0; i < 1000; ++i) append(std::string(10000, 'x'));
  EXPECT_LE(tail.text().size(), 2 * StreamTail::kCapacity);
  EXPECT_GE(tail.text().size(), StreamTail::kCapacity);
  append(std::string(1 << 20, 'y') + "\nthe end\n");
  EXPECT_EQ(tail.OneLine(), "the end");
}

}  // namespace
}  // namespace neon_redo
