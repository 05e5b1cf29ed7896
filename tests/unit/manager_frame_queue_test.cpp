// Bytes through a FrameQueue and a pipe, with a reader that is behind.
#include "cpp_core/redo/manager/frame_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <vector>

namespace neon_redo {
namespace {

class FrameQueueTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0); }
  void TearDown() override {
    close(ends_[0]);
    close(ends_[1]);
  }

  // A piece of which each byte tells its position.
  void Queue(size_t n) {
    const uint64_t from = queue_.queued();
    uint8_t* place = queue_.Grow(n);
    for (size_t i = 0; i < n; ++i) place[i] = Byte(from + i);
    EXPECT_EQ(queue_.queued(), from + n);
  }

  // Reads up to n bytes, as the worker does, and checks them. Returns how many there were.
  size_t Read(size_t n) {
    std::vector<uint8_t> bytes(n);
    const ssize_t got = read(ends_[0], bytes.data(), n);
    if (got <= 0) return 0;
    for (size_t i = 0; i < static_cast<size_t>(got); ++i) {
      if (bytes[i] != Byte(read_ + i)) {
        ADD_FAILURE() << "byte " << read_ + i;
        break;
      }
    }
    read_ += static_cast<size_t>(got);
    return static_cast<size_t>(got);
  }

  // Sends and reads until all is read. Each turn moves some bytes.
  void DrainAll() {
    for (int turn = 0; !queue_.Send(ends_[1]) || read_ < queue_.queued(); ++turn) {
      ASSERT_LT(turn, 100'000) << "of " << queue_.queued() << " bytes " << read_ << " have come";
      Read(100'000);
    }
  }

  static uint8_t Byte(uint64_t position) {
    return static_cast<uint8_t>(position * 0x9e3779b97f4a7c15u >> 56);
  }

  int ends_[2];
  FrameQueue queue_;
  uint64_t read_ = 0;
};

TEST_F(FrameQueueTest, EveryByteComesAsItWasQueued) {
  std::mt19937 random(3);
  const size_t sizes[] = {1,      100,        3000,           12'000, 17'000,
                          70'000, 128 * 1024, 128 * 1024 + 1, 500'000};
  for (int round = 0; round < 600; ++round) {
    if (queue_.unsent() < 65536) Queue(1 + random() % sizes[random() % std::size(sizes)]);
    const bool all = queue_.Send(ends_[1]);
    EXPECT_EQ(all, queue_.unsent() == 0);
    if (random() % 4 == 0) continue;
    Read(1 + random() % 100'000);
    // Told late, and of requests only: not of every byte.
    if (random() % 3 == 0) queue_.HasRead(read_ - std::min<uint64_t>(read_, random() % 20'000));
  }
  DrainAll();
  EXPECT_EQ(read_, queue_.queued());
}

// What lies in the pipe is not touched by what is queued later, until it is said to be read.
TEST_F(FrameQueueTest, WhatIsUnderWayStays) {
  Queue(40'000);
  ASSERT_TRUE(queue_.Send(ends_[1]));
  for (int i = 0; i < 10; ++i) Queue(100'000);
  EXPECT_EQ(Read(40'000), 40'000u);
  queue_.HasRead(read_);
  DrainAll();
}

TEST_F(FrameQueueTest, ABeginningAnew) {
  Queue(40'000);
  ASSERT_TRUE(queue_.Send(ends_[1]));
  Queue(300'000);
  EXPECT_FALSE(queue_.Send(ends_[1]));
  queue_.Clear();
  EXPECT_EQ(queue_.queued(), 0u);
  EXPECT_EQ(queue_.unsent(), 0u);
  EXPECT_TRUE(queue_.Send(ends_[1]));
  while (Read(100'000) > 0) {
  }
  EXPECT_GE(read_, 40'000u) << "what was in the pipe is lost";
  read_ = 0;
  Queue(20'000);
  ASSERT_TRUE(queue_.Send(ends_[1]));
  EXPECT_EQ(Read(20'000), 20'000u);
}

TEST_F(FrameQueueTest, APipeThatIsNoneIsFull) {
  Queue(20'000);
  EXPECT_FALSE(queue_.Send(ends_[0])) << "not open for writing";
  EXPECT_TRUE(queue_.Send(ends_[1])) << "by write, as vmsplice was refused";
  EXPECT_EQ(Read(20'000), 20'000u);
}

}  // namespace
}  // namespace neon_redo
