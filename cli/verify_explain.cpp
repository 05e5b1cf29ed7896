#include "cli/verify_explain.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/grouped.h"
#include "cli/index_options.h"
#include "cli/page_inputs.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/indexed_records.h"
#include "cpp_core/index/record_starts.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/verify/explain.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/ingest.h"

namespace neon_redo::cli {

namespace {

// Whether each change of it follows from one record alone: else a few others decide what a record does.
bool IsInIndex(const PageKey& page) {
  if (page.ToBlock()) return true;
  const auto slru = page.ToSlruBlock();
  return slru && (slru->kind == SlruKind::kClog || slru->kind == SlruKind::kMultixactMembers);
}

// Where records start that may concern the page, its relation, database or SLRU.
Result<std::vector<Lsn>> FindStarts(WalIndex* index, const PageKey& page, Lsn from) {
  RecordStarts starts(index, from, Lsn(~uint64_t{0}));
  RETURN_IF_ERROR(starts.AddAll(page));
  if (const auto block = page.ToBlock()) {
    RETURN_IF_ERROR(starts.AddFork(block->rel, block->fork));
    RETURN_IF_ERROR(starts.AddDatabase(block->rel.spc, block->rel.db));
  } else {
    RETURN_IF_ERROR(starts.AddAll(SlruKey(static_cast<SlruKind>(page.field2))));
  }
  return starts.Take();
}

Result<uint64_t> ExplainByIndex(WalIndex* index, const PageKey& page, Lsn from,
                                const ExplainSink& sink) {
  ASSIGN_OR_RETURN(const auto starts, FindStarts(index, page, from));
  IndexedRecords records(*index);
  uint64_t found = 0;
  for (const Lsn start : starts) {
    RETURN_IF_ERROR(records.Read(start));
    ASSIGN_OR_RETURN(const ChangeList* changes, records.Changes());
    found += ExplainRecord(records.record(), records.view(), *changes, page, sink);
  }
  if (index->damage()) return tl::unexpected(*index->damage());
  return found;
}

Result<uint64_t> ExplainAll(const PageInputs& inputs, const WalRange& range,
                            const ExplainArguments& arguments, const PageKey& page,
                            const ExplainSink& sink) {
  if (!inputs.wal.restores() && IsInIndex(page)) {
    ASSIGN_OR_RETURN(const auto index,
                     OpenIndex(inputs.wal, range, arguments.index, arguments.jobs));
    auto found = ExplainByIndex(index.get(), page, range.from.value_or(Lsn()), sink);
    SayNotes(index->TakeNotes());
    return found;
  }
  ASSIGN_OR_RETURN(const auto reader, OpenWal(inputs.wal, range));
  auto found = ExplainPage(reader.get(), inputs.track_commit_timestamp, page, sink);
  SayNotes(reader->notes());
  return found;
}

}  // namespace

Outcome Explain(const ExplainArguments& arguments) {
  ASSIGN_OR_RETURN(const PageKey page, ParsePageName(arguments.page));
  ASSIGN_OR_RETURN(const auto inputs,
                   OpenPageInputs(arguments.backup, {.directories = arguments.wal,
                                                     .restore_command = arguments.restore_command,
                                                     .timeline = arguments.timeline}));
  WalRange range{.timeline = arguments.timeline};
  if (inputs.backup) range.from = inputs.start;
  const auto print = [&](const std::string& record, const std::string& change) {
    if (arguments.json)
      fmt::print("{}\n", JsonText({{"record", record}, {"change", change}}));
    else
      fmt::print("{}\n    {}\n", record, change);
  };
  ASSIGN_OR_RETURN(const uint64_t found, ExplainAll(inputs, range, arguments, page, print));
  if (!arguments.json) fmt::print("{} changes of {}\n", Grouped(found), page.Describe());
  return kExitFine;
}

}  // namespace neon_redo::cli
