// pgoutput's messages: decoded whole, cut at every byte, lengthened, and made of random bytes; and
// the lines that come of them, each once over a reconnection.
#include "cpp_core/wal_client/pgoutput.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "cpp_core/wal_client/logical_lines.h"

namespace neon_redo {
namespace {

using namespace pgoutput;
using nlohmann::json;

std::string N(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift));
  return out;
}
std::string Z(const std::string& text) { return text + '\0'; }
std::string Text(const std::string& text) { return "t" + N(text.size(), 4) + text; }
Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

const std::string kRelation = "R" + N(16384, 4) + Z("public") + Z("t") + "d" + N(2, 2) + N(1, 1) +
                              Z("a") + N(23, 4) + N(0xffffffff, 4) +  //
                              N(0, 1) + Z("b \"q\"") + N(25, 4) + N(0xffffffff, 4);
const std::string kRow = N(2, 2) + Text("1") + Text("x\n\"\\\x01\xc3\xa4");
const std::string kBegin = "B" + N(0x100, 8) + N(0, 8) + N(700, 4);
const std::string kCommit = "C" + N(0, 1) + N(0x100, 8) + N(0x130, 8) + N(1500000, 8);
const std::string kInsert = "I" + N(16384, 4) + "N" + kRow;
const std::string kPreparedTail = N(0x100, 8) + N(0x130, 8) + N(0, 8) + N(700, 4) + Z("gid");

struct Sample {
  std::string bytes;
  size_t index;  // of the alternative in Body
};

// Outside of a stream.
std::vector<Sample> Samples() {
  return {
      {kBegin, 0},
      {kCommit, 1},
      {"O" + N(5, 8) + Z("origin"), 2},
      {"M" + N(1, 1) + N(5, 8) + Z("prefix") + N(3, 4) + "abc", 3},
      {kRelation, 4},
      {"Y" + N(9, 4) + Z("public") + Z("mood"), 5},
      {kInsert, 6},
      {"I" + N(16384, 4) + "N" + N(3, 2) + "nu" + "b" + N(2, 4) + "zz", 6},
      {"U" + N(16384, 4) + "N" + kRow, 7},
      {"U" + N(16384, 4) + "K" + kRow + "N" + kRow, 7},
      {"U" + N(16384, 4) + "O" + kRow + "N" + kRow, 7},
      {"D" + N(16384, 4) + "K" + kRow, 8},
      {"D" + N(16384, 4) + "O" + kRow, 8},
      {"T" + N(2, 4) + N(3, 1) + N(16384, 4) + N(16385, 4), 9},
      {"c" + N(700, 4) + N(0, 1) + N(0x100, 8) + N(0x130, 8) + N(0, 8), 12},
      {"A" + N(700, 4) + N(701, 4) + N(0x100, 8) + N(0, 8), 13},
      {"b" + kPreparedTail, 14},
      {"P" + N(0, 1) + kPreparedTail, 14},
      {"K" + N(0, 1) + kPreparedTail, 14},
      {"p" + N(0, 1) + kPreparedTail, 14},
      {"r" + N(0, 1) + N(0x100, 8) + N(0x130, 8) + N(0, 8) + N(0, 8) + N(700, 4) + Z("gid"), 15},
      {"E", 11},
      {"S" + N(700, 4) + N(1, 1), 10},  // last: it opens a stream
  };
}

TEST(Pgoutput, EveryKindDecodes) {
  Decoder decoder;
  for (const Sample& s : Samples()) {
    const auto decoded = decoder.Decode(AsBytes(s.bytes));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->body.index(), s.index) << s.bytes[0];
    EXPECT_EQ(decoded->xid, 0u);
  }
}

TEST(Pgoutput, EveryPrefixIsRefused) {
  for (const Sample& s : Samples()) {
    for (size_t n = 0; n < s.bytes.size(); n++) {
      // An abort is whole without the fields of version 4.
      if (s.bytes[0] == 'A' && n == 9) continue;
      EXPECT_FALSE(Decoder().Decode(AsBytes(s.bytes).first(n))) << s.bytes[0] << " at " << n;
    }
    EXPECT_FALSE(Decoder().Decode(AsBytes(s.bytes + "x"))) << s.bytes[0];
  }
}

TEST(Pgoutput, TransactionIdsInsideAStream) {
  Decoder decoder;
  ASSERT_TRUE(decoder.Decode(AsBytes("S" + N(700, 4) + N(1, 1))));
  for (const Sample& s : Samples()) {
    if (!strchr("MRYIUDT", s.bytes[0])) continue;
    const std::string inside = s.bytes.substr(0, 1) + N(701, 4) + s.bytes.substr(1);
    const auto decoded = decoder.Decode(AsBytes(inside));
    ASSERT_TRUE(decoded) << s.bytes[0];
    EXPECT_EQ(decoded->xid, 701u);
    EXPECT_EQ(decoded->body.index(), s.index);
  }
  ASSERT_TRUE(decoder.Decode(AsBytes("E")));
  const auto outside = decoder.Decode(AsBytes(kInsert));
  ASSERT_TRUE(outside);
  EXPECT_EQ(outside->xid, 0u);
}

#ifdef __SANITIZE_ADDRESS__  // only a sanitizer can find a fault here
TEST(Pgoutput, RandomBytesDoNoHarm) {
  std::mt19937 random(20261121);
  const std::vector<Sample> samples = Samples();
  Decoder decoder;
  LogicalLines lines(LogicalLines::Format::kPgoutputJson);
  std::string out;
  for (int i = 0; i < 200000; i++) {
    std::string bytes = samples[random() % samples.size()].bytes;
    for (int flips = static_cast<int>(random() % 4); flips > 0 && !bytes.empty(); flips--)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    static_cast<void>(decoder.Decode(AsBytes(bytes)));
    static_cast<void>(lines.Add(XLogData{Lsn(1), Lsn(1), {}, AsBytes(bytes)}, &out));
    out.clear();
  }
}
#endif

class Lines : public ::testing::Test {
 protected:
  void Add(const std::string& message, uint64_t start = 1) {
    const Status added = lines_.Add(XLogData{Lsn(start), Lsn(start), {}, AsBytes(message)}, &out_);
    ASSERT_TRUE(added) << added.error().message;
  }
  std::vector<json> Take() {
    std::vector<json> parsed;
    std::istringstream in(out_);
    for (std::string line; std::getline(in, line);) parsed.push_back(json::parse(line));
    out_.clear();
    return parsed;
  }

  LogicalLines lines_{LogicalLines::Format::kPgoutputJson};
  std::string out_;
};

TEST_F(Lines, AreJson) {
  for (const Sample& s : Samples()) Add(s.bytes);
  const auto parsed = Take();
  EXPECT_EQ(parsed.size(), Samples().size() - 2);  // relations and types are not lines
  const json insert = parsed[4];
  EXPECT_EQ(insert["action"], "insert");
  EXPECT_EQ(insert["schema"], "public");
  EXPECT_EQ(insert["table"], "t");
  EXPECT_EQ(insert["new"], json({{"a", "1"}, {"b \"q\"", "x\n\"\\\x01\xc3\xa4"}}));
  EXPECT_EQ(parsed[1]["time"], "2000-01-01T00:00:01.500000Z");
  EXPECT_EQ(parsed[1]["end_lsn"], "0/130");
}

TEST_F(Lines, AreConfirmedAtTheEndOfATransaction) {
  Add(kBegin);
  Add(kRelation);
  Add(kInsert);
  lines_.Add(Keepalive{Lsn(0x120), {}, false});
  EXPECT_EQ(lines_.confirmable(), Lsn());
  Add(kCommit);
  EXPECT_EQ(lines_.confirmable(), Lsn(0x130));
  lines_.Add(Keepalive{Lsn(0x200), {}, false});
  EXPECT_EQ(lines_.confirmable(), Lsn(0x200));
}

// The other columns of a key come as nulls.
TEST_F(Lines, AKeyHasTheColumnsOfTheReplicaIdentity) {
  const auto column = [](bool key, const std::string& name) {
    return N(key ? 1 : 0, 1) + Z(name) + N(25, 4) + N(0xffffffff, 4);
  };
  Add("R" + N(5, 4) + Z("public") + Z("k") + "i" + N(3, 2) + column(false, "id") +
      column(true, "code") + column(false, "payload"));
  const std::string row = N(3, 2) + "n" + "t" + N(1, 4) + "c" + "n";
  Add("U" + N(5, 4) + "K" + row + "N" + row);
  Add("D" + N(5, 4) + "K" + row);
  Add("D" + N(5, 4) + "O" + row);
  const auto parsed = Take();
  ASSERT_EQ(parsed.size(), 3u);
  const json all = {{"id", nullptr}, {"code", "c"}, {"payload", nullptr}};
  EXPECT_EQ(parsed[0]["key"], json({{"code", "c"}}));
  EXPECT_EQ(parsed[0]["new"], all);
  EXPECT_EQ(parsed[1]["key"], json({{"code", "c"}}));
  EXPECT_EQ(parsed[2]["old"], all);
}

// The connection is lost after each line of the transaction, twice.
TEST_F(Lines, ComeOnceOverReconnections) {
  const std::vector<std::string> transaction = {kBegin, kRelation, kInsert, kInsert, kCommit};
  for (size_t first = 0; first < transaction.size(); first++) {
    for (size_t second = 0; second < transaction.size(); second++) {
      LogicalLines lines(LogicalLines::Format::kPgoutputJson);
      std::string out;
      for (size_t count : {first, second, transaction.size()}) {
        for (size_t i = 0; i < count; i++)
          ASSERT_TRUE(lines.Add(XLogData{Lsn(1), Lsn(1), {}, AsBytes(transaction[i])}, &out));
        if (count < transaction.size()) lines.Reconnected(&out);
      }
      EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 4) << first << " " << second;
      EXPECT_EQ(lines.confirmable(), Lsn(0x130));
    }
  }
}

TEST_F(Lines, ATransactionThatComesBackDifferentIsRefused) {
  Add(kBegin);
  lines_.Reconnected(&out_);
  const std::string other = "B" + N(0x100, 8) + N(0, 8) + N(701, 4);
  EXPECT_FALSE(lines_.Add(XLogData{Lsn(1), Lsn(1), {}, AsBytes(other)}, &out_));
}

// A server may describe tables for ever, and none of them again.
TEST_F(Lines, TablesAreBounded) {
  const std::string schema(1 << 20, 's');
  uint32_t id = 0;
  Status added;
  for (; id < 1000 && added; id++) {
    const std::string message = "R" + N(id, 4) + Z(schema) + Z("t") + "d" + N(0, 2);
    added = lines_.Add(XLogData{Lsn(1), Lsn(1), {}, AsBytes(message)}, &out_);
  }
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kUnsupported) << added.error().message;
  EXPECT_GT(id, 100u);
  EXPECT_LT(id, 300u);
}

TEST(TextLines, AreConfirmedByTheirCommit) {
  LogicalLines lines(LogicalLines::Format::kText);
  std::string out;
  const std::vector<std::pair<std::string, uint64_t>> messages = {
      {"BEGIN 700", 5}, {"table public.t: INSERT: a[integer]:1", 6}, {"COMMIT 700", 9}};
  for (const auto& [text, start] : messages) {
    EXPECT_EQ(lines.confirmable(), Lsn());
    ASSERT_TRUE(lines.Add(XLogData{Lsn(start), Lsn(start), {}, AsBytes(text)}, &out));
  }
  EXPECT_EQ(lines.confirmable(), Lsn(9));
  EXPECT_EQ(out, "BEGIN 700\ntable public.t: INSERT: a[integer]:1\nCOMMIT 700\n");
}

}  // namespace
}  // namespace neon_redo
