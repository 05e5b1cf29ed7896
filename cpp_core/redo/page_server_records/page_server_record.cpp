// Every record is checked in full before the first byte changes, so that an error leaves the page
// as it was.
#include "neon_redo/page_server_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/visibility_map.h"

namespace neon_redo {

namespace {

tl::unexpected<Error> Refuse(const PageServerRecord& record, const PageKey& key,
                             const std::string& why) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("could not apply {} to {}: {}", PageServerRecordName(record),
                               key.Describe(), why));
}

// One record on its way onto one page.
class Application {
 public:
  Application(const PageServerRecord& record, Lsn lsn, const PageKey& key,
              std::vector<uint8_t>* page)
      : record_(record), lsn_(lsn), key_(key), page_(*page) {}

  Status operator()(const ClearVisibilityMapFlags& clear) {
    ASSIGN_OR_RETURN(const uint32_t map_block, MapBlock());
    if (clear.flags & ~kAllVisibilityBits) {
      return Refuse(record_, key_, fmt::format("there are no flags {:#04x}", clear.flags));
    }
    for (const std::optional<uint32_t>& heap : {clear.new_heap_block, clear.old_heap_block}) {
      if (heap && MapPageOf(*heap) != map_block) {
        return Refuse(
            record_, key_,
            fmt::format("heap block {} is on block {} of the map", *heap, MapPageOf(*heap)));
      }
    }
    for (const std::optional<uint32_t>& heap : {clear.new_heap_block, clear.old_heap_block}) {
      if (heap) ClearVisibilityBits(page_.data(), *heap, clear.flags);
    }
    StampMap();
    return {};
  }

  Status operator()(const TruncateVisibilityMap& truncate) {
    RETURN_IF_ERROR(MapBlock());
    if (truncate.byte >= kMapBytesOnPage || truncate.bit >= 8 || truncate.bit % 2 != 0) {
      return Refuse(record_, key_,
                    fmt::format("there is no bit {} of byte {} in a page of the map", truncate.bit,
                                truncate.byte));
    }
    ClearVisibilityFrom(page_.data(), truncate.byte, truncate.bit);
    StampMap();
    return {};
  }

  Status operator()(const ClogSetCommitted& set) {
    RETURN_IF_ERROR(SetStatuses(set.xids, kXactCommitted));
    page_.resize(kBlockSize + kClogTimestampSize);
    StoreBe64(page_.data() + kBlockSize, static_cast<uint64_t>(set.timestamp));
    return {};
  }

  Status operator()(const ClogSetAborted& set) { return SetStatuses(set.xids, kXactAborted); }

  Status operator()(const MultixactOffsetCreate& create) {
    Status status = CheckSlru(SlruKind::kMultixactOffsets);
    if (status) status = CheckPlace("multixact", create.multixact);
    if (!status) return status;
    SetMultixactOffset(page_.data(), create.multixact, create.offset);
    return {};
  }

  Status operator()(const MultixactMembersCreate& create) {
    Status status = CheckSlru(SlruKind::kMultixactMembers);
    for (size_t i = 0; status && i < create.members.size(); ++i) {
      status = CheckPlace("member", MemberAt(create, i));
      if (status && create.members[i].status > kMaxMemberStatus) {
        status = Refuse(record_, key_,
                        fmt::format("member {} has status {}, there are 0 to {}", i,
                                    create.members[i].status, kMaxMemberStatus));
      }
    }
    if (!status) return status;
    for (size_t i = 0; i < create.members.size(); ++i) {
      SetMultixactMember(page_.data(), MemberAt(create, i), create.members[i].xid,
                         static_cast<uint8_t>(create.members[i].status));
    }
    return {};
  }

 private:
  // Member numbers wrap around at 2^32.
  static uint32_t MemberAt(const MultixactMembersCreate& create, size_t i) {
    return create.offset + static_cast<uint32_t>(i);
  }

  Result<uint32_t> MapBlock() const {
    const Result<BlockTag> tag = key_.ToBlock();
    if (!tag) return Refuse(record_, key_, "it needs a page of a visibility map");
    if (tag->fork != kVisibilityMapFork) {
      return Refuse(record_, key_, "it needs the visibility map fork");
    }
    RETURN_IF_ERROR(CheckSize(false));
    return tag->block;
  }

  void StampMap() {
    if (!PageView(page_.data()).is_new()) SetPageLsn(page_.data(), lsn_);
  }

  Status CheckSize(bool may_have_timestamp) const {
    if (page_.size() == kBlockSize ||
        (may_have_timestamp && page_.size() == kBlockSize + kClogTimestampSize)) {
      return {};
    }
    return Refuse(record_, key_, fmt::format("the page has {} bytes", page_.size()));
  }

  Status CheckSlru(SlruKind kind) {
    const Result<SlruBlock> slru = key_.ToSlruBlock();
    if (!slru || slru->kind != kind) {
      return Refuse(record_, key_, fmt::format("it needs a {} block", SlruKindName(kind)));
    }
    slru_ = *slru;
    return CheckSize(kind == SlruKind::kClog);
  }

  // Entry number n of the SLRU is on this page.
  Status CheckPlace(const char* what, uint32_t n) const {
    const SlruBlock place = SlruBlockOfEntry(slru_.kind, n);
    if (place == slru_) return {};
    return Refuse(
        record_, key_,
        fmt::format("{} {} is on block {} of segment {:04X}", what, n, place.block, place.segment));
  }

  Status SetStatuses(const std::vector<uint32_t>& xids, uint8_t xact_status) {
    Status status = CheckSlru(SlruKind::kClog);
    for (size_t i = 0; status && i < xids.size(); ++i) status = CheckPlace("transaction", xids[i]);
    if (!status) return status;
    for (uint32_t xid : xids) SetXactStatus(page_.data(), xid, xact_status);
    return {};
  }

  const PageServerRecord& record_;
  Lsn lsn_;
  const PageKey& key_;
  std::vector<uint8_t>& page_;
  SlruBlock slru_;
};

struct RecordWords {
  static std::string Block(const std::optional<uint32_t>& block) {
    return block ? fmt::format("{}", *block) : "none";
  }
  std::string operator()(const ClearVisibilityMapFlags& r) const {
    return fmt::format("new heap block {}, old heap block {}, flags {:#04x}",
                       Block(r.new_heap_block), Block(r.old_heap_block), r.flags);
  }
  std::string operator()(const TruncateVisibilityMap& r) const {
    return fmt::format("from bit {} of byte {}", r.bit, r.byte);
  }
  std::string operator()(const ClogSetCommitted& r) const {
    return fmt::format("transactions {}, timestamp {}", fmt::join(r.xids, " "), r.timestamp);
  }
  std::string operator()(const ClogSetAborted& r) const {
    return fmt::format("transactions {}", fmt::join(r.xids, " "));
  }
  std::string operator()(const MultixactOffsetCreate& r) const {
    return fmt::format("multixact {}, offset {}", r.multixact, r.offset);
  }
  std::string operator()(const MultixactMembersCreate& r) const {
    std::string text = fmt::format("offset {}, members", r.offset);
    for (const MultixactMember& member : r.members) {
      text += fmt::format(" {} ({})", member.xid, member.status);
    }
    return text;
  }
};

}  // namespace

const char* PageServerRecordName(const PageServerRecord& record) {
  static constexpr const char* kNames[] = {"ClearVisibilityMapFlags", "TruncateVisibilityMap",
                                           "ClogSetCommitted",        "ClogSetAborted",
                                           "MultixactOffsetCreate",   "MultixactMembersCreate"};
  static_assert(std::variant_size_v<PageServerRecord> == std::size(kNames));
  return kNames[record.index()];
}

std::string DescribePageServerRecord(const PageServerRecord& record) {
  return std::string(PageServerRecordName(record)) + " " + std::visit(RecordWords(), record);
}

Status ApplyPageServerRecord(const PageServerRecord& record, Lsn lsn, const PageKey& key,
                             std::vector<uint8_t>* page) {
  return std::visit(Application(record, lsn, key, page), record);
}

}  // namespace neon_redo
