// What a manager tells: metrics, and requests that failed kept as files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "cpp_core/metrics/registry.h"
#include "cpp_core/redo/manager/capture.h"
#include "tests/unit/manager_fixture.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Ask;
using testing::FakeWorkers;
using testing::ManagerTest;

// The value of a counter or gauge, or the number of a histogram's observations, over all labels, or
// over those that have the value.
double Value(const MetricsRegistry& registry, const std::string& name,
             const std::string& label = "") {
  double sum = 0;
  for (const prometheus::MetricFamily& family : PrometheusRegistry(registry).Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      bool wanted = label.empty();
      for (const auto& pair : metric.label) wanted = wanted || pair.value == label;
      if (!wanted) continue;
      sum += metric.counter.value + metric.gauge.value +
             static_cast<double>(metric.histogram.sample_count);
    }
  }
  return sum;
}

TEST_F(ManagerTest, MetricsOfTwoManagers) {
  auto registry = std::make_shared<MetricsRegistry>();
  ManagerOptions options = FakeWorkers(1);
  options.metrics = registry;
  const auto value = [&](const char* name, const char* label = "") {
    return Value(*registry, name, label);
  };
  {
    RedoManager one(options), two(options);
    const Ask good(3);
    const Ask bad(4, ".x");
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(one.RequestRedo(good.request()));
    EXPECT_TRUE(two.RequestRedo(good.request()));
    EXPECT_EQ(value("pageserver_wal_redo_processes_active"), 2);
    EXPECT_FALSE(two.RequestRedo(bad.request(AttemptKind::kCompaction)));
    const std::vector<uint8_t> page(kBlockSize);
    const std::vector<PageRecord> native = {{Lsn(9), PageServerRecord(ClogSetAborted{{5}})}};
    PageRequest request;
    request.key = PageKey::OfSlruBlock({SlruKind::kClog, 0, 0});
    request.base_image = page;
    request.records = native;
    EXPECT_TRUE(one.RequestRedo(request));
  }
  EXPECT_EQ(value("pageserver_wal_redo_seconds"), 12);
  EXPECT_EQ(value("pageserver_wal_redo_wait_seconds"), 12);
  EXPECT_EQ(value("pageserver_wal_redo_worker_seconds"), 11);
  EXPECT_EQ(value("pageserver_wal_redo_records_histogram"), 12);
  EXPECT_EQ(value("pageserver_wal_redo_bytes_histogram"), 12);
  EXPECT_EQ(value("pageserver_replayed_wal_records_total"), 23);
  EXPECT_EQ(value("pageserver_wal_redo_records_total", "worker"), 24);
  EXPECT_EQ(value("pageserver_wal_redo_records_total", "native"), 0);
  EXPECT_EQ(value("pageserver_wal_redo_process_launch_duration"),
            value("pageserver_wal_redo_process_started_total"));
  EXPECT_EQ(value("pageserver_wal_redo_process_stopped_total"),
            value("pageserver_wal_redo_process_started_total"));
  EXPECT_EQ(value("pageserver_wal_redo_process_stopped_total", "failure"), 2);
  EXPECT_EQ(value("pageserver_wal_redo_processes_active"), 0);
  EXPECT_EQ(value("pageserver_wal_redo_queue_depth"), 0);
  EXPECT_EQ(value("pageserver_wal_redo_retries_total"), 1);
  EXPECT_EQ(value("pageserver_wal_redo_failed_requests_total", "worker"), 1);
}

class CaptureTest : public ManagerTest {
 protected:
  CaptureTest() {
    char name[] = "/tmp/neon_redo_test.XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~CaptureTest() override { std::filesystem::remove_all(directory_); }
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      files.push_back(entry.path());
    }
    return files;
  }
  std::string directory_;
};

TEST_F(CaptureTest, KeepsWhatFailedUpToTheLimits) {
  ManagerOptions options = FakeWorkers(1);
  options.capture_dir = directory_;
  options.capture_max_files = 3;
  const Ask bad(4, ".x");
  {
    RedoManager manager(options);
    for (int i = 0; i < 5; ++i) {
      EXPECT_FALSE(manager.RequestRedo(bad.request(AttemptKind::kGarbageCollection)));
    }
  }
  ASSERT_EQ(Files().size(), 3u);
  struct stat status;
  ASSERT_EQ(stat(Files()[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const auto captured = ReadCapture(Files()[0]);
  ASSERT_TRUE(captured) << captured.error().message;
  EXPECT_NE((*captured)->error.find("PANIC:  I cannot do that"), std::string::npos);
  const PageRequest& request = (*captured)->request;
  EXPECT_EQ(request.kind, AttemptKind::kGarbageCollection);
  EXPECT_NE((*captured)->version, nullptr);
  EXPECT_EQ(request.key, bad.request().key);
  const auto tag = request.key.ToBlock();
  EXPECT_EQ(Ask::PageOf(*tag, request.base_image, request.records), bad.Page());
  // What is there already counts.
  std::filesystem::remove(Files()[0]);
  options.capture_max_files = 100;
  options.capture_max_bytes = 2 * std::filesystem::file_size(Files()[0]) + 8192;
  RedoManager manager(options);
  EXPECT_FALSE(manager.RequestRedo(bad.request(AttemptKind::kGarbageCollection)));
  EXPECT_EQ(Files().size(), 2u);
}

// Every kind of record; what was cut or changed is refused or is another request, and no more.
TEST_F(CaptureTest, FormatAndParse) {
  const std::vector<uint8_t> base(kBlockSize, 7);
  const std::vector<uint8_t> bytes(30, 9);
  const std::vector<PageRecord> records = {
      {Lsn(8), PostgresRecord{true, bytes}},
      {Lsn(16), PageServerRecord(ClearVisibilityMapFlags{1, {}, 3})},
      {Lsn(24), PageServerRecord(ClearVisibilityMapFlags{{}, 2, 2})},
      {Lsn(32), PageServerRecord(TruncateVisibilityMap{5, 6})},
      {Lsn(40), PageServerRecord(ClogSetCommitted{{5, 6}, -7})},
      {Lsn(48), PageServerRecord(ClogSetAborted{{5}})},
      {Lsn(56), PageServerRecord(MultixactOffsetCreate{1, 2})},
      {Lsn(64), PageServerRecord(MultixactMembersCreate{1, {{2, 3}, {4, 5}}})},
      {Lsn(72), PostgresRecord{false, bytes}}};
  PageRequest request;
  request.key = PageKey::OfBlock(testing::kTag);
  request.lsn = Lsn(72);
  request.base_image = base;
  request.records = records;
  const Error error{ErrorCode::kWorker, "it\nended"};
  const std::string text = FormatCapture(request, error, kPg17);
  const auto parsed = ParseCapture(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)->error, "it ended");
  EXPECT_EQ((*parsed)->version, &kPg17);
  EXPECT_EQ(FormatCapture((*parsed)->request, error, kPg17), text);
  const auto with_version = [&text](const std::string& line) {
    std::string other = text;
    return ParseCapture(other.replace(other.find("version: 17\n"), 12, line));
  };
  EXPECT_EQ((*with_version(""))->version, &kPg15);  // from before there were others
  EXPECT_EQ(with_version("version: 16\n").error().code, ErrorCode::kUnsupported);
  for (size_t size = 0; size < text.size(); size += size < 600 ? 1 : 97) {
    EXPECT_FALSE(ParseCapture(text.substr(0, size))) << size;
  }
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = text;
    changed[random() % 600] = static_cast<char>(random());
    const auto result = ParseCapture(changed);
    EXPECT_TRUE(result || result.error().code == ErrorCode::kCorrupt ||
                result.error().code == ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace neon_redo
