// Writes synthetic WAL for tests: records laid out over pages and segments as PostgreSQL does it.
#ifndef NEON_REDO_TESTS_UNIT_WAL_WRITER_H_
#define NEON_REDO_TESTS_UNIT_WAL_WRITER_H_

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/version_15.h"

namespace neon_redo {

// A directory that goes away with the object.
class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "neon_redo_unit.XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class WalWriter {
 public:
  explicit WalWriter(uint32_t segment_size = 1 << 20, uint64_t first_segment = 3,
                     uint32_t timeline = 1, const pg::Version& version = kPg15)
      : version_(version),
        segment_size_(segment_size),
        base_(first_segment * segment_size),
        timeline_(timeline) {}

  // Adds a record whose data is `length` bytes; returns what a reader must return for it.
  struct Written {
    Lsn start;
    Lsn end;
    std::string bytes;
  };
  Written Append(uint8_t rmid, uint8_t info, size_t length) {
    std::string data(length, '\0');
    for (char& c : data) c = static_cast<char>(noise_ = noise_ * 1103515245 + 12345);
    return AppendData(rmid, info, data);
  }
  Written AppendData(uint8_t rmid, uint8_t info, const std::string& data) {
    return AppendParts(rmid, info, MainDataHeader(data) + data);
  }
  // With data of one block, which the record may initialise.
  Written AppendBlock(uint8_t rmid, uint8_t info, const BlockTag& tag, bool initialises,
                      const std::string& of_block, const std::string& data) {
    std::string parts(1, '\0');  // id
    parts += static_cast<char>((initialises ? 0x40 : 0) | (of_block.empty() ? 0 : 0x20));
    const auto n = static_cast<uint16_t>(of_block.size());
    parts.append(reinterpret_cast<const char*>(&n), 2);
    for (const uint32_t v : {tag.rel.spc, tag.rel.db, tag.rel.rel, tag.block})
      parts.append(reinterpret_cast<const char*>(&v), 4);
    return AppendParts(rmid, info, parts + MainDataHeader(data) + of_block + data);
  }
  // parts: all after the record's header.
  Written AppendParts(uint8_t rmid, uint8_t info, const std::string& parts) {
    std::string record(kRecordHeaderSize, '\0');
    record += parts;
    RecordHeader h{};
    h.total_length = static_cast<uint32_t>(record.size());
    h.xid = xid_;
    h.prev_lsn = previous_.value;
    h.info = info;
    h.rmid = rmid;
    std::memcpy(record.data(), &h, sizeof(h));
    const uint32_t crc =
        RecordCrc32c(Bytes(reinterpret_cast<const uint8_t*>(record.data()), record.size()));
    std::memcpy(record.data() + 20, &crc, 4);

    Written out;
    if (position() % kWalPageSize == 0) PutPageHeader(pending_flags_, 0);
    pending_flags_ = 0;
    out.start = Lsn(position());
    out.bytes = record;
    size_t done = 0;
    while (done < record.size()) {
      if (position() % kWalPageSize == 0)
        PutPageHeader(kPageFirstIsContrecord, static_cast<uint32_t>(record.size() - done));
      const size_t room = kWalPageSize - position() % kWalPageSize;
      const size_t n = std::min(room, record.size() - done);
      wal_.append(record, done, n);
      done += n;
    }
    while (position() % 8 != 0) wal_ += '\0';
    out.end = Lsn(position());
    previous_ = out.start;
    written_.push_back(out);
    return out;
  }
  // XLOG_SWITCH: the rest of the segment is zeroes, pages included.
  Written Switch() {
    Append(0, 0x40, 0);
    while (position() % segment_size_ != 0) wal_ += '\0';
    written_.back().end = Lsn(position());
    return written_.back();
  }
  // As after a crash within the last record: its pages from the one with `lsn` on never came, and
  // WAL goes on there with a record that says so.
  Written Abandon(Lsn lsn) {
    const Written torn = written_.back();
    written_.pop_back();
    previous_ = written_.empty() ? Lsn() : written_.back().start;
    wal_.resize((lsn.value & ~kWalPageMask) - base_);
    pending_flags_ = version_.overwrite_contrecord;
    std::string data(16, '\0');
    std::memcpy(data.data(), &torn.start.value, 8);
    return AppendData(0, 0xd0, data);
  }
  // Fills the page, so that the next record starts `room` bytes before its end.
  void FillUpTo(size_t room) {
    if (position() % kWalPageSize == 0) Append(10, 0, 8);
    const size_t left = kWalPageSize - position() % kWalPageSize;
    if (left < room + 64) {
      Append(10, 0, left + 16);
      return FillUpTo(room);
    }
    const size_t total = left - room;
    const size_t overhead = kRecordHeaderSize + (total - kRecordHeaderSize - 2 < 256 ? 2 : 5);
    Append(10, 0, total - overhead);
  }

  uint64_t position() const { return base_ + wal_.size(); }
  uint32_t segment_size() const { return segment_size_; }
  const std::vector<Written>& written() const { return written_; }
  std::string& wal() { return wal_; }
  const std::string& wal() const { return wal_; }
  uint8_t* At(Lsn lsn) { return reinterpret_cast<uint8_t*>(wal_.data()) + (lsn.value - base_); }
  void set_xid(uint32_t xid) { xid_ = xid; }  // of the records from now on
  void set_system_identifier(uint64_t id) { system_identifier_ = id; }
  std::string SegmentFile(uint64_t index) const {
    return FormatSegmentName(timeline_, base_ / segment_size_ + index, segment_size_);
  }

  // Writes the segments, the last filled up with zeroes.
  void Save(const std::string& directory) const {
    for (uint64_t i = 0; i * segment_size_ < wal_.size(); i++) {
      std::string bytes = wal_.substr(i * segment_size_, segment_size_);
      bytes.resize(segment_size_, '\0');
      std::ofstream(directory + "/" + SegmentFile(i), std::ios::binary) << bytes;
    }
  }

 private:
  static std::string MainDataHeader(const std::string& data) {
    if (data.size() < 256) return std::string("\xff") + static_cast<char>(data.size());
    std::string out = "\xfe";
    const auto n = static_cast<uint32_t>(data.size());
    return out.append(reinterpret_cast<const char*>(&n), 4);
  }
  void PutPageHeader(uint16_t flags, uint32_t remaining) {
    const bool first = position() % segment_size_ == 0;
    WalPageHeader h{};
    h.magic = version_.wal_magic;
    h.info = static_cast<uint16_t>(flags | (first ? kPageLongHeader : 0));
    h.timeline = timeline_;
    h.address = position();
    h.remaining = remaining;
    wal_.append(reinterpret_cast<const char*>(&h), sizeof(h));
    if (!first) return;
    const WalLongPageHeader l{system_identifier_, segment_size_, kWalPageSize};
    wal_.append(reinterpret_cast<const char*>(&l), sizeof(l));
  }

  const pg::Version& version_;
  const uint32_t segment_size_;
  const uint64_t base_;
  const uint32_t timeline_;
  uint64_t system_identifier_ = 7000000000000000001;
  std::string wal_;
  Lsn previous_{0x1000};
  uint32_t xid_ = 700;
  uint16_t pending_flags_ = 0;
  uint32_t noise_ = 1;
  std::vector<Written> written_;
};

// What a reader made of a directory.
struct ReadAll {
  std::vector<WalWriter::Written> records;
  std::optional<Error> error;  // of Open or Next
  Lsn end;
  std::string reason;
  bool reached_to = false;

  explicit ReadAll(const WalReaderOptions& options) {
    auto reader = WalReader::Open(options);
    if (!reader) {
      error = reader.error();
      return;
    }
    for (;;) {
      auto next = (*reader)->Next();
      if (!next) error = next.error();
      if (!next || !*next) break;
      const WalRecord& r = **next;
      records.push_back(
          {r.start, r.end,
           std::string(reinterpret_cast<const char*>(r.bytes.data()), r.bytes.size())});
    }
    end = (*reader)->end_of_wal();
    reason = (*reader)->end_reason();
    reached_to = (*reader)->reached_to();
  }
  explicit ReadAll(const std::string& directory)
      : ReadAll(WalReaderOptions{{directory}, std::nullopt, std::nullopt, std::nullopt}) {}
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_WAL_WRITER_H_
