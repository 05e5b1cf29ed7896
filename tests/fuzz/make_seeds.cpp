// make_seeds WAL_DIRECTORY DATA_DIRECTORY OUT: seeds of the fuzz targets, from real WAL (segments
// of 1 MB) and a real control file, one directory a target. At most a few of each kind of record.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "cpp_core/archive/segment.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/redo/manager/capture.h"
#include "cpp_core/redo/worker/frames.h"
#include "cpp_core/wal_client/message.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/base_backup_fixture.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;
using Input = std::vector<uint8_t>;

class Seeds {
 public:
  explicit Seeds(fs::path out) : out_(std::move(out)) {}

  void Write(const char* target, const Input& input) {
    fs::create_directories(out_ / target);
    std::ofstream file(out_ / target / std::to_string(count_++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
  }
  void Write(const char* target, std::string_view text) {
    Write(target, Input(text.begin(), text.end()));
  }

 private:
  const fs::path out_;
  int count_ = 0;
};

void Append(Input* out, Bytes bytes) { out->insert(out->end(), bytes.begin(), bytes.end()); }

Input ReadStart(const fs::path& path, size_t most) {
  std::ifstream file(path, std::ios::binary);
  Input bytes(most);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(most));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

void FromSegments(const std::string& wal, Seeds* seeds) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(wal)) {
    const auto name = ParseSegmentName(entry.path().filename().string());
    if (!name || ++count > 12) continue;
    const uint64_t number = uint64_t{name->log} * 4096 + name->segment;
    for (const size_t pages : {1, 2, 4}) {
      Input input(8);
      std::memcpy(input.data(), &number, 8);
      Append(&input, ReadStart(entry.path(), pages * 8192));
      seeds->Write("wal", input);
    }
  }
}

void Frame(Input* out, FrameType type, Bytes first, Bytes second = {}) {
  uint8_t header[kFrameHeaderSize];
  StoreFrameHeader(header, type, static_cast<uint32_t>(first.size() + second.size()));
  Append(out, header);
  Append(out, first);
  Append(out, second);
}

// A request for the block, whole, and a ping in it.
Input RequestFrames(const BlockTag& tag, const WalRecord& record) {
  uint8_t tag_bytes[kTagSize];
  StoreTag(tag_bytes, tag);
  uint8_t lsn[8];
  StoreBe64(lsn, record.end.value);
  const Input page(kBlockSize, 1);
  Input out = {13};
  Frame(&out, kFrameBegin, tag_bytes);
  Frame(&out, kFramePush, tag_bytes, page);
  Frame(&out, kFramePing, {});
  Frame(&out, kFrameApply, lsn, record.bytes);
  Frame(&out, kFrameGet, tag_bytes);
  return out;
}

// Everything that one record has to give. A native input is as tests/fuzz/native_fuzz.cpp says.
void FromRecord(const WalRecord& record, const RecordView& view, Seeds* seeds) {
  const Bytes bytes = record.bytes;
  seeds->Write("record", Input(bytes.begin(), bytes.end()));
  const auto length = static_cast<uint16_t>(bytes.size());
  Input native = {1, static_cast<uint8_t>(length & 0xff), static_cast<uint8_t>(length >> 8)};
  Append(&native, bytes);
  alignas(8) uint8_t page[kBlockSize] = {};
  for (int id = 0; id <= view.max_block_id(); ++id) {
    const BlockRef* block = view.block(id);
    if (block == nullptr) continue;
    if (block->has_image && RestoreImage(*block, page)) {
      // Eight changes: a command id and hints of the first items.
      Input mask = {view.rmid()};
      for (uint8_t item = 1; item <= 4; item++) mask.insert(mask.end(), {item, 8, 1, item, 21, 1});
      Append(&mask, page);
      seeds->Write("mask", mask);
      Input words = {block->tag.fork, 0, 22, 1};
      Append(&words, page);
      seeds->Write("page_words", words);
    }
    if (id == 0) seeds->Write("frames", RequestFrames(block->tag, record));
  }
  Append(&native, page);
  seeds->Write("native", native);
}

void AddMessage(Input* out, Bytes message) {
  out->push_back(static_cast<uint8_t>(message.size() & 0xff));
  out->push_back(static_cast<uint8_t>(message.size() >> 8));
  Append(out, message);
}

// By hand: a transaction of every kind of pgoutput message that has a simple form.
void FromReplication(Seeds* seeds) {
  const std::string z8(8, '\1');
  const std::string z4(4, '\1');
  const std::string relation = "R" + z4 + "public" + '\0' + "t" + '\0' + "d" +
                               std::string("\0\2", 2) + '\1' + "a" + '\0' + z4 + z4 + '\0' + "b" +
                               '\0' + z4 + z4;
  const std::string tuple = std::string("\0\2", 2) + "t" + std::string("\0\0\0\3", 4) + "one" + "n";
  const std::vector<std::string> messages = {
      "B" + z8 + z8 + z4,
      relation,
      "I" + z4 + "N" + tuple,
      "U" + z4 + "K" + tuple + "N" + tuple,
      "U" + z4 + "O" + tuple + "N" + tuple,
      "D" + z4 + "K" + tuple,
      "T" + std::string("\0\0\0\1", 4) + "\1" + z4,
      "O" + z8 + "there" + '\0',
      "M\1" + z8 + "prefix" + '\0' + std::string("\0\0\0\2", 4) + "hi",
      "Y" + z4 + "public" + '\0' + "mood" + '\0',
      std::string("C\0", 2) + z8 + z8 + z8,
      "S" + z4 + "\1",
      "E",
      "c" + z4 + std::string(1, '\0') + z8 + z8 + z8,
      "A" + z4 + z4,
      "b" + z8 + z8 + z8 + z4 + "gid" + '\0'};
  Input all;
  for (const std::string& message : messages) {
    const auto* p = reinterpret_cast<const uint8_t*>(message.data());
    XLogData data;
    data.start = data.server_end = Lsn(0x1000000);
    const auto header = EncodeXLogDataHeader(data);
    Input wrapped(header.begin(), header.end());
    Append(&wrapped, Bytes(p, message.size()));
    Input one;
    AddMessage(&one, wrapped);
    AddMessage(&one, Bytes(p, message.size()));
    seeds->Write("replication", one);
    AddMessage(&all, wrapped);
  }
  AddMessage(&all, Encode(Keepalive{Lsn(5), {}, true}));
  AddMessage(&all, Encode(StandbyStatus{}));
  AddMessage(&all, Encode(HotStandbyFeedback{}));
  seeds->Write("replication", all);
}

// One request with a base image and the record.
void FromCapture(const WalRecord& record, const BlockTag& tag, Seeds* seeds) {
  static const Input page(kBlockSize, 1);
  const PageRecord records[] = {{record.end, PostgresRecord{false, record.bytes}}};
  PageRequest request;
  request.key = PageKey::OfBlock(tag);
  request.lsn = record.end;
  request.base_image = page;
  request.records = records;
  seeds->Write("capture", FormatCapture(request, {ErrorCode::kWorker, "the worker\nended"}, kPg15));
}

void FromText(Seeds* seeds) {
  for (const char* text :
       {"16/B374D848", "0/0", "FFFFFFFF/FFFFFFFF", "000000067F000032AC000040040000000000",
        "00000001000000000000000A", "000000010000000A000000FF.partial",
        "PANIC:  invalid lp\nCONTEXT:  WAL redo\nkilled by the sandbox: openat\n",
        "killed by the sandbox: \x1b[31m\n\nkilled by the sandbox: write"}) {
    seeds->Write("text", text);
  }
}

// Of each of the parsers that bases_fuzz.cpp knows by a number.
void FromBases(Seeds* seeds) {
  const auto write = [&](char parser, const std::string& text) {
    seeds->Write("bases", parser + text);
  };
  Tar tar;
  tar.Add("base", "", '5').Add("base/5/1259", Noise(3000)).Add("link", "", '2', "/target");
  write(0, tar.Add("PG_VERSION", "15\n").Whole());
  const uint32_t header[] = {0xd3ae1f0d, 2, 5, 1, 3};  // magic, blocks, truncation, their numbers
  std::string part(reinterpret_cast<const char*>(header), sizeof(header));
  part.resize(3 * kBlockSize);
  write(1, part);
  // A super block of four blocks and one of the rest (pgbackrest_block_map.cpp).
  std::string map{0, 4 | 1, 100, '\xa6', 31, 8};
  map += std::string(24, 'c') + std::string{'\x9b', 30, 1, 100} + std::string(6, 'd');
  write(2, map);
  write(3,
        "[backrest]\nbackrest-format=5\nbackrest-version=\"2.55.1\"\n\n[backup]\n"
        "backup-label=\"20260101-000000F\"\nbackup-reference=\"20260101-000000F\"\n\n"
        "[backup:option]\noption-compress-type=\"gz\"\n\n[backup:target]\n"
        "pg_tblspc/16384={\"path\":\"/far\",\"type\":\"link\"}\n\n[target:file]\n"
        "pg_data/base/1/112={\"bi\":1,\"bim\":9,\"bni\":1,\"bno\":2,\"checksum\":"
        "\"587b596f04f7db9c2cad3d6b87dd2b3a05de4f35\",\"repo-size\":99,\"size\":8192}\n");
  write(4, "status=DONE\ntablespaces=[('ts', 16384, '/a\\n'), ('u', 16385, '/b')]\n");
  std::string increment{'w', 'i', '1', 0x55, 0, 0x60, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
  increment += std::string{0, 0, 0, 0, 2, 0, 0, 0} + std::string(2 * kBlockSize, 'b');
  write(5, increment);
  write(6,
        R"({"LSN":33554472,"FinishLSN":33554688,"PgVersion":150004,"SystemIdentifier":7,)"
        R"("DeltaLSN":16777256,"DeltaFrom":"base_000000010000000000000001",)"
        R"("Spec":{"base_prefix":"/d","tablespaces":["16384"],"16384":{"loc":"/far","link":"x"}},)"
        R"("Files":{"/base/1/112":{"IsIncremented":true,"IsSkipped":false,"MTime":"x"}}})");
  for (char packing = 1; packing <= 8; packing++)
    write(static_cast<char>(6 + packing), Packed(Noise(3000), static_cast<Packing>(packing)));
}

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string wal = argv[1];
  Seeds seeds(argv[3]);
  FromSegments(wal, &seeds);
  FromReplication(&seeds);
  FromText(&seeds);
  FromBases(&seeds);
  seeds.Write("control", ReadStart(std::string(argv[2]) + "/global/pg_control", 8192));
  auto reader = WalReader::Open({{wal}, {}, {}, {}});
  if (!reader) return fmt::print(stderr, "{}\n", reader.error().message), 1;
  std::map<std::array<int, 3>, int> seen;
  Input run;  // of records, for ingest
  static RecordView view(kPg15);
  for (;;) {
    auto record = (*reader)->Next();
    if (!record) return fmt::print(stderr, "{}\n", record.error().message), 1;
    if (!*record) return 0;
    if (!ParseRecord(**record, &view) || (*record)->bytes.size() > 20000) continue;
    const BlockRef* block = view.block(0);
    const int image = block == nullptr ? 0 : block->has_image ? 1 + (block->image_info >> 2) : 9;
    if (++seen[{view.rmid(), view.info(), image}] > 2) continue;
    FromRecord(**record, view, &seeds);
    AddMessage(&run, (*record)->bytes);
    if (block != nullptr && seen.size() < 20) FromCapture(**record, block->tag, &seeds);
    if (run.size() < 4000) continue;
    seeds.Write("ingest", run);
    run.clear();
  }
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) { return neon_redo::Main(argc, argv); }
