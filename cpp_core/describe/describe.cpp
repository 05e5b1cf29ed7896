// Each resource manager has a table of its operations: number, name, and the function that reads
// the fields to describe from the record's main data. This file has what is common: the start of
// the line, the block references at its end, and the choice of the table.
#include "neon_redo/describe.h"

#include <ctime>

#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo {

namespace {

struct Tables {
  Operations of[kMaxBuiltinRmgr + 1];
};

Tables TablesOf(pg::WaldumpText text) {
  using enum pg::WaldumpText;
  const Operations heap = text < k16 ? HeapOperations15() : HeapOperations16();
  const Operations heap2 = text < k16   ? Heap2Operations15()
                           : text < k17 ? Heap2Operations16()
                                        : Heap2Operations17();
  const Operations btree = text < k16 ? BtreeOperations15() : BtreeOperations16();
  return {{
      XlogOperations(),
      XactOperations(),
      SmgrOperations(),
      ClogOperations(),
      DbaseOperations(),
      TblspcOperations(),
      MultiXactOperations(),
      RelMapOperations(),
      StandbyOperations(),
      heap2,
      heap,
      btree,
      HashOperations(),
      GinOperations(),
      GistOperations(),
      SeqOperations(),
      SpgistOperations(),
      BrinOperations(),
      CommitTsOperations(),
      ReplOriginOperations(),
      GenericOperations(),
      LogicalMsgOperations(),
  }};
}

const Operation* FindOperation(const pg::Version& version, uint8_t rmid, uint8_t info) {
  using enum pg::WaldumpText;
  static const Tables kTables[] = {TablesOf(k15), TablesOf(k16), TablesOf(k17), TablesOf(k18),
                                   TablesOf(k19)};
  static_assert(std::size(kTables) == static_cast<size_t>(k19) + 1);
  if (rmid > kMaxBuiltinRmgr) return nullptr;
  const Operations& table = kTables[static_cast<size_t>(version.text)].of[rmid];
  // With a mask of 0 any value is the only operation.
  const auto masked = static_cast<uint8_t>(info & table.mask);
  if (!version.HasOperation(rmid, masked)) return nullptr;
  for (const Operation& o : table.list) {
    if (o.info == masked) return &o;
  }
  return nullptr;
}

void AppendBlocks(const RecordView& record, std::string* line) {
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* b = record.block(id);
    if (!b) continue;
    const RelFileNode& rel = b->tag.rel;
    fmt::format_to(std::back_inserter(*line), ", blkref #{}: rel {}/{}/{}", id, rel.spc, rel.db,
                   rel.rel);
    if (b->tag.fork != kMainFork)
      fmt::format_to(std::back_inserter(*line), " fork {}", ForkName(b->tag.fork));
    fmt::format_to(std::back_inserter(*line), " blk {}", b->tag.block);
    if (b->has_image) line->append(b->apply_image ? " FPW" : " FPW for WAL verification");
  }
}

const char* CompressionName(uint8_t image_info) {
  if (image_info & kImagePglz) return "pglz";
  if (image_info & kImageLz4) return "lz4";
  return image_info & kImageZstd ? "zstd" : nullptr;
}

void AppendBlockDetails(const RecordView& record, std::string* out) {
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* b = record.block(id);
    if (!b) continue;
    const RelFileNode& rel = b->tag.rel;
    fmt::format_to(std::back_inserter(*out), "\n\tblkref #{}: rel {}/{}/{} fork {} blk {}", id,
                   rel.spc, rel.db, rel.rel, ForkName(b->tag.fork), b->tag.block);
    if (!b->has_image) continue;
    fmt::format_to(std::back_inserter(*out), " (FPW{}); hole: offset: {}, length: {}",
                   b->apply_image ? "" : " for WAL verification", b->hole_offset, b->hole_length);
    if (const char* method = CompressionName(b->image_info))
      fmt::format_to(std::back_inserter(*out), ", compression saved: {}, method: {}",
                     kBlockSize - b->hole_length - b->image.size(), method);
  }
}

}  // namespace

const char* OperationName(const pg::Version& version, uint8_t rmid, uint8_t info) {
  const Operation* operation = FindOperation(version, rmid, info);
  return operation ? operation->name : nullptr;
}

std::string RmgrDisplayName(uint8_t rmid) {
  const char* name = RmgrName(rmid);
  return name ? name : fmt::format("custom{:03}", rmid);
}

void DescribeOperation(const RecordView& record, std::string* out) {
  if (record.rmid() > kMaxBuiltinRmgr) {
    fmt::format_to(std::back_inserter(*out), "rmid: {}", record.rmid());
    return;
  }
  const Operation* operation = FindOperation(record.version(), record.rmid(), record.header().info);
  if (!operation || !operation->describe) return;
  Description description{record, FieldReader(record.main_data()), out};
  operation->describe(&description);
  if (!description.in.all())
    fmt::format_to(std::back_inserter(*out), " [malformed: {} bytes of data are too few]",
                   record.main_data().size());
}

static void AppendWithoutBlocks(const RecordView& record, Lsn start, std::string* line) {
  const RecordHeader& h = record.header();
  uint32_t images = 0;
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (const BlockRef* b = record.block(id)) images += static_cast<uint32_t>(b->image.size());
  }
  const char* rmgr = RmgrName(h.rmid);
  fmt::format_to(std::back_inserter(*line),
                 "rmgr: {:<11} len (rec/tot): {:6}/{:6}, tx: {:10}, lsn: {:X}/{:08X}, prev "
                 "{:X}/{:08X}, desc: ",
                 rmgr ? rmgr : RmgrDisplayName(h.rmid), h.total_length - images, h.total_length,
                 h.xid, start.value >> 32, start.value & 0xffffffff, h.prev_lsn >> 32,
                 h.prev_lsn & 0xffffffff);
  if (const char* name = OperationName(record.version(), h.rmid, h.info)) {
    line->append(name).push_back(' ');
  } else {
    fmt::format_to(std::back_inserter(*line), "UNKNOWN ({:x}) ", h.info & kInfoRmgrMask);
  }
  DescribeOperation(record, line);
}

void DescribeRecord(const RecordView& record, Lsn start, std::string* line) {
  AppendWithoutBlocks(record, start, line);
  AppendBlocks(record, line);
}

void DescribeRecordInDetail(const RecordView& record, Lsn start, std::string* lines) {
  AppendWithoutBlocks(record, start, lines);
  AppendBlockDetails(record, lines);
}

std::string DescribeRecord(const RecordView& record, Lsn start) {
  std::string line;
  DescribeRecord(record, start, &line);
  return line;
}

uint32_t FieldReader::GetBlockId() {
  const auto high = Get<uint16_t>();
  const auto low = Get<uint16_t>();
  return static_cast<uint32_t>(high) << 16 | low;
}

namespace {

// How many bytes of the text begin it as one character of UTF-8; 0: they are none.
size_t CharacterLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; i++)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

// C1 controls are U+0080 to U+009F, and to some terminals these bytes alone. Other bytes that are
// no UTF-8 stay: in a database of another encoding they are letters.
std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const size_t length = std::max<size_t>(CharacterLength(text), 1);
    const bool c1 = length == 1 ? c >= 0x80 && c < 0xa0
                                : c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (c < ' ' || c == 0x7f || c1) {
      for (const char byte : text.substr(0, length))
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string FieldReader::GetString(size_t limit) {
  const size_t room = std::min(limit, in_.remaining());
  const auto* begin = reinterpret_cast<const char*>(in_.position());
  const void* zero = room ? std::memchr(begin, 0, room) : nullptr;
  if (!zero) {
    all_ = false;
    return {};
  }
  const std::string_view out(begin, static_cast<size_t>(static_cast<const char*>(zero) - begin));
  in_.Skip(out.size() + 1);
  return Printable(out);
}

std::string LsnText(const pg::Version& version, Lsn lsn) {
  if (version.text < pg::WaldumpText::k19) return lsn.ToString();
  return fmt::format("{:X}/{:08X}", lsn.value >> 32, lsn.value & 0xffffffff);
}

std::string RelName(const RelFileNode& rel) {
  return fmt::format("{}/{}/{}", rel.spc, rel.db, rel.rel);
}

std::string FullXid(uint64_t xid) {
  return fmt::format("{}:{}", xid >> 32, static_cast<uint32_t>(xid));
}

std::string TimestampText(int64_t timestamp) {
  constexpr int64_t kMicros = 1000000;
  constexpr int64_t kEpoch = 946684800;  // 2000-01-01 in Unix time
  const time_t seconds = timestamp / kMicros + kEpoch;
  struct tm local;
  if (!localtime_r(&seconds, &local)) return "(time out of range)";
  char day[64];
  char zone[64];
  if (!strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &local)) day[0] = '\0';
  if (!strftime(zone, sizeof(zone), "%Z", &local)) zone[0] = '\0';
  return fmt::format("{}.{:06} {}", day, timestamp % kMicros, zone);
}

}  // namespace neon_redo
