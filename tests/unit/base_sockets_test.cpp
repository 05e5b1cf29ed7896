// Listening sockets when there are no descriptors.
#include "cpp_core/base/sockets.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "cpp_core/wal_server/listen.h"
#include "neon_redo/metrics.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

TEST(SocketsTest, AnErrorSaysThatDescriptorsAreUsedUp) {
  TempDirectory directory;
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto tcp = ListenTcp("127.0.0.1:0");
  const auto local = ListenLocal(directory.path() + "/socket");
  const auto metrics = MetricsExposer::Open("0");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const std::string why = "Too many open files";
  ASSERT_FALSE(tcp || local || metrics);
  EXPECT_NE(tcp.error().message.find(why), std::string::npos) << tcp.error().message;
  EXPECT_NE(local.error().message.find(why), std::string::npos) << local.error().message;
  EXPECT_NE(metrics.error().message.find(why), std::string::npos) << metrics.error().message;
}

TEST(SocketsTest, TheKernelChoosesAPort) {
  const auto first = ListenTcp("127.0.0.1:0");
  ASSERT_TRUE(first);
  EXPECT_GT(PortOf(*first), 0);
  const auto second = ListenTcp("127.0.0.1:" + std::to_string(PortOf(*first)));
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("Address already in use"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo
