// The control file against the server's own struct.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/control_file.h"

// The server's macros come after all other headers.
#define FRONTEND 1
extern "C" {
#include "postgres.h"
//
#include "access/heaptoast.h"
#include "access/xlog_internal.h"
#include "catalog/catversion.h"
#include "catalog/pg_control.h"
#include "storage/large_object.h"
}

namespace neon_redo {
namespace {

const pg::Version& Server() { return *pg::FindVersionByMajor(PG_VERSION_NUM / 10000); }

// What ReadControlFile (access/transam/xlog.c) compares with the server's own build.
ControlFileData EmptyCluster() {
  ControlFileData control = {};
  control.system_identifier = 1;
  control.pg_control_version = PG_CONTROL_VERSION;
  control.catalog_version_no = CATALOG_VERSION_NO;
  control.state = DB_SHUTDOWNED;
  control.maxAlign = MAXIMUM_ALIGNOF;
  control.floatFormat = FLOATFORMAT_VALUE;
  control.blcksz = BLCKSZ;
  control.relseg_size = RELSEG_SIZE;
  control.xlog_blcksz = XLOG_BLCKSZ;
  control.xlog_seg_size = DEFAULT_XLOG_SEG_SIZE;
  control.nameDataLen = NAMEDATALEN;
  control.indexMaxKeys = INDEX_MAX_KEYS;
  control.toast_max_chunk_size = TOAST_MAX_CHUNK_SIZE;
  control.loblksize = LOBLKSIZE;
  control.float8ByVal = FLOAT8PASSBYVAL;
  return control;
}

std::string Seal(ControlFileData* control) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(control);
  control->crc = Crc32c(Bytes(bytes, offsetof(ControlFileData, crc)));
  return {reinterpret_cast<const char*>(control), sizeof(*control)};
}

Result<pg::ControlFile> Parse(const std::string& bytes) {
  return pg::ParseControlFile(Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                              "pg_control");
}

TEST(ControlFileTest, TheEmptyOneIsTheServersStruct) {
  ControlFileData control = EmptyCluster();
  EXPECT_EQ(pg::EmptyControlFile(Server()), Seal(&control));
}

TEST(ControlFileTest, EveryFieldIsRead) {
  ControlFileData control = EmptyCluster();
  control.system_identifier = 7000000000000000001;
  control.state = DB_IN_PRODUCTION;
  control.checkPoint = 0x123456789;
  control.checkPointCopy.redo = 0x123450000;
  control.checkPointCopy.ThisTimeLineID = 3;
  control.checkPointCopy.PrevTimeLineID = 2;
  control.checkPointCopy.fullPageWrites = true;
  control.checkPointCopy.nextXid = FullTransactionId{0x500000321};
  control.checkPointCopy.nextOid = 24576;
  control.checkPointCopy.oldestActiveXid = 799;
  control.minRecoveryPoint = 0x123460000;
  control.minRecoveryPointTLI = 4;
  control.data_checksum_version = 1;
  control.track_commit_timestamp = true;
  const auto read = Parse(Seal(&control));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->version, &Server());
  EXPECT_EQ(read->system_identifier, 7000000000000000001u);
  EXPECT_STREQ(pg::ClusterStatusText(read->status), "in production");
  EXPECT_EQ(read->checkpoint, Lsn(0x123456789));
  EXPECT_EQ(read->checkpoint_copy.redo, Lsn(0x123450000));
  EXPECT_EQ(read->checkpoint_copy.timeline, 3u);
  EXPECT_EQ(read->checkpoint_copy.previous_timeline, 2u);
  EXPECT_TRUE(read->checkpoint_copy.full_page_writes);
  EXPECT_EQ(read->checkpoint_copy.next_xid, 0x500000321u);
  EXPECT_EQ(read->checkpoint_copy.next_oid, 24576u);
  EXPECT_EQ(read->checkpoint_copy.oldest_active_xid, 799u);
  EXPECT_EQ(read->min_recovery_point, Lsn(0x123460000));
  EXPECT_EQ(read->min_recovery_timeline, 4u);
  EXPECT_TRUE(read->checksums);
  EXPECT_TRUE(read->track_commit_timestamp);
}

// CreateRestartPoint, and xlog_redo of XLOG_PARAMETER_CHANGE.
TEST(ControlFileTest, OneAtARestartPoint) {
  ControlFileData control = EmptyCluster();
  control.state = DB_IN_PRODUCTION;
  control.system_identifier = 7000000000000000001;
  control.checkPoint = 0x1000;
  control.data_checksum_version = 1;
  control.backupStartPoint = 0x2000;
  control.backupEndPoint = 0x3000;
  control.backupEndRequired = true;
  control.wal_level = 1;
  control.MaxConnections = 10;
  const std::string before = Seal(&control);
  CheckPoint checkpoint = {};
  checkpoint.redo = 0x123450000;
  checkpoint.ThisTimeLineID = 3;
  checkpoint.nextOid = 24576;
  checkpoint.oldestActiveXid = 799;
  const Bytes content(reinterpret_cast<const uint8_t*>(&checkpoint), sizeof(checkpoint));
  pg::RestartPointControl point{Lsn(0x123456789), content, Lsn(0x123456800), 3, {}};
  const auto compare = [&](const ControlFileData& expected) {
    ControlFileData wanted = expected;
    const auto made = pg::ControlFileAtRestartPoint(before, "pg_control", point);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->size(), pg::kControlFileSize);
    EXPECT_EQ(made->substr(0, sizeof(wanted)), Seal(&wanted));
  };
  control.state = DB_IN_ARCHIVE_RECOVERY;
  control.checkPoint = 0x123456789;
  control.checkPointCopy = checkpoint;
  control.minRecoveryPoint = 0x123456800;
  control.minRecoveryPointTLI = 3;
  control.backupStartPoint = control.backupEndPoint = 0;
  control.backupEndRequired = false;
  compare(control);
  const xl_parameter_change change = {.MaxConnections = 100,
                                      .max_worker_processes = 8,
                                      .max_wal_senders = 9,
                                      .max_prepared_xacts = 11,
                                      .max_locks_per_xact = 64,
                                      .wal_level = 2,
                                      .wal_log_hints = true,
                                      .track_commit_timestamp = true};
  point.parameters = Bytes(reinterpret_cast<const uint8_t*>(&change), sizeof(change));
  control.MaxConnections = 100;
  control.max_worker_processes = 8;
  control.max_wal_senders = 9;
  control.max_prepared_xacts = 11;
  control.max_locks_per_xact = 64;
  control.wal_level = 2;
  control.wal_log_hints = control.track_commit_timestamp = true;
  compare(control);
  point.parameters = point.parameters.first(4);
  EXPECT_FALSE(pg::ControlFileAtRestartPoint(before, "pg_control", point));
  point.parameters = {};
  point.checkpoint_content = content.first(40);
  EXPECT_FALSE(pg::ControlFileAtRestartPoint(before, "pg_control", point));
}

TEST(ControlFileTest, WhatDoesNotFitIsRefused) {
  ControlFileData control = EmptyCluster();
  const std::string good = Seal(&control);
  const auto code = [](const std::string& bytes) {
    const auto read = Parse(bytes);
    return read ? std::optional<ErrorCode>() : read.error().code;
  };
  EXPECT_EQ(code(good), std::nullopt);
  for (size_t size : {size_t{0}, size_t{15}, size_t{100}, good.size() - 1})
    EXPECT_EQ(code(good.substr(0, size)), ErrorCode::kCorrupt) << size;
  for (size_t at = 16; at < offsetof(ControlFileData, crc) + 4; at++) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_EQ(code(bad), ErrorCode::kCorrupt) << at;
  }
  control.pg_control_version++;
  EXPECT_EQ(code(Seal(&control)), ErrorCode::kUnsupported);
  control = EmptyCluster();
  control.catalog_version_no++;
  EXPECT_EQ(code(Seal(&control)), ErrorCode::kUnsupported);
  control = EmptyCluster();
  control.blcksz = 4096;
  EXPECT_EQ(code(Seal(&control)), ErrorCode::kUnsupported);
}

TEST(ControlFileTest, TheEmptyOneOfEachVersionIsReadAsThatVersions) {
  for (const pg::Version& version : pg::kVersions) {
    const auto read = Parse(pg::EmptyControlFile(version));
    if (!version.is_tested) {
      ASSERT_FALSE(read);
      EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
      continue;
    }
    ASSERT_TRUE(read) << version.major << ": " << read.error().message;
    EXPECT_EQ(read->version, &version);
    EXPECT_EQ(read->status, pg::ClusterStatus::kShutDown);
  }
}

TEST(ControlFileTest, AStateThatIsNone) {
  EXPECT_STREQ(pg::ClusterStatusText(static_cast<pg::ClusterStatus>(99)), "unrecognized");
}

}  // namespace
}  // namespace neon_redo
