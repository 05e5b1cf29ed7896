// The pauses between attempts to reconnect.
#include "cpp_core/base/backoff.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace neon_redo {
namespace {

using std::chrono::milliseconds;

std::vector<int64_t> Pauses(Backoff* backoff, int count, double random) {
  std::vector<int64_t> out;
  for (int i = 0; i < count; i++) out.push_back(backoff->Next(random).count());
  return out;
}

TEST(Backoff, DoublesUpToTheCap) {
  Backoff backoff(milliseconds(100), milliseconds(10'000));
  EXPECT_EQ(Pauses(&backoff, 9, 0),
            (std::vector<int64_t>{100, 200, 400, 800, 1600, 3200, 6400, 10'000, 10'000}));
}

TEST(Backoff, JitterTakesUpToHalf) {
  Backoff least(milliseconds(100), milliseconds(1000));
  EXPECT_EQ(Pauses(&least, 5, 0.999'999), (std::vector<int64_t>{51, 101, 201, 401, 501}));
  Backoff middle(milliseconds(100), milliseconds(1000));
  EXPECT_EQ(Pauses(&middle, 5, 0.5), (std::vector<int64_t>{75, 150, 300, 600, 750}));
}

// The jitter of one pause does not change the next ones.
TEST(Backoff, JitterDoesNotAddUp) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> part(0, 1);
  Backoff plain(milliseconds(3), milliseconds(777));
  Backoff jittered(milliseconds(3), milliseconds(777));
  for (int i = 0; i < 1000; i++) {
    const auto whole = plain.Next(0);
    const auto pause = jittered.Next(part(random));
    EXPECT_LE(pause, whole);
    EXPECT_GE(pause * 2, whole);
    EXPECT_GT(pause.count(), 0);
  }
}

TEST(Backoff, BeginsAgainAfterASuccess) {
  Backoff backoff(milliseconds(100), milliseconds(10'000));
  Pauses(&backoff, 5, 0);
  backoff.Reset();
  EXPECT_EQ(Pauses(&backoff, 2, 0), (std::vector<int64_t>{100, 200}));
}

TEST(Backoff, MayBeConstant) {
  Backoff constant(milliseconds(50), milliseconds(50));
  EXPECT_EQ(Pauses(&constant, 3, 0), (std::vector<int64_t>{50, 50, 50}));
}

}  // namespace
}  // namespace neon_redo
