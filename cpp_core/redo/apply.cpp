#include "cpp_core/redo/apply.h"

#include <fmt/format.h>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

bool IsSupported(const BlockTag& tag, const RedoRecord& record, RecordView* view) {
  return !view->Parse(record.record) && NativeSupports(*view, tag);
}

}  // namespace

AppliedRun ApplyRun(Engine engine, const BlockTag& tag, std::span<const RedoRecord> records,
                    uint8_t* page, bool have_page, RecordView* view) {
  if (engine == Engine::kWorker) return {0, records.size(), ApplyOutcome::kForWorker};
  const auto [applied, result] = ApplyNativeRun(tag, records, page, have_page, view, nullptr);
  if (result == NativeResult::kApplied) return {applied, 0, ApplyOutcome::kApplied};
  const bool malformed = result == NativeResult::kMalformed;
  if (engine == Engine::kNative)
    return {applied, 0, malformed ? ApplyOutcome::kMalformed : ApplyOutcome::kUnsupported};
  if (malformed) return {applied, 0, ApplyOutcome::kSpoilt};
  size_t for_worker = records.size() - applied;
  while (for_worker > 1 && IsSupported(tag, records[applied + for_worker - 1], view)) --for_worker;
  return {applied, for_worker, ApplyOutcome::kForWorker};
}

Status ApplyNow(Engine engine, const RecordView& view, int id, Lsn end, uint8_t* page,
                bool have_page, RedoWorker* worker, bool* by_worker) {
  alignas(8) uint8_t copy[kBlockSize];
  ChangeCounts counts;
  const auto [outcome, base] = ApplyRecord(engine, view, id, end, page, have_page, copy, &counts);
  *by_worker = outcome == ApplyOutcome::kForWorker;
  switch (outcome) {
    case ApplyOutcome::kApplied:
      return {};
    case ApplyOutcome::kUnsupported:
      return MakeError(ErrorCode::kUnsupported,
                       fmt::format("the native engine does not support the record that ends at {}",
                                   end.ToString()));
    case ApplyOutcome::kMalformed:
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("the record that ends at {} does not fit the page", end.ToString()));
    default: {
      const RedoRecord record{end, view.bytes()};
      if (base == page) std::memcpy(copy, page, kBlockSize);
      return worker->Redo({view.block(id)->tag, base == nullptr ? nullptr : copy, {&record, 1}},
                          page);
    }
  }
}

}  // namespace neon_redo
