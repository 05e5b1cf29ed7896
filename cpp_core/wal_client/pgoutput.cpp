// A cursor that remembers whether a read went beyond the end: fields are then read in a row, and
// one check at the end refuses a message that is too short or too long.
#include "cpp_core/wal_client/pgoutput.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace neon_redo::pgoutput {

namespace {

class Cursor {
 public:
  explicit Cursor(Bytes bytes) : left_(bytes) {}

  uint64_t Number(size_t bytes) {
    uint64_t value = 0;
    for (uint8_t byte : Raw(bytes)) value = value << 8 | byte;
    return value;
  }
  uint8_t Byte() { return static_cast<uint8_t>(Number(1)); }
  uint32_t Id() { return static_cast<uint32_t>(Number(4)); }
  Lsn Position() { return Lsn(Number(8)); }
  ReplicationTime Time() { return FromPostgresTime(static_cast<int64_t>(Number(8))); }

  Bytes Raw(size_t bytes) {
    if (bytes > left_.size()) {
      failed_ = true;
      left_ = {};
      return {};
    }
    const Bytes out = left_.first(bytes);
    left_ = left_.subspan(bytes);
    return out;
  }

  std::string_view String() {
    const auto zero = std::find(left_.begin(), left_.end(), 0);
    if (zero == left_.end()) {
      failed_ = true;
      return {};
    }
    const auto length = static_cast<size_t>(zero - left_.begin());
    const std::string_view out(reinterpret_cast<const char*>(left_.data()), length);
    left_ = left_.subspan(length + 1);
    return out;
  }

  void Fail() { failed_ = true; }
  bool failed() const { return failed_; }
  size_t left() const { return left_.size(); }

 private:
  Bytes left_;
  bool failed_ = false;
};

Tuple ReadTuple(Cursor* in) {
  Tuple out;
  const auto columns = static_cast<size_t>(in->Number(2));
  out.reserve(std::min(columns, in->left()));
  for (size_t i = 0; i < columns && !in->failed(); i++) {
    const uint8_t kind = in->Byte();
    if (kind == 'n') {
      out.push_back({Value::Kind::kNull, {}});
    } else if (kind == 'u') {
      out.push_back({Value::Kind::kUnchangedToast, {}});
    } else if (kind == 't' || kind == 'b') {
      const size_t length = in->Number(4);
      out.push_back({kind == 't' ? Value::Kind::kText : Value::Kind::kBinary, in->Raw(length)});
    } else {
      in->Fail();
    }
  }
  return out;
}

// The optional old row or key before what follows.
uint8_t ReadOld(Cursor* in, std::optional<Tuple>* key, std::optional<Tuple>* old) {
  const uint8_t kind = in->Byte();
  if (kind != 'K' && kind != 'O') return kind;
  (kind == 'K' ? *key : *old) = ReadTuple(in);
  return 0;
}

Relation ReadRelation(Cursor* in) {
  Relation out;
  out.id = in->Id();
  out.schema = in->String();
  out.name = in->String();
  out.replica_identity = static_cast<char>(in->Byte());
  const auto columns = static_cast<size_t>(in->Number(2));
  out.columns.reserve(std::min(columns, in->left()));
  for (size_t i = 0; i < columns && !in->failed(); i++) {
    Column c;
    c.key = (in->Byte() & 1) != 0;
    c.name = in->String();
    c.type = in->Id();
    c.type_modifier = static_cast<int32_t>(in->Id());
    out.columns.push_back(c);
  }
  return out;
}

Insert ReadInsert(Cursor* in) {
  Insert out;
  out.relation = in->Id();
  if (in->Byte() != 'N') in->Fail();
  out.row = ReadTuple(in);
  return out;
}

Update ReadUpdate(Cursor* in) {
  Update out;
  out.relation = in->Id();
  uint8_t kind = ReadOld(in, &out.key, &out.old);
  if (kind == 0) kind = in->Byte();
  if (kind != 'N') in->Fail();
  out.row = ReadTuple(in);
  return out;
}

Delete ReadDelete(Cursor* in) {
  Delete out;
  out.relation = in->Id();
  if (ReadOld(in, &out.key, &out.old) != 0) in->Fail();
  return out;
}

Truncate ReadTruncate(Cursor* in) {
  Truncate out;
  const auto count = static_cast<size_t>(in->Number(4));
  const uint8_t flags = in->Byte();
  out.cascade = (flags & 1) != 0;
  out.restart_identity = (flags & 2) != 0;
  for (size_t i = 0; i < count && !in->failed(); i++) out.relations.push_back(in->Id());
  return out;
}

Message ReadMessage(Cursor* in) {
  Message out;
  out.transactional = (in->Byte() & 1) != 0;
  out.lsn = in->Position();
  out.prefix = in->String();
  const size_t length = in->Number(4);
  out.content = in->Raw(length);
  return out;
}

// The braces of an initialiser are evaluated from left to right, which is the order on the wire.
Commit ReadCommit(Cursor* in) {
  in->Byte();  // flags, none defined
  return Commit{in->Position(), in->Position(), in->Time()};
}

Prepared ReadPrepared(Cursor* in, Prepared::Kind kind) {
  if (kind != Prepared::Kind::kBegin) in->Byte();  // flags
  return Prepared{kind, in->Position(), in->Position(), in->Time(), in->Id(), in->String()};
}

RollbackPrepared ReadRollbackPrepared(Cursor* in) {
  in->Byte();  // flags
  return RollbackPrepared{in->Position(), in->Position(), in->Time(),
                          in->Time(),     in->Id(),       in->String()};
}

StreamAbort ReadStreamAbort(Cursor* in) {
  StreamAbort out{in->Id(), in->Id(), {}, {}};
  if (in->left() > 0) {
    out.lsn = in->Position();
    out.time = in->Time();
  }
  return out;
}

// Null when there is no such kind.
std::optional<Body> ReadBody(uint8_t kind, Cursor* in) {
  switch (kind) {
    case 'B':
      return Begin{in->Position(), in->Time(), in->Id()};
    case 'C':
      return ReadCommit(in);
    case 'O':
      return Origin{in->Position(), in->String()};
    case 'M':
      return ReadMessage(in);
    case 'R':
      return ReadRelation(in);
    case 'Y':
      return Type{in->Id(), in->String(), in->String()};
    case 'I':
      return ReadInsert(in);
    case 'U':
      return ReadUpdate(in);
    case 'D':
      return ReadDelete(in);
    case 'T':
      return ReadTruncate(in);
    case 'S':
      return StreamStart{in->Id(), in->Byte() != 0};
    case 'E':
      return StreamStop{};
    case 'c':
      return StreamCommit{in->Id(), ReadCommit(in)};
    case 'A':
      return ReadStreamAbort(in);
    case 'b':
      return ReadPrepared(in, Prepared::Kind::kBegin);
    case 'P':
      return ReadPrepared(in, Prepared::Kind::kPrepare);
    case 'K':
      return ReadPrepared(in, Prepared::Kind::kCommit);
    case 'p':
      return ReadPrepared(in, Prepared::Kind::kStreamPrepare);
    case 'r':
      return ReadRollbackPrepared(in);
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<Decoded> Decoder::Decode(Bytes message) {
  Cursor in(message);
  const uint8_t kind = in.Byte();
  uint32_t xid = 0;
  if (in_stream_ && kind != 0 && strchr("MRYIUDT", kind)) xid = in.Id();
  auto body = ReadBody(kind, &in);
  if (!body)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("pgoutput: a message of unknown kind 0x{:02x}", kind));
  if (in.failed() || in.left() > 0)
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("pgoutput: a message of kind '{}' with {} bytes does not hold what "
                    "it must",
                    static_cast<char>(kind), message.size()));
  if (kind == 'S') in_stream_ = true;
  if (kind == 'E') in_stream_ = false;
  return Decoded{xid, std::move(*body)};
}

}  // namespace neon_redo::pgoutput
