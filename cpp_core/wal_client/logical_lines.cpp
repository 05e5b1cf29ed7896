// JSON is appended by hand: there is one level of nesting, and a stream has a line for each row.
#include "cpp_core/wal_client/logical_lines.h"

#include <fmt/chrono.h>
#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <functional>
#include <iterator>

#include "cpp_core/base/try.h"

// Of libpgcommon (mb/pg_wchar.h): how many bytes of the text are whole valid characters.
extern "C" int pg_encoding_verifymbstr(int encoding, const char* text, int length);

namespace neon_redo {

namespace {

using namespace pgoutput;

constexpr int kUtf8 = 6;  // PG_UTF8

// ASCII that JSON takes as it is.
bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

// Text that is UTF-8, as it is but for what JSON wants escaped.
void AppendEscaped(std::string_view text, std::string* out) {
  size_t clean = 0;
  for (size_t i = 0; i < text.size(); i++) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    // U+0080 to U+009F are commands to a terminal as well.
    const bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
    if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\' && !c1) continue;
    out->append(text.substr(clean, i - clean));
    if (c1 || c == 0x7f) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c1 ? next : c);
      if (c1) i++;
      clean = i + 1;
      continue;
    }
    clean = i + 1;
    if (c == '\n') {
      out->append("\\n");
    } else if (c >= 0x20) {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c);
    }
  }
  out->append(text.substr(clean));
}

// A database in SQL_ASCII may send any bytes. JSON has no place for them: U+FFFD stands for each
// that is not part of a character.
void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  if (std::all_of(text.begin(), text.end(), IsPlain)) {
    out->append(text);
    text = {};
  }
  while (!text.empty()) {
    const auto valid = static_cast<size_t>(
        pg_encoding_verifymbstr(kUtf8, text.data(), static_cast<int>(text.size())));
    AppendEscaped(text.substr(0, valid), out);
    if (valid == text.size()) break;
    out->append("\\ufffd");
    text.remove_prefix(valid + 1);
  }
  out->push_back('"');
}

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void AppendHex(Bytes bytes, std::string* out) {
  out->append("\"\\\\x");
  for (uint8_t b : bytes) fmt::format_to(std::back_inserter(*out), "{:02x}", b);
  out->push_back('"');
}

bool IsText(Bytes bytes) {
  for (uint8_t b : bytes)
    if (b == 0 || b >= 0x80) return false;
  return true;
}

// ,"name":
void Name(std::string_view name, std::string* out) {
  out->append(",\"");
  out->append(name);
  out->append("\":");
}
// ,"name":value
void Field(std::string_view name, uint32_t value, std::string* out) {
  Name(name, out);
  fmt::format_to(std::back_inserter(*out), FMT_COMPILE("{}"), value);
}
void Field(std::string_view name, std::same_as<bool> auto value, std::string* out) {
  Name(name, out);
  out->append(value ? "true" : "false");
}
void Field(std::string_view name, std::string_view value, std::string* out) {
  Name(name, out);
  AppendQuoted(value, out);
}
void Field(std::string_view name, Lsn value, std::string* out) {
  Name(name, out);
  fmt::format_to(std::back_inserter(*out), FMT_COMPILE("\"{:X}/{:X}\""), value.value >> 32,
                 value.value & 0xffffffff);
}

void Action(std::string_view action, std::string* out) {
  out->append("{\"action\":\"");
  out->append(action);
  out->push_back('"');
}

const char* PreparedAction(Prepared::Kind kind) {
  switch (kind) {
    case Prepared::Kind::kBegin:
      return "begin_prepare";
    case Prepared::Kind::kPrepare:
      return "prepare";
    case Prepared::Kind::kCommit:
      return "commit_prepared";
    case Prepared::Kind::kStreamPrepare:
      return "stream_prepare";
  }
  return "";
}

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

// To the microsecond. Messages of the same second are many, and its text is made once.
void LogicalLines::AppendTime(ReplicationTime time, std::string* line) {
  // By hand: chrono's conversions overflow for what a server may send.
  constexpr int64_t kSecond = 1'000'000;
  const int64_t us = time.time_since_epoch().count();
  const int64_t rest = (us % kSecond + kSecond) % kSecond;
  const time_t seconds = us / kSecond - (us % kSecond < 0 ? 1 : 0);
  if (second_text_.empty() || seconds != second_) {
    second_ = seconds;
    second_text_ = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(seconds));
  }
  Name("time", line);
  fmt::format_to(std::back_inserter(*line), FMT_COMPILE("\"{}.{:06}Z\""), second_text_, rest);
}

const LogicalLines::Table* LogicalLines::Find(uint32_t relation) const {
  const auto at = tables_.find(relation);
  return at == tables_.end() ? nullptr : &at->second;
}

void LogicalLines::AppendTable(uint32_t relation, std::string* line) const {
  if (const Table* table = Find(relation)) {
    line->append(table->fields);
  } else {
    Field("relation", relation, line);
  }
}

// {"column":"text"|null,…}. A column whose value was not sent since it did not change is left out.
// A key comes with a null for each column outside the replica identity (logicalrep_write_tuple in
// replication/logical/proto.c): that is no value.
void LogicalLines::AppendTuple(std::string_view name, uint32_t relation, const Tuple& row,
                               Columns wanted, std::string* line) const {
  const Table* const table = Find(relation);
  Name(name, line);
  line->push_back('{');
  bool first = true;
  for (size_t i = 0; i < row.size(); i++) {
    if (row[i].kind == Value::Kind::kUnchangedToast) continue;
    if (wanted == Columns::kIdentity && table && i < table->columns.size() &&
        !table->in_identity[i])
      continue;
    if (!first) line->push_back(',');
    first = false;
    if (table && i < table->columns.size()) {
      line->append(table->columns[i]);
    } else {
      fmt::format_to(std::back_inserter(*line), "\"{}\":", i + 1);
    }
    if (row[i].kind == Value::Kind::kNull) {
      line->append("null");
    } else if (row[i].kind == Value::Kind::kText) {
      AppendQuoted(AsText(row[i].bytes), line);
    } else {
      AppendHex(row[i].bytes, line);
    }
  }
  line->push_back('}');
}

void LogicalLines::Append(const Decoded& message, std::string* line, Lsn* transaction_end) {
  const auto change = [&](std::string_view action, uint32_t relation) {
    Action(action, line);
    if (message.xid != 0) Field("xid", message.xid, line);
    AppendTable(relation, line);
  };
  const auto old_row = [&](const auto& m) {
    if (m.key) AppendTuple("key", m.relation, *m.key, Columns::kIdentity, line);
    if (m.old) AppendTuple("old", m.relation, *m.old, Columns::kAll, line);
  };
  const auto commit = [&](const Commit& m) {
    Field("lsn", m.commit, line);
    Field("end_lsn", m.end, line);
    AppendTime(m.time, line);
    *transaction_end = m.end;
  };
  std::visit(
      Overloaded{
          [&](const Begin& m) {
            Action("begin", line);
            Field("xid", m.xid, line);
            Field("lsn", m.commit, line);
            AppendTime(m.time, line);
          },
          [&](const Commit& m) {
            Action("commit", line);
            commit(m);
          },
          [&](const Origin& m) {
            Action("origin", line);
            Field("lsn", m.commit, line);
            Field("name", m.name, line);
          },
          [&](const Message& m) {
            Action("message", line);
            if (message.xid != 0) Field("xid", message.xid, line);
            Field("transactional", m.transactional, line);
            Field("lsn", m.lsn, line);
            Field("prefix", m.prefix, line);
            line->append(",\"content\":");
            IsText(m.content) ? AppendQuoted(AsText(m.content), line) : AppendHex(m.content, line);
          },
          [&](const Relation& m) {
            Table table;
            Field("schema", m.schema.empty() ? "pg_catalog" : m.schema, &table.fields);
            Field("table", m.name, &table.fields);
            for (const Column& c : m.columns) {
              std::string& column = table.columns.emplace_back();
              AppendQuoted(c.name, &column);
              column.push_back(':');
              table.in_identity.push_back(c.key);
            }
            Remember(m.id, std::move(table));
          },
          [&](const Type&) {},
          [&](const Insert& m) {
            change("insert", m.relation);
            AppendTuple("new", m.relation, m.row, Columns::kAll, line);
          },
          [&](const Update& m) {
            change("update", m.relation);
            old_row(m);
            AppendTuple("new", m.relation, m.row, Columns::kAll, line);
          },
          [&](const Delete& m) {
            change("delete", m.relation);
            old_row(m);
          },
          [&](const Truncate& m) {
            Action("truncate", line);
            if (message.xid != 0) Field("xid", message.xid, line);
            Field("cascade", m.cascade, line);
            Field("restart_identity", m.restart_identity, line);
            line->append(",\"tables\":[");
            for (size_t i = 0; i < m.relations.size(); i++) {
              std::string table;
              AppendTable(m.relations[i], &table);
              fmt::format_to(std::back_inserter(*line), "{}{{{}}}", i ? "," : "", table.substr(1));
            }
            line->push_back(']');
          },
          [&](const StreamStart& m) {
            Action("stream_start", line);
            Field("xid", m.xid, line);
            Field("first", m.first, line);
            streams_ = true;
          },
          [&](const StreamStop&) { Action("stream_stop", line); },
          [&](const StreamCommit& m) {
            Action("stream_commit", line);
            Field("xid", m.xid, line);
            commit(m.commit);
          },
          [&](const StreamAbort& m) {
            Action("stream_abort", line);
            Field("xid", m.xid, line);
            Field("subxid", m.subxid, line);
          },
          [&](const Prepared& m) {
            Action(PreparedAction(m.kind), line);
            Field("xid", m.xid, line);
            Field("lsn", m.lsn, line);
            Field("end_lsn", m.end, line);
            AppendTime(m.time, line);
            Field("gid", m.gid, line);
            if (m.kind != Prepared::Kind::kBegin) *transaction_end = m.end;
          },
          [&](const RollbackPrepared& m) {
            Action("rollback_prepared", line);
            Field("xid", m.xid, line);
            Field("end_lsn", m.end, line);
            AppendTime(m.time, line);
            Field("gid", m.gid, line);
            *transaction_end = m.end;
          },
      },
      message.body);
}

Status LogicalLines::AddPgoutput(Bytes message, std::string* out, Lsn* transaction_end) {
  ASSIGN_OR_RETURN(const auto decoded, decoder_.Decode(message));
  const size_t begin = out->size();
  Append(decoded, out, transaction_end);
  if (table_bytes_ > kMaxTableBytes)
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("the server described {} tables, which take more than {} MB",
                                 tables_.size(), kMaxTableBytes >> 20));
  if (out->size() > begin) out->push_back('}');
  return {};
}

size_t LogicalLines::Table::bytes() const {
  size_t out = 128 + fields.capacity() + columns.capacity() * sizeof(std::string);
  for (const std::string& column : columns) out += column.capacity();
  return out;
}

// A table that was altered is described again.
void LogicalLines::Remember(uint32_t relation, Table table) {
  Table& known = tables_[relation];
  if (!known.fields.empty()) table_bytes_ -= known.bytes();
  known = std::move(table);
  table_bytes_ += known.bytes();
}

// What was appended to *out after `begin` is the next line: it stays, or was given out before.
Status LogicalLines::Emit(size_t begin, std::string* out) {
  const auto line = std::string_view(*out).substr(begin);
  lines_++;
  hash_ = hash_ * 0x9e3779b97f4a7c15 + std::hash<std::string_view>()(line);
  if (lines_ > drop_) {
    out->push_back('\n');
    return {};
  }
  out->resize(begin);
  if (lines_ == drop_ && hash_ != drop_hash_)
    return MakeError(ErrorCode::kCorrupt,
                     "the server sent a transaction differently after a reconnection; what was "
                     "given out of it is not to be trusted");
  return {};
}

Status LogicalLines::Add(const XLogData& message, std::string* out) {
  Lsn end;
  const size_t begin = out->size();
  if (format_ == Format::kText) {
    const std::string_view line = AsText(message.data);
    out->append(line);
    // The plug-in's message at a transaction's end has the position behind it (commit_cb_wrapper
    // in replication/logical/logical.c).
    if (line.starts_with("COMMIT") || line.starts_with("ROLLBACK PREPARED") ||
        line.starts_with("PREPARE TRANSACTION"))
      end = message.start;
  } else {
    RETURN_IF_ERROR(AddPgoutput(message.data, out, &end));
  }
  if (out->size() == begin) return {};
  RETURN_IF_ERROR(Emit(begin, out));
  if (end.valid()) {
    confirmable_ = std::max(confirmable_, end);
    lines_ = hash_ = drop_ = drop_hash_ = 0;
  }
  return {};
}

void LogicalLines::Add(const Keepalive& keepalive) {
  if (lines_ == 0 && drop_ == 0) confirmable_ = std::max(confirmable_, keepalive.server_end);
}

void LogicalLines::Reconnected(std::string* out) {
  decoder_.Reset();
  if (streams_) {
    out->append("{\"action\":\"restart\"}\n");
    lines_ = drop_ = 0;
  } else if (lines_ > drop_) {
    drop_ = lines_;
    drop_hash_ = hash_;
  }
  streams_ = false;
  lines_ = hash_ = 0;
}

}  // namespace neon_redo
