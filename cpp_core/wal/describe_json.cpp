#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cpp_core/wal/describe.h"

namespace neon_redo {

std::string DescribeRecordAsJson(const RecordView& record, Lsn start, Lsn end) {
  using Json = nlohmann::ordered_json;
  const RecordHeader& h = record.header();
  const char* operation = OperationName(h.rmid, h.info);
  std::string description;
  DescribeOperation(record, &description);
  Json blocks = Json::array();
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* b = record.block(id);
    if (!b) continue;
    Json block = {
        {"id", id},
        {"tablespace", b->tag.rel.spc},
        {"database", b->tag.rel.db},
        {"relation", b->tag.rel.rel},
        {"fork", ForkName(b->tag.fork)},
        {"block", b->tag.block},
        {"will_init", b->will_init},
    };
    if (b->has_image) {
      block["image_bytes"] = b->image.size();
      block["image_applies"] = b->apply_image;
    }
    blocks.push_back(std::move(block));
  }
  const Json out = {
      {"lsn", start.ToString()},
      {"end_lsn", end.ToString()},
      {"prev_lsn", Lsn(h.prev_lsn).ToString()},
      {"rmgr", RmgrDisplayName(h.rmid)},
      {"operation", operation ? operation : fmt::format("UNKNOWN ({:x})", h.info & kInfoRmgrMask)},
      {"xid", h.xid},
      {"length", h.total_length},
      {"description", std::move(description)},
      {"blocks", std::move(blocks)},
  };
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace neon_redo
