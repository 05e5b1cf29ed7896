// The rebuilder does the work. Its page is looked at before or after it takes a record. Both need
// the current page, so the worker is asked first for a block that waits for it.
//
// Bits of the visibility map may be cleared by another backend before its record comes: full-page
// images of the map are not looked at.
#include "cpp_core/verify/live_check.h"

#include <fmt/format.h>

#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/redo/native/without_image.h"
#include "cpp_core/verify/compare.h"
#include "neon_redo/describe.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

LiveCheck::LiveCheck(const VerifyOptions& options, MemoryBudget* memory,
                     std::function<void(const Mismatch&)> on_mismatch)
    : rebuilder_({.engine = options.engine,
                  .base = {},
                  .memory = memory,
                  .spill_directory = options.spill_directory,
                  .reads_once = true}),
      on_mismatch_(std::move(on_mismatch)) {}

Status LiveCheck::Take(const WalRecord& record, const RecordView& view, RedoWorker* worker) {
  const auto each_image = [&](bool to_apply, auto compare) -> Status {
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* ref = view.block(id);
      if (ref == nullptr || !ref->has_image || ref->apply_image != to_apply ||
          ref->tag.fork == kFreeSpaceMapFork)
        continue;
      RETURN_IF_ERROR((this->*compare)(record, view, id, worker));
    }
    return {};
  };
  RETURN_IF_ERROR(each_image(true, &LiveCheck::CompareFullPage));
  RETURN_IF_ERROR(rebuilder_.Take(record, view, worker));
  RETURN_IF_ERROR(each_image(false, &LiveCheck::CompareForChecking));
  for (int id = 0; id <= view.max_block_id(); id++) {
    const BlockRef* ref = view.block(id);
    const Entry* entry = ref == nullptr ? nullptr : rebuilder_.blocks().Find(ref->tag);
    if (entry != nullptr && entry->value.failure != 0) ReportFailure(record, view, *entry);
  }
  return {};
}

Status LiveCheck::CompareFullPage(const WalRecord& record, const RecordView& view, int id,
                                  RedoWorker* worker) {
  const BlockRef& ref = *view.block(id);
  Entry* entry = rebuilder_.blocks().Find(ref.tag);
  if (ref.tag.fork == kVisibilityMapFork || entry == nullptr || !entry->value.settled) {
    findings_.Skip(ref.tag.fork == kVisibilityMapFork ? SkipReason::kVisibilityMap
                                                      : SkipReason::kFirstImage);
    return {};
  }
  BlockState& block = entry->value;
  if (block.request != BlockState::kNone) RETURN_IF_ERROR(rebuilder_.Flush(worker));
  if (!block.page.present()) {
    findings_.Skip(SkipReason::kNotRebuilt);
    return {};
  }
  std::memcpy(rebuilt_, rebuilder_.pages().Get(&block.page), kBlockSize);
  const uint8_t mask_rmid = HasMask(view.rmid()) ? view.rmid() : block.mask_rmid;
  if (mask_rmid == 0 || !ApplyWithoutImage(view, id, record.end, rebuilt_)) {
    findings_.Skip(SkipReason::kNeedsImage);
    return {};
  }
  return Compare(record, view, id, mask_rmid);
}

Status LiveCheck::CompareForChecking(const WalRecord& record, const RecordView& view, int id,
                                     RedoWorker* worker) {
  const BlockRef& ref = *view.block(id);
  Entry* entry = rebuilder_.blocks().FindOrAdd(ref.tag);
  BlockState& block = entry->value;
  if (!block.settled) {
    findings_.Skip(SkipReason::kFirstImage);
    return Adopt(record, view, id, entry);
  }
  if (block.request != BlockState::kNone) RETURN_IF_ERROR(rebuilder_.Flush(worker));
  if (!block.page.present()) {
    if (block.failure != 0) ReportFailure(record, view, *entry);
    return Adopt(record, view, id, entry);
  }
  std::memcpy(rebuilt_, rebuilder_.pages().Get(&block.page), kBlockSize);
  const uint64_t before = different_;
  RETURN_IF_ERROR(Compare(record, view, id, view.rmid()));
  return different_ == before ? Status() : Adopt(record, view, id, entry);
}

// The block is what the image says.
Status LiveCheck::Adopt(const WalRecord& record, const RecordView& view, int id, Entry* entry) {
  BlockState& block = entry->value;
  uint8_t* page = block.page.present() ? rebuilder_.pages().Get(&block.page)
                                       : rebuilder_.pages().Allocate(&block.page);
  RETURN_IF_ERROR(RestoreImage(*view.block(id), page));
  SetPageLsn(page, record.end);
  block.settled = true;
  block.failure = 0;
  if (HasMask(view.rmid())) block.mask_rmid = view.rmid();
  return {};
}

// rebuilt_ with the image of the record.
Status LiveCheck::Compare(const WalRecord& record, const RecordView& view, int id,
                          uint8_t mask_rmid) {
  const BlockRef& ref = *view.block(id);
  RETURN_IF_ERROR(RestoreImage(ref, image_));
  compared_++;
  // An image for checking is taken when its record is made, a full-page image perhaps later.
  if (ref.apply_image) {
    MaskUnlogged(mask_rmid, rebuilt_, ref.tag.block);
    MaskUnlogged(mask_rmid, image_, ref.tag.block);
  }
  const auto offset = CompareWithImage(mask_rmid, ref.tag, rebuilt_, image_);
  if (!offset) {
    findings_.Equal(view.rmid());
    return {};
  }
  Report(record, view, ref.tag, true, offset,
         ref.apply_image ? "the page rebuilt so far differs from the record's full-page image"
                         : "the rebuilt page differs from the image in the record");
  return {};
}

void LiveCheck::ReportFailure(const WalRecord& record, const RecordView& view, const Entry& entry) {
  if (!reported_.insert(entry.value.failure).second) return;
  const PageFailure& why = rebuilder_.failure(entry.value.failure);
  if (why.unsupported)
    findings_.SkipUnsupported(why.rmid, why.info);
  else
    Report(record, view, entry.tag, false, std::nullopt, why.what);
}

void LiveCheck::Report(const WalRecord& record, const RecordView& view, const BlockTag& tag,
                       bool rebuilt, std::optional<uint32_t> offset, std::string problem) {
  different_++;
  Mismatch mismatch;
  mismatch.tag = tag;
  mismatch.lsn = record.end;
  mismatch.last_start = record.start;
  mismatch.offset = offset;
  mismatch.problem = std::move(problem);
  mismatch.last_record = DescribeRecord(view, record.start);
  if (on_mismatch_) on_mismatch_(mismatch);
  findings_.Different(view.rmid(), rebuilt, std::move(mismatch));
}

Status LiveCheck::Finish(RedoWorker* worker) {
  RETURN_IF_ERROR(rebuilder_.Flush(worker));
  return rebuilder_.pages().status();
}

void LiveCheck::AddTo(VerifyResult* result) const {
  findings_.AddTo(result);
  result->images_compared += compared_;
  result->engines.Add(rebuilder_.counts());
}

}  // namespace neon_redo
