// Every field is read and written by its offset: the fields that are at the same place in all
// versions here, the others in the version's ControlFileLayout. tests/unit/pg_file_layout_check.cpp
// holds both against the server's own header.
#include "cpp_core/pg/control_file.h"

#include <fmt/format.h>

#include <cstring>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/block.h"
#include "neon_redo/page_key.h"

namespace neon_redo::pg {

namespace {

constexpr size_t kSystemIdentifierAt = 0;
constexpr size_t kControlVersionAt = 8;
constexpr size_t kCatalogVersionAt = 12;
constexpr size_t kStatusAt = 16;
constexpr size_t kCheckPointAt = 32;
constexpr size_t kCheckPointCopyAt = 40;
constexpr size_t kMinRecoveryPointAt = 136, kMinRecoveryTimelineAt = 144;
constexpr size_t kBackupStartAt = 152, kBackupEndAt = 160, kBackupEndRequiredAt = 168;

// Fields that describe the build, by their distance from maxAlign and from xlog_blcksz.
constexpr size_t kFloatFormat = 4, kBlockSizeField = 12, kBlocksPerFileField = 16;
constexpr size_t kSlruPagesField = 20;  // slru_pages_per_segment, since 19
constexpr size_t kSegmentSize = 4, kNameLength = 8, kIndexKeys = 12, kToastChunk = 16,
                 kLargeObjectBlock = 20;
// wal_log_hints stands five numbers and its own padding before track_commit_timestamp.
constexpr size_t kWalLogHintsBefore = 24;
// And wal_level before it; the five numbers begin with MaxConnections.
constexpr size_t kWalLevelBefore = 28, kMaxConnectionsBefore = 20;
// What they are in every packaged build.
constexpr uint32_t kMaximumAlignment = 8;      // MAXIMUM_ALIGNOF
constexpr double kFloatFormatValue = 1234567;  // FLOATFORMAT_VALUE
constexpr uint32_t kDefaultSegmentSize = 16 << 20;
constexpr uint32_t kNameDataLength = 64;          // NAMEDATALEN
constexpr uint32_t kIndexMaxKeys = 32;            // INDEX_MAX_KEYS
constexpr uint32_t kToastMaxChunkSize = 1996;     // TOAST_MAX_CHUNK_SIZE
constexpr uint32_t kLargeObjectBlockSize = 2048;  // LOBLKSIZE

template <typename T>
T Get(Bytes bytes, size_t at) {
  return LoadNative<T>(bytes.data() + at);
}

bool IsControlVersion(uint32_t control_version) {
  for (const Version& version : kVersions) {
    if (version.control_version == control_version) return true;
  }
  return false;
}

std::string SupportedControlVersions() {
  std::string out;
  for (const Version& version : kVersions)
    if (version.is_tested && out.find(std::to_string(version.control_version)) == out.npos)
      out += fmt::format("{}{}", out.empty() ? "" : ", ", version.control_version);
  return out;
}

}  // namespace

const char* ClusterStatusText(ClusterStatus status) {
  switch (status) {
    case ClusterStatus::kStartup:
      return "starting up";
    case ClusterStatus::kShutDown:
      return "shut down";
    case ClusterStatus::kShutDownInRecovery:
      return "shut down in recovery";
    case ClusterStatus::kShuttingDown:
      return "shutting down";
    case ClusterStatus::kInCrashRecovery:
      return "in crash recovery";
    case ClusterStatus::kInArchiveRecovery:
      return "in archive recovery";
    case ClusterStatus::kInProduction:
      return "in production";
  }
  return "unrecognized";
}

Result<ControlFile> ParseControlFile(Bytes bytes, const std::string& what) {
  const auto too_short = [&] {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{} has only {} bytes", what, bytes.size()));
  };
  if (bytes.size() < kStatusAt) return too_short();
  const auto control_version = Get<uint32_t>(bytes, kControlVersionAt);
  const auto catalog_version = Get<uint32_t>(bytes, kCatalogVersionAt);
  const Version* version = FindVersionByControlFile(control_version, catalog_version);
  if (!IsControlVersion(control_version))
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("{} has version {}; this program is built for PostgreSQL {} ({})", what,
                    control_version, SupportedMajors(), SupportedControlVersions()));
  const auto other_build = [&] {
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("{}: the cluster was made by a server with other catalogs, block "
                                 "size or segment size than this program's",
                                 what));
  };
  if (version == nullptr) return other_build();
  if (Status tested = CheckTested(*version, what); !tested) return tl::unexpected(tested.error());
  if (Status all = CheckComplete(*version, what); !all) return tl::unexpected(all.error());
  const ControlFileLayout& at = version->control_file;
  if (bytes.size() < at.size) return too_short();
  if (Crc32c(bytes.first(at.crc)) != Get<uint32_t>(bytes, at.crc))
    return MakeError(ErrorCode::kCorrupt, fmt::format("{}: the checksum does not fit", what));
  if (Get<uint32_t>(bytes, at.max_align + kBlockSizeField) != kBlockSize ||
      Get<uint32_t>(bytes, at.max_align + kBlocksPerFileField) != kBlocksPerFile)
    return other_build();
  ControlFile out;
  out.version = version;
  out.system_identifier = Get<uint64_t>(bytes, kSystemIdentifierAt);
  out.status = static_cast<ClusterStatus>(Get<uint32_t>(bytes, kStatusAt));
  out.checkpoint = Lsn(Get<uint64_t>(bytes, kCheckPointAt));
  out.checkpoint_copy = *ReadCheckPoint(bytes.subspan(kCheckPointCopyAt), *version);
  out.min_recovery_point = Lsn(Get<uint64_t>(bytes, kMinRecoveryPointAt));
  out.min_recovery_timeline = Get<uint32_t>(bytes, kMinRecoveryTimelineAt);
  out.checksums = Get<uint32_t>(bytes, at.checksum_version) != 0;
  out.wal_level = Get<int32_t>(bytes, at.track_commit_timestamp - kWalLevelBefore);
  out.wal_log_hints = bytes[at.track_commit_timestamp - kWalLogHintsBefore] != 0;
  out.track_commit_timestamp = bytes[at.track_commit_timestamp] != 0;
  return out;
}

Result<std::string> ControlFileAtRestartPoint(std::string_view file, const std::string& what,
                                              const RestartPointControl& point) {
  ASSIGN_OR_RETURN(
      const ControlFile control,
      ParseControlFile(Bytes(reinterpret_cast<const uint8_t*>(file.data()), file.size()), what));
  const ControlFileLayout& at = control.version->control_file;
  const size_t checkpoint_size = control.version->checkpoint.size;
  const auto parameters = ReadParameterChange(point.parameters);
  if (point.checkpoint_content.size() < checkpoint_size ||
      (!parameters && !point.parameters.empty()))
    return MakeError(ErrorCode::kCorrupt, "a record that pg_control depends on is too short");
  std::string out(file);
  out.resize(kControlFileSize);
  const auto put = [&]<typename T>(size_t offset, T value) {
    std::memcpy(out.data() + offset, &value, sizeof(value));
  };
  put(kStatusAt, static_cast<uint32_t>(ClusterStatus::kInArchiveRecovery));
  put(kCheckPointAt, point.checkpoint.value);
  std::memcpy(out.data() + kCheckPointCopyAt, point.checkpoint_content.data(), checkpoint_size);
  put(kMinRecoveryPointAt, point.min_recovery_point.value);
  put(kMinRecoveryTimelineAt, point.timeline);
  put(kBackupStartAt, uint64_t{0});
  put(kBackupEndAt, uint64_t{0});
  put(kBackupEndRequiredAt, uint8_t{0});
  if (parameters) {
    put(at.track_commit_timestamp - kWalLevelBefore, parameters->wal_level);
    put(at.track_commit_timestamp - kWalLogHintsBefore, uint8_t{parameters->wal_log_hints != 0});
    size_t number = at.track_commit_timestamp - kMaxConnectionsBefore;
    for (const int32_t value : {parameters->max_connections, parameters->max_worker_processes,
                                parameters->max_wal_senders, parameters->max_prepared_xacts,
                                parameters->max_locks_per_xact}) {
      put(number, value);
      number += sizeof(value);
    }
    put(at.track_commit_timestamp, uint8_t{parameters->track_commit_timestamp != 0});
  }
  put(at.crc, Crc32c(Bytes(reinterpret_cast<const uint8_t*>(out.data()), at.crc)));
  return out;
}

std::string EmptyControlFile(const Version& version) {
  const ControlFileLayout& at = version.control_file;
  std::string out(at.size, '\0');
  const auto put = [&]<typename T>(size_t offset, T value) {
    std::memcpy(out.data() + offset, &value, sizeof(value));
  };
  put(kSystemIdentifierAt, uint64_t{1});
  put(kControlVersionAt, version.control_version);
  put(kCatalogVersionAt, version.catalog_version);
  put(kStatusAt, static_cast<uint32_t>(ClusterStatus::kShutDown));
  put(at.max_align, kMaximumAlignment);
  put(at.max_align + kFloatFormat, kFloatFormatValue);
  put(at.max_align + kBlockSizeField, static_cast<uint32_t>(kBlockSize));
  put(at.max_align + kBlocksPerFileField, kBlocksPerFile);
  if (at.wal_block_size > at.max_align + kSlruPagesField)
    put(at.max_align + kSlruPagesField, kSlruPagesPerSegment);
  put(at.wal_block_size, static_cast<uint32_t>(kWalPageSize));
  put(at.wal_block_size + kSegmentSize, kDefaultSegmentSize);
  put(at.wal_block_size + kNameLength, kNameDataLength);
  put(at.wal_block_size + kIndexKeys, kIndexMaxKeys);
  put(at.wal_block_size + kToastChunk, kToastMaxChunkSize);
  put(at.wal_block_size + kLargeObjectBlock, kLargeObjectBlockSize);
  put(at.float8_by_value, uint8_t{1});
  put(at.crc, Crc32c(Bytes(reinterpret_cast<const uint8_t*>(out.data()), at.crc)));
  return out;
}

}  // namespace neon_redo::pg
