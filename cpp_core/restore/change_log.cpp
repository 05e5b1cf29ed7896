// Each entry is a header, a name and bytes, and the CRC-32C of these. The last entry is kEnd.
#include "cpp_core/restore/change_log.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <vector>

#include "cpp_core/backup/byte_source.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"

namespace neon_redo {

namespace {

constexpr size_t kBuffered = size_t{1} << 20;
constexpr uint32_t kLongest = uint32_t{1} << 30;  // of an entry's bytes

enum Entry : char {
  kOpen = 'o',       // the file is there
  kWrite = 'w',      // number: offset
  kDirectory = 'd',  // it is made
  kLink = 'l',       // bytes: its target
  kRemove = 'r',
  kContent = 'f',  // the whole file
  kCut = 'c',      // of the fork that has this file; number: blocks
  kFill = 'z',     // likewise
  kEnd = 'e',
};

struct Header {
  uint32_t crc;  // of all after it
  uint32_t name_size, size;
  uint64_t number;
  char what;
  char unused[7];
};

class LoggedFile : public OutputFile {
 public:
  LoggedFile(const LoggedDirectory& directory, std::string name)
      : directory_(directory), name_(std::move(name)) {}
  Status Write(uint64_t offset, Bytes bytes) override {
    return directory_.Append(kWrite, name_, offset, bytes);
  }

 private:
  const LoggedDirectory& directory_;
  const std::string name_;
};

Bytes BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string FirstFileOf(const pg::Version& version, const BlockTag& fork) {
  return pg::RelationPath(version, fork.rel, fork.fork);
}

}  // namespace

Result<std::unique_ptr<LoggedDirectory>> LoggedDirectory::Make(const std::string& path,
                                                               const std::string& log) {
  FileDescriptor fd(open(log.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return FileError("create file", log);
  return std::unique_ptr<LoggedDirectory>(new LoggedDirectory(path, log, std::move(fd)));
}

Status LoggedDirectory::Append(char what, std::string_view name, uint64_t number,
                               Bytes bytes) const {
  Header header{};
  header.name_size = static_cast<uint32_t>(name.size());
  header.size = static_cast<uint32_t>(bytes.size());
  header.number = number;
  header.what = what;
  const auto* at = reinterpret_cast<const uint8_t*>(&header);
  uint32_t crc = Crc32cExtend(kCrc32cInit, Bytes(at + sizeof(crc), sizeof(header) - sizeof(crc)));
  crc = Crc32cExtend(crc, BytesOf(name));
  header.crc = Crc32cFinish(Crc32cExtend(crc, bytes));
  const std::lock_guard lock(mutex_);
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  buffer_.append(name);
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return buffer_.size() < kBuffered ? Status() : Flush();
}

// The caller holds the lock.
Status LoggedDirectory::Flush() const {
  RETURN_IF_ERROR(WriteAll(fd_.get(), BytesOf(buffer_), written_, log_));
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

Status LoggedDirectory::End() const {
  RETURN_IF_ERROR(Append(kEnd, "", 0, {}));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Flush());
  return SyncFile(fd_.get(), log_);
}

Result<std::unique_ptr<OutputFile>> LoggedDirectory::Open(std::string_view name) const {
  RETURN_IF_ERROR(Append(kOpen, name, 0, {}));
  return std::make_unique<LoggedFile>(*this, std::string(name));
}

Status LoggedDirectory::MakeDirectory(std::string_view name) const {
  return Append(kDirectory, name, 0, {});
}

Status LoggedDirectory::MakeLink(std::string_view name, const std::string& target) const {
  return Append(kLink, name, 0, BytesOf(target));
}

Status LoggedDirectory::Remove(std::string_view name) const { return Append(kRemove, name, 0, {}); }

Status LoggedDirectory::WriteFile(std::string_view name, std::string_view content) const {
  return Append(kContent, name, 0, BytesOf(content));
}

Status LoggedDirectory::CutFork(const pg::Version& version, const BlockTag& fork,
                                uint32_t blocks) const {
  return Append(kCut, FirstFileOf(version, fork), blocks, {});
}

Status LoggedDirectory::FillFork(const pg::Version& version, const BlockTag& fork,
                                 uint32_t blocks) const {
  return Append(kFill, FirstFileOf(version, fork), blocks, {});
}

namespace {

class Applier {
 public:
  Applier(const std::string& log, const pg::Version& version, const OutputDirectory& output)
      : log_(log), version_(version), output_(output) {}

  Status Run();

 private:
  Status Read(void* out, size_t size);
  Result<bool> Step();
  Status Do(const Header& header);
  tl::unexpected<Error> Damaged() const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("\"{}\" is damaged at offset {}", log_, at_));
  }

  const std::string& log_;
  const pg::Version& version_;
  const OutputDirectory& output_;
  FileDescriptor fd_;
  uint64_t at_ = 0;
  std::string name_;
  std::vector<uint8_t> bytes_;
  // The file that was written to last.
  std::string open_name_;
  std::unique_ptr<OutputFile> open_;
};

Status Applier::Read(void* out, size_t size) {
  ASSIGN_OR_RETURN(const size_t got,
                   ReadFileAt(fd_.get(), at_, {static_cast<uint8_t*>(out), size}, log_));
  if (got != size) return Damaged();
  at_ += size;
  return {};
}

Status Applier::Do(const Header& header) {
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  const auto number = static_cast<uint32_t>(header.number);
  if (header.what == kWrite || header.what == kOpen) {
    if (open_name_ != name_) {
      ASSIGN_OR_RETURN(open_, output_.Open(name_));
      open_name_ = name_;
    }
    return header.what == kOpen ? Status() : open_->Write(header.number, bytes_);
  }
  open_name_.clear();
  const auto fork = pg::ParseRelationPath(version_, name_);
  switch (header.what) {
    case kDirectory:
      return output_.MakeDirectory(name_);
    case kLink:
      // The link of an earlier attempt.
      RETURN_IF_ERROR(output_.Remove(name_));
      return output_.MakeLink(name_, std::string(text));
    case kRemove:
      return output_.Remove(name_);
    case kContent:
      return output_.WriteFile(name_, text);
    case kCut:
      return fork ? output_.CutFork(version_, *fork, number) : Status(Damaged());
    case kFill:
      return fork ? output_.FillFork(version_, *fork, number) : Status(Damaged());
    default:
      return Damaged();
  }
}

// Whether there is more.
Result<bool> Applier::Step() {
  Header header;
  RETURN_IF_ERROR(Read(&header, sizeof(header)));
  if (header.name_size > kLongest || header.size > kLongest) return Damaged();
  name_.resize(header.name_size);
  bytes_.resize(header.size);
  RETURN_IF_ERROR(Read(name_.data(), name_.size()));
  RETURN_IF_ERROR(Read(bytes_.data(), bytes_.size()));
  const auto* at = reinterpret_cast<const uint8_t*>(&header);
  uint32_t crc = Crc32cExtend(kCrc32cInit, Bytes(at + sizeof(crc), sizeof(header) - sizeof(crc)));
  crc = Crc32cExtend(Crc32cExtend(crc, BytesOf(name_)), bytes_);
  if (Crc32cFinish(crc) != header.crc) return Damaged();
  if (header.what == kEnd) return false;
  RETURN_IF_ERROR(Do(header));
  return true;
}

Status Applier::Run() {
  fd_.Reset(open(log_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd_) return FileError("open file", log_);
  for (;;) {
    ASSIGN_OR_RETURN(const bool has_more, Step());
    if (!has_more) return {};
  }
}

}  // namespace

Status ApplyChangeLog(const std::string& log, const pg::Version& version,
                      const OutputDirectory& output) {
  return Applier(log, version, output).Run();
}

}  // namespace neon_redo
