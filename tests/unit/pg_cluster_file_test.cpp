// Files of a cluster that somebody prepared: FIFOs, devices, links that lead out of it.
#include "cpp_core/pg/cluster_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/store/slru_page.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

class ClusterFileTest : public testing::Test {
 protected:
  ClusterFileTest() {
    for (const char* below : {"base/5", "pg_xact", "pg_tblspc", "../tablespace/PG_15/5"})
      fs::create_directories(cluster_ + "/" + below);
    std::ofstream(precious_) << "precious";
  }

  // What refuses the file; kInvalidArgument for all that is no file of a cluster.
  void ExpectRefused(const std::string& name) {
    const auto file = pg::OpenClusterFile(cluster_, name);
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument) << file.error().message;
    EXPECT_NE(file.error().message.find(cluster_ + "/" + name), std::string::npos);
  }

  TempDirectory root_;
  const std::string precious_ = root_.path() + "/precious";
  const std::string cluster_ = root_.path() + "/cluster";
};

TEST_F(ClusterFileTest, RegularFilesOnly) {
  std::ofstream(cluster_ + "/base/5/1") << "content";
  EXPECT_EQ(pg::ReadClusterFile(cluster_, "base/5/1", 7).value(), "content");
  EXPECT_EQ(pg::ReadClusterFile(cluster_, "base/5/1", 6).error().code, ErrorCode::kCorrupt);
  for (const char* missing : {"base/5/2", "base/6/1", "base/5/1/1", "nothing"})
    EXPECT_EQ(pg::OpenClusterFile(cluster_, missing).error().code, ErrorCode::kNotFound) << missing;
  // Nobody waits for the other end of a FIFO.
  ASSERT_EQ(mkfifo((cluster_ + "/backup_label").c_str(), 0600), 0);
  ExpectRefused("backup_label");
  ExpectRefused("base/5");
}

TEST_F(ClusterFileTest, LinksLeadNowhere) {
  fs::create_symlink(precious_, cluster_ + "/base/5/1");
  fs::create_symlink("/dev/zero", cluster_ + "/backup_label");
  fs::create_directory_symlink(root_.path(), cluster_ + "/base/6");
  fs::create_directory_symlink(root_.path(), cluster_ + "/global");
  for (const char* name : {"base/5/1", "backup_label", "base/6/precious", "global/precious"})
    ExpectRefused(name);
}

TEST_F(ClusterFileTest, LinksOfTablespacesAreFollowed) {
  const std::string tablespace = root_.path() + "/tablespace";
  fs::create_directory_symlink(tablespace, cluster_ + "/pg_tblspc/16400");
  std::ofstream(tablespace + "/PG_15/5/1") << "content";
  EXPECT_EQ(pg::ReadClusterFile(cluster_, "pg_tblspc/16400/PG_15/5/1", 7).value(), "content");
  EXPECT_EQ(pg::TablespaceLinks(cluster_), (std::map<uint32_t, std::string>{{16400, tablespace}}));
  // Below it no other link is.
  fs::create_symlink(precious_, tablespace + "/PG_15/5/2");
  fs::create_directory_symlink(root_.path(), tablespace + "/PG_15/6");
  ExpectRefused("pg_tblspc/16400/PG_15/5/2");
  ExpectRefused("pg_tblspc/16400/PG_15/6/precious");
}

TEST_F(ClusterFileTest, SlruSegments) {
  const SlruBlock block{SlruKind::kClog, 0, 0};
  std::vector<uint8_t> page(kBlockSize);
  const auto cluster = DataDirectory(cluster_);
  EXPECT_FALSE(ReadSlruPage(*cluster, block, page.data()).value());
  const std::string path = cluster_ + "/pg_xact/0000";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReadSlruPage(*cluster, block, page.data()).error().code, ErrorCode::kInvalidArgument);
  fs::remove(path);
  fs::create_symlink(precious_, path);
  EXPECT_EQ(ReadSlruPage(*cluster, block, page.data()).error().code, ErrorCode::kInvalidArgument);
  fs::remove(path);
  std::ofstream(path) << std::string(kBlockSize, 'x');
  EXPECT_TRUE(ReadSlruPage(*cluster, block, page.data()).value());
  EXPECT_EQ(page.back(), 'x');
}

}  // namespace
}  // namespace neon_redo
