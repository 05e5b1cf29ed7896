// A deletion and an update name the line pointer. What pruning and vacuum do to it is seen in the page before
// and after: their records leave it out where they have an image of the page.
#include "cpp_core/index/heap_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cpp_core/base/try.h"
#include "cpp_core/index/transactions.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/redo/apply.h"
#include "cpp_core/store/keys.h"
#include "neon_redo/describe.h"

namespace neon_redo {

namespace {

uint8_t OperationOf(const RecordView& record) { return record.info() & ~layout::heap::kInitPage; }

const char* LineWord(uint32_t flags) {
  switch (flags) {
    case kLpNormal:
      return "used";
    case kLpRedirect:
      return "redirected";
    case kLpDead:
      return "dead";
    default:
      return "unused";
  }
}

bool MayPrune(const RecordView& record) {
  namespace heap2 = layout::heap2;
  if (record.rmid() != kRmHeap2) return false;
  switch (OperationOf(record)) {
    case heap2::kPrune:  // in 17, kPruneOnAccess
    case heap2::kVacuum:
      return true;
    case heap2::kPruneVacuumCleanup:
      return record.version().major >= 17;  // before, kFreezePage
    default:
      return false;
  }
}

// What a record does to the line pointer.
struct Removal {
  Lsn start;
  uint32_t xid;
  std::string what;
};

class Lines {
 public:
  Lines(WalIndex* index, PageReader* reader, const HeapLine& line, const FindOptions& options)
      : index_(*index),
        reader_(*reader),
        line_(line),
        options_(options),
        records_(*index),
        worker_(WorkerOptionsOf(*index)) {}

  Result<Removals> Find(const EventSink& sink) {
    HistoryOptions of_page{
        .key = PageKey::OfBlock(line_.tag), .from = options_.from, .to = options_.to};
    ASSIGN_OR_RETURN(const auto starts, FindRecordsOf(&index_, of_page));
    Removals out;
    bool is_first = true;
    for (const Lsn start : starts) {
      if (std::exchange(is_first, false)) RETURN_IF_ERROR(LoadPage(start));
      RETURN_IF_ERROR(Look(start, &out));
    }
    Transactions transactions;
    for (const Removal& removal : found_) transactions.Want(removal.xid, removal.start);
    RETURN_IF_ERROR(transactions.Find(&index_));
    std::erase_if(found_, [&](const Removal& r) { return !IsInTime(r, transactions); });
    if (options_.limit && found_.size() > *options_.limit)
      found_.erase(found_.begin(), found_.end() - static_cast<ptrdiff_t>(*options_.limit));
    for (const Removal& removal : found_) RETURN_IF_ERROR(Show(removal, transactions, sink));
    out.found = found_.size();
    return out;
  }

 private:
  // Heap records need none.
  static WorkerOptions WorkerOptionsOf(const WalIndex& index) {
    WorkerOptions out;
    out.version = index.identity().version;
    return out;
  }

  bool IsInTime(const Removal& removal, const Transactions& transactions) const {
    if (!options_.after && !options_.before) return true;
    const auto* end = transactions.After(removal.start, removal.xid);
    return end != nullptr && end->is_committed &&
           (!options_.after || end->time >= *options_.after) &&
           (!options_.before || end->time < *options_.before);
  }

  // Before the first record.
  Status LoadPage(Lsn lsn) {
    const auto page = reader_.Read(PageKey::OfBlock(line_.tag), lsn);
    if (!page && page.error().code != ErrorCode::kNotFound) return tl::unexpected(page.error());
    has_page_ = page.has_value();
    if (has_page_) std::copy_n(page->page.begin(), kBlockSize, page_);
    return {};
  }

  // Of the line pointer; nothing: the page is not known. One that is not there is unused.
  std::optional<uint32_t> State() const {
    if (!has_page_) return std::nullopt;
    const PageView view(page_);
    LinePointer lp{};
    if (view.is_new() || line_.line > view.line_pointer_count() ||
        !view.line_pointer(line_.line, &lp))
      return kLpUnused;
    return lp.flags();
  }

  Status Look(Lsn start, Removals* out) {
    RETURN_IF_ERROR(records_.Read(start));
    const RecordView& view = records_.view();
    const auto before = State();
    RETURN_IF_ERROR(Apply());
    const auto after = State();
    const auto line = RemovedLine(view);
    const char* name = OperationName(view.version(), view.rmid(), view.header().info);
    const std::string operation = name == nullptr ? "the record" : name;
    if (line && line->tag == line_.tag && line->line == line_.line)
      Add(operation);
    else if (const auto change = ChangeOf(before, after))
      Add(operation + ": " + *change);
    else if (!before && !after && MayPrune(view))
      out->unknown++;
    else
      LookForEnd(operation);
    return {};
  }

  // Of the page as a whole. What is there afterwards is another page.
  void LookForEnd(const std::string& operation) {
    const End end = EndOfPage();
    if (end == End::kNone) return;
    if (end == End::kRemoved && State() != kLpUnused) Add(operation + ": the page is removed");
    std::fill_n(page_, kBlockSize, uint8_t{0});
    has_page_ = end == End::kRemoved;
  }

  void Add(std::string what) {
    const uint32_t xid = TransactionOf(records_.view());
    if (!options_.xid || *options_.xid == xid || *options_.xid == records_.view().header().xid)
      found_.push_back({records_.record().start, xid, std::move(what)});
  }

  // Used or redirected, and then less than that.
  static std::optional<std::string> ChangeOf(std::optional<uint32_t> before,
                                             std::optional<uint32_t> after) {
    if (!after || *after == kLpNormal || before == after || before == kLpUnused)
      return std::nullopt;
    if (!before && *after == kLpUnused) return std::nullopt;  // perhaps it never was
    if (!before) return fmt::format("{} now, by this record or before", LineWord(*after));
    return fmt::format("{} before, {} now", LineWord(*before), LineWord(*after));
  }

  enum class End : uint8_t { kNone, kRemoved, kReplaced };  // kReplaced: by one that is not known

  // Truncations, drops of the relation or its database; a database that is made where one was.
  End EndOfPage() {
    const auto changes = records_.Changes();
    if (!changes) return End::kNone;
    const RelFileNode& rel = line_.tag.rel;
    for (const Change& change : **changes) {
      const RelFileNode of = RelationOf(change);
      const bool is_database = of.spc == rel.spc && of.db == rel.db;
      switch (change.kind) {
        case ChangeKind::kTruncateFork:
          if (of == rel && change.key.field5 == line_.tag.fork && change.number <= line_.tag.block)
            return End::kRemoved;
          break;
        case ChangeKind::kDropRelation:
          if (of == rel) return End::kRemoved;
          break;
        case ChangeKind::kDropDatabase:
          if (is_database) return End::kRemoved;
          break;
        case ChangeKind::kCreateDatabase:
        case ChangeKind::kCopyDatabase:
          if (is_database) return End::kReplaced;
          break;
        default:
          break;
      }
    }
    return End::kNone;
  }

  Status Apply() {
    const RecordView& view = records_.view();
    for (int id = 0; id <= view.max_block_id(); id++) {
      const BlockRef* block = view.block(id);
      if (block == nullptr || block->tag != line_.tag) continue;
      if (!has_page_ && !block->initialises()) continue;
      if (!has_page_) std::fill_n(page_, kBlockSize, uint8_t{0});
      bool by_worker = false;
      RETURN_IF_ERROR(ApplyNow(Engine::kAuto, view, id, records_.record().end, page_, has_page_,
                               &worker_, &by_worker));
      has_page_ = true;
    }
    return {};
  }

  Status Show(const Removal& removal, const Transactions& transactions, const EventSink& sink) {
    RETURN_IF_ERROR(records_.Read(removal.start));
    Event event{.kind = EventKind::kLinePointer,
                .start = removal.start,
                .end = records_.record().end,
                .timeline = TimelineAt(index_, removal.start),
                .xid = removal.xid,
                .what = removal.what,
                .stop = {.lsn = removal.start, .inclusive = false}};
    // Until the transaction commits everybody sees the tuple.
    const auto* end = transactions.After(removal.start, removal.xid);
    if (end != nullptr && end->is_committed) {
      event.time = end->time;
      event.stop.lsn = end->start;
      event.cause = end->start;
    } else if (removal.xid != 0) {
      event.what += end == nullptr ? ", not committed in the WAL" : ", rolled back";
    }
    return sink(event);
  }

  WalIndex& index_;
  PageReader& reader_;
  const HeapLine line_;
  const FindOptions& options_;
  IndexedRecords records_;
  RedoWorker worker_;
  std::vector<Removal> found_;
  bool has_page_ = false;
  alignas(8) uint8_t page_[kBlockSize];
};

}  // namespace

std::optional<HeapLine> RemovedLine(const RecordView& record) {
  namespace heap = layout::heap;
  if (record.rmid() != kRmHeap || record.block(0) == nullptr) return std::nullopt;
  const uint8_t operation = OperationOf(record);
  const bool deletes = operation == heap::kDelete;
  if (!deletes && operation != heap::kUpdate && operation != heap::kHotUpdate) return std::nullopt;
  const size_t at = deletes ? heap::kDeleteLine : heap::kUpdateOldLine;
  if (record.main_data().size() < at + 2) return std::nullopt;
  // Of an update to another page, block 1 is that of the old tuple.
  const BlockRef* block =
      !deletes && record.block(1) != nullptr ? record.block(1) : record.block(0);
  return HeapLine{block->tag, pg::Get16(record.main_data().data() + at)};
}

Result<Removals> FindRemovals(WalIndex* index, PageReader* reader, const HeapLine& line,
                              const FindOptions& options, const EventSink& sink) {
  return Lines(index, reader, line, options).Find(sink);
}

}  // namespace neon_redo
