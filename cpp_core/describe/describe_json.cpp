// Written by hand and not as a JSON tree, which took 30 times as long as the text form. Only a
// description with bytes that need escaping goes through the JSON library.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

void AppendString(const std::string& text, std::string* out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  if (plain) {
    out->append(1, '"').append(text).append(1, '"');
  } else {
    out->append(
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
}

void AppendBlock(const BlockRef& b, int id, std::string* out) {
  fmt::format_to(std::back_inserter(*out),
                 R"({{"id":{},"tablespace":{},"database":{},"relation":{},"fork":"{}","block":{},)"
                 R"("will_init":{})",
                 id, b.tag.rel.spc, b.tag.rel.db, b.tag.rel.rel, ForkName(b.tag.fork), b.tag.block,
                 b.will_init);
  if (b.has_image)
    fmt::format_to(std::back_inserter(*out), R"(,"image_bytes":{},"image_applies":{})",
                   b.image.size(), b.apply_image);
  out->push_back('}');
}

}  // namespace

std::string DescribeRecordAsJson(const RecordView& record, Lsn start, Lsn end) {
  const RecordHeader& h = record.header();
  std::string out;
  fmt::format_to(
      std::back_inserter(out),
      R"({{"lsn":"{}","end_lsn":"{}","prev_lsn":"{}","resource_manager":"{}","operation":")",
      start.ToString(), end.ToString(), Lsn(h.prev_lsn).ToString(), RmgrDisplayName(h.rmid));
  if (const char* operation = OperationName(record.version(), h.rmid, h.info)) {
    out.append(operation);
  } else {
    fmt::format_to(std::back_inserter(out), "UNKNOWN ({:x})", h.info & kInfoRmgrMask);
  }
  fmt::format_to(std::back_inserter(out), R"(","xid":{},"length":{},"description":)", h.xid,
                 h.total_length);
  std::string description;
  DescribeOperation(record, &description);
  AppendString(description, &out);
  out.append(R"(,"blocks":[)");
  const char* separator = "";
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* b = record.block(id);
    if (!b) continue;
    out.append(separator);
    AppendBlock(*b, id, &out);
    separator = ",";
  }
  out.append("]}");
  return out;
}

}  // namespace neon_redo
