// Five segments of WAL, and two directories for them.
#ifndef NEON_REDO_TESTS_UNIT_TWO_DIRECTORIES_H_
#define NEON_REDO_TESTS_UNIT_TWO_DIRECTORIES_H_

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/archive/wal_set.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/wal_writer.h"

namespace neon_redo {

class TwoDirectories : public ::testing::Test {
 protected:
  static constexpr uint32_t kSize = 1 << 20;

  void SetUp() override {
    while (wal_.wal().size() < 5 * kSize - 30000) wal_.Append(10, 0, 9000);
    wal_.Save(a_.path());
  }
  std::string A(uint64_t i) const { return a_.path() + "/" + wal_.SegmentFile(i); }
  std::string B(uint64_t i) const { return b_.path() + "/" + wal_.SegmentFile(i); }
  Lsn At(uint64_t segment, uint64_t offset) const { return Lsn((3 + segment) * kSize + offset); }

  // Of the segment's file that the second directory and the first give.
  std::string PathOf(size_t i) const {
    const auto set = WalSet::Open({b_.path(), a_.path()});
    const auto line = set->Line({}, {});
    return line && line->size() > i ? (*line)[i].path : "";
  }
  struct Read {
    size_t records = 0;
    std::optional<Error> error;
    std::string notes;
  };
  Read ReadBoth() const { return ReadOf({a_.path(), b_.path()}); }
  Read ReadOf(const std::vector<std::string>& directories) const {
    Read out;
    auto reader = WalReader::Open({directories, {}, {}, {}});
    if (!reader) {
      out.error = reader.error();
      return out;
    }
    WalRecord record;
    for (; (*reader)->Next(&record); out.records++)
      if (record.bytes.size() != wal_.written()[out.records].bytes.size()) break;
    out.error = (*reader)->error();
    for (const std::string& note : (*reader)->notes()) out.notes += note + "\n";
    return out;
  }
  void ExpectAll(const std::string& note) const {
    const Read read = ReadBoth();
    EXPECT_FALSE(read.error) << read.error->message;
    EXPECT_EQ(read.records, wal_.written().size());
    if (note.empty())
      EXPECT_EQ(read.notes, "");
    else
      EXPECT_NE(read.notes.find(note), std::string::npos) << read.notes;
  }
  // Whichever of the directories is named first.
  void ExpectAllInAnyOrder() const {
    for (const bool a_first : {true, false}) {
      SCOPED_TRACE(a_first ? "A first" : "B first");
      const Read read = a_first ? ReadBoth() : ReadOf({b_.path(), a_.path()});
      EXPECT_FALSE(read.error) << read.error->message;
      EXPECT_EQ(read.records, wal_.written().size());
    }
  }
  void ExpectErrorInAnyOrder(const std::string& words) const {
    for (const bool a_first : {true, false}) {
      SCOPED_TRACE(a_first ? "A first" : "B first");
      const Read read = a_first ? ReadBoth() : ReadOf({b_.path(), a_.path()});
      EXPECT_TRUE(read.error) << read.records << " of " << wal_.written().size();
      if (read.error) {
        EXPECT_NE(read.error->message.find(words), std::string::npos) << read.error->message;
      }
    }
  }
  std::string Content(uint64_t i) const {
    std::string out = wal_.wal().substr(i * kSize, kSize);
    out.resize(kSize, '\0');
    return out;
  }
  static void Write(const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  static std::string Gzip(const std::string& in) {
    std::string out(in.size() + 100000, '\0');
    z_stream stream{};
    deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }
  static void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  TempDirectory a_, b_;
  WalWriter wal_{kSize};
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_TWO_DIRECTORIES_H_
