// The common record lies within one page: its header, xl_prev and CRC are checked where it is and a
// view of the page is handed out. Others are assembled in a buffer, a page's part at a time, each
// continuation checked against the length that the record promised.
//
// When anything does not fit, the reader stays at the end of the last good record and decides
// (Stop) whether that is damage or the end of WAL. It looks for proof of damage after the fault,
// nearest first. A fault that looks like damage is read once more before it is believed, because a
// running server may have been writing there.
#include "neon_redo/wal_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_record.h"
#include "cpp_core/wal/copies.h"
#include "cpp_core/wal/open.h"
#include "cpp_core/wal/page_source.h"
#include "cpp_core/wal/tail.h"
#include "neon_redo/record.h"

namespace neon_redo {

namespace {

constexpr Lsn PageOf(Lsn lsn) { return Lsn(lsn.value & ~kWalPageMask); }

// Where the next record after the end of one may begin.
constexpr Lsn NextStart(Lsn end, uint32_t segment_size) {
  if (end.value % segment_size == 0) return end + kLongPageHeaderSize;
  return end.value % kWalPageSize == 0 ? end + kShortPageHeaderSize : end;
}

}  // namespace

Result<std::unique_ptr<WalReader>> WalReader::Open(const WalReaderOptions& options) {
  ASSIGN_OR_RETURN(const auto set,
                   WalSet::Open(WalSources{.directories = options.directories,
                                           .restore_command = options.restore_command,
                                           .start = options.from,
                                           .timeline = options.timeline,
                                           .stanza = options.stanza,
                                           .cipher_pass_file = options.cipher_pass_file}));
  return OpenWal(set, {options.from, options.to, options.timeline});
}

Result<std::unique_ptr<WalReader>> OpenWal(const WalSet& set, const WalRange& range) {
  if (range.from && range.to && *range.to < *range.from)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the range ends at LSN {}, before it begins at {}",
                                 range.to->ToString(), range.from->ToString()));
  ASSIGN_OR_RETURN(auto found, set.FindLine(range.timeline, range.from));
  const auto restored = set.Restored(found);
  std::vector<Segment> line = std::move(found.segments);
  if (!restored) RETURN_IF_ERROR(set.RefuseCompressed(line, range.timeline, range.from, range.to));
  std::vector<std::string> notes = set.notes();
  if (range.from && !line.front().copies.empty()) {
    ASSIGN_OR_RETURN(line.front(), ChooseCopy(line, 0, set.identity(), &notes));
  }
  const auto begin =
      range.from ? FindWalBefore(line.front(), set.identity(), *range.from) : std::nullopt;
  std::unique_ptr<WalReader> reader(
      new WalReader(range.from, range.to, std::move(line), set.identity()));
  if (begin) reader->begin_ = reader->position_ = *begin;
  reader->pages_->AddNotes(notes);
  reader->pages_->set_listed(set.listed());
  if (!restored) return reader;
  reader->pages_->set_restored(restored);
  if (!range.to) reader->bytes_total_ = 0;
  return reader;
}

std::unique_ptr<WalReader> OpenWalTail(std::vector<Segment> segments, const WalIdentity& identity,
                                       std::optional<Lsn> from) {
  std::unique_ptr<WalReader> reader(
      new WalReader(from, std::nullopt, std::move(segments), identity));
  reader->judges_ = false;
  return reader;
}

WalReader::~WalReader() = default;

uint32_t WalReader::timeline() const { return pages_->open_timeline(); }

const std::vector<std::string>& WalReader::notes() const { return pages_->notes(); }

WalReader::WalReader(std::optional<Lsn> from, std::optional<Lsn> to, std::vector<Segment> segments,
                     const WalIdentity& identity)
    : pages_(new WalPageSource(std::move(segments), identity)),
      segment_size_(identity.segment_size),
      system_identifier_(identity.system_identifier),
      version_(*identity.version),
      from_(from.value_or(Lsn())),
      to_(to.value_or(Lsn(~uint64_t{0}))),
      begin_(from.value_or(Lsn(pages_->segments().front().number * identity.segment_size))) {
  position_ = begin_;
  uint64_t end = begin_.value;
  for (const Segment& s : pages_->segments()) {
    if (s.head == SegmentHead::kWal) end = s.number * segment_size() + s.file_size;
  }
  end = std::min(end, to_.value);
  bytes_total_ = end > begin_.value ? end - begin_.value : 0;
}

bool WalReader::Fail(WalFaultKind kind, Lsn lsn, Lsn proof_page, std::string what) {
  fault_ = WalFault{kind, lsn, std::move(what)};
  proof_page_ = proof_page;
  return false;
}

bool WalReader::FailFromPages() {
  page_ = nullptr;
  if (pages_->fault().lsn >= to_) {
    reached_to_ = true;
    return false;
  }
  return Fail(pages_->fault().kind, pages_->fault().lsn, PageOf(pages_->fault().lsn),
              pages_->fault().what);
}

// The first place at or before `from` where a record is known to start: the start of its page, or
// the end of the record continued there (XLogFindNextRecord).
bool WalReader::FindStart() {
  Lsn at = PageOf(begin_);
  for (;; at = at + kWalPageSize) {
    page_ = pages_->Page(at);
    if (!page_) return FailFromPages();
    page_lsn_ = at;
    const auto h = LoadNative<WalPageHeader>(page_);
    const uint64_t skip = PageHeaderSize(h.info) + MaxAlign(h.remaining);
    if (!(h.info & kPageFirstIsContrecord)) {
      position_ = at;
      page_ = nullptr;
      break;
    }
    if (skip < kWalPageSize) {
      position_ = at + skip;
      break;
    }
    position_ = at + kWalPageSize;
  }
  started_ = true;
  return true;
}

// Makes the page of position_ current. *start is where its next record starts.
bool WalReader::EnterPage(Lsn* start) {
  const Lsn lsn = PageOf(position_);
  page_ = pages_->Page(lsn);
  if (!page_) return FailFromPages();
  page_lsn_ = lsn;
  if (position_ != lsn) return true;
  const auto h = LoadNative<WalPageHeader>(page_);
  *start = lsn + PageHeaderSize(h.info);
  if (h.info & kPageFirstIsContrecord)
    return Fail(WalFaultKind::kBad, lsn, lsn,
                fmt::format("the page continues a record of which {} bytes are left, but the "
                            "record before it is complete",
                            h.remaining));
  return true;
}

inline bool WalReader::HeaderIsGood(const uint8_t* bytes, Lsn start) {
  const auto h = LoadNative<RecordHeader>(bytes);
  if (CheckRecordHeader(h, start, previous_) == RecordHeaderFault::kNone) [[likely]]
    return true;
  return !HeaderFault(h, start);
}

[[gnu::noinline]] bool WalReader::HeaderFault(const RecordHeader& h, Lsn start) {
  return !Fail(WalFaultKind::kStale, start, PageOf(start),
               RecordHeaderFaultText(CheckRecordHeader(h, start, previous_), h));
}

[[gnu::noinline]] bool WalReader::LengthFault(uint32_t length, Lsn start) {
  return Fail(length == 0 ? WalFaultKind::kZero : WalFaultKind::kStale, start, page_lsn_,
              length == 0 ? std::string("zeroes follow the last record")
                          : fmt::format("invalid record length {}", length));
}

// The last checks on a record whose bytes are all here; then it counts.
[[gnu::always_inline]] inline bool WalReader::Accept(WalRecord* record, Lsn raw_end) {
  if (!RecordView::VerifyCrc(record->bytes)) [[unlikely]]
    return Fail(WalFaultKind::kStale, record->start, page_lsn_, "wrong CRC in the record");
  if (raw_end > to_) [[unlikely]] {
    reached_to_ = true;
    return false;
  }
  const auto h = LoadNative<RecordHeader>(record->bytes.data());
  if (h.rmid == kRmXlog || abandoned_.valid()) [[unlikely]] {
    if (!AcceptUnusual(h, record)) return false;
  }
  previous_ = record->start;
  position_ = record->end;
  return true;
}

inline bool WalReader::ReadRecord(WalRecord* out) {
  for (;;) {
    if (position_ >= to_) [[unlikely]] {
      reached_to_ = true;
      return false;
    }
    Lsn start = position_;
    if (!page_ || position_ - page_lsn_ >= kWalPageSize) {
      if (!EnterPage(&start)) return false;
    }
    record_start_ = out->start = start;
    const uint64_t offset = start - page_lsn_;
    const auto length = LoadNative<uint32_t>(page_ + offset);
    if (length < kRecordHeaderSize) [[unlikely]]
      return LengthFault(length, start);
    if (length <= kWalPageSize - offset) [[likely]] {
      if (!HeaderIsGood(page_ + offset, start)) return false;
      out->bytes = Bytes(page_ + offset, length);
      out->end = start + MaxAlign(length);
      return Accept(out, start + length);
    }
    Lsn raw_end;
    switch (Assemble(length, out, &raw_end)) {
      case Assembled::kWhole:
        return Accept(out, raw_end);
      case Assembled::kFault:
        return false;
      case Assembled::kOverwritten:
        break;
    }
  }
}

bool WalReader::Next(WalRecord* out) {
  while (!ended_) {
    if ((started_ || FindStart()) && ReadRecord(out)) [[likely]] {
      if (out->start < from_) [[unlikely]]
        continue;
      return true;
    }
    if (!Stop()) return false;
  }
  return false;
}

// Keeps what is in the buffer.
bool WalReader::Reserve(size_t bytes) {
  if (bytes <= buffer_size_) return true;
  const size_t size = std::max(bytes, 2 * buffer_size_);
  auto* grown = static_cast<uint8_t*>(std::realloc(buffer_.get(), size));
  if (!grown) return false;
  (void)buffer_.release();
  buffer_.reset(grown);
  buffer_size_ = size;
  return true;
}

WalReader::Assembled WalReader::Assemble(uint32_t length, WalRecord* out, Lsn* raw_end) {
  const Lsn start = out->start;
  const Lsn first_page = page_lsn_;
  size_t got = kWalPageSize - (start - first_page);
  auto fault = [&](WalFaultKind kind, Lsn lsn, std::string what) {
    Fail(kind, lsn, PageOf(lsn), std::move(what));
    page_ = nullptr;
    return Assembled::kFault;
  };
  if (length > version().largest_record)
    return fault(WalFaultKind::kStale, start, fmt::format("invalid record length {}", length));
  bool header_checked = got >= kRecordHeaderSize;
  if (header_checked && !HeaderIsGood(page_ + (start - first_page), start))
    return Assembled::kFault;
  if (!Reserve(2 * kWalPageSize)) return fault(WalFaultKind::kIo, start, "out of memory");
  std::memcpy(buffer_.get(), page_ + (start - first_page), got);

  Lsn lsn = first_page;
  WalPageHeader h{};
  while (got < length) {
    lsn = lsn + kWalPageSize;
    page_ = pages_->Page(lsn);
    if (!page_) {
      FailFromPages();
      return Assembled::kFault;
    }
    h = LoadNative<WalPageHeader>(page_);
    if (h.info & version().overwrite_contrecord) {
      // The server crashed while it wrote the record, and continued here after recovery.
      abandoned_ = start;
      position_ = lsn;
      page_ = nullptr;
      return Assembled::kOverwritten;
    }
    if (!(h.info & kPageFirstIsContrecord) || h.remaining != length - got)
      return fault(WalFaultKind::kBad, lsn,
                   fmt::format("the page continues {} bytes of a record, but the record at {} has "
                               "{} bytes left",
                               h.info & kPageFirstIsContrecord ? h.remaining : 0, start.ToString(),
                               length - got));
    const size_t header_size = PageHeaderSize(h.info);
    const size_t n = std::min<size_t>(h.remaining, kWalPageSize - header_size);
    if (!Reserve(got + n)) return fault(WalFaultKind::kIo, start, "out of memory");
    std::memcpy(buffer_.get() + got, page_ + header_size, n);
    got += n;
    if (!header_checked) {
      header_checked = true;
      if (!HeaderIsGood(buffer_.get(), start)) {
        page_ = nullptr;
        return Assembled::kFault;
      }
    }
  }
  page_lsn_ = lsn;
  *raw_end = lsn + PageHeaderSize(h.info) + h.remaining;
  out->bytes = Bytes(buffer_.get(), length);
  out->end = lsn + PageHeaderSize(h.info) + MaxAlign(h.remaining);
  return Assembled::kWhole;
}

bool WalReader::AcceptUnusual(const RecordHeader& h, WalRecord* record) {
  const uint8_t operation = h.rmid == kRmXlog ? h.info & kInfoRmgrMask : 0;
  if (operation == layout::xlog::kSwitch) {
    const uint64_t mask = segment_size() - 1;
    skipped_from_ = record->end;
    record->end = Lsn((record->end.value + mask) & ~mask);
  }
  if (!abandoned_.valid()) return true;
  RecordView view(version());
  uint64_t overwritten = 0;
  if (operation != layout::xlog::kOverwriteContrecord || view.Parse(record->bytes) ||
      !ByteReader(view.main_data()).Read(&overwritten) || overwritten != abandoned_.value)
    return Fail(WalFaultKind::kBad, record->start, page_lsn_,
                fmt::format("the record at {} is cut off, but no record here says so",
                            abandoned_.ToString()));
  abandoned_ = Lsn();
  return true;
}

// A valid record after the fault that names, as the record before it, the one that could not be
// read or the last one that could.
std::optional<Lsn> WalReader::FindProof() {
  if (auto proof = FindProofIn(PageOf(record_start_))) return proof;
  return FindProofIn(proof_page_);
}

std::optional<Lsn> WalReader::FindProofIn(Lsn page_lsn) {
  const uint8_t* page = pages_->Page(page_lsn);
  if (!page) page = pages_->refused_page();
  if (!page) return std::nullopt;
  uint64_t at = (record_start_ > page_lsn ? record_start_ - page_lsn : 0) + 8;
  for (; at + kRecordHeaderSize <= kWalPageSize; at += 8) {
    const auto h = LoadNative<RecordHeader>(page + at);
    if (h.prev_lsn == 0 || (h.prev_lsn != record_start_.value && h.prev_lsn != previous_.value))
      continue;
    if (RecordLengthIsValid(h.total_length) && h.total_length <= kWalPageSize - at &&
        RecordView::VerifyCrc(Bytes(page + at, h.total_length)))
      return page_lsn + at;
  }
  return std::nullopt;
}

std::string WalReader::Place(Lsn lsn) const {
  return fmt::format("LSN {} (file \"{}\", offset {})", lsn.ToString(), pages_->FileOf(lsn),
                     lsn.value & (segment_size() - 1));
}

// The error that the fault amounts to; nothing when it may be the end of WAL.
std::optional<Error> WalReader::JudgeFault() {
  auto damage = [&](std::string more) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("WAL is damaged at {}: {}{}", Place(fault_.lsn), fault_.what, more)};
  };
  if (fault_.kind == WalFaultKind::kIo)
    return Error{ErrorCode::kIo, fmt::format("{}: {}", Place(fault_.lsn), fault_.what)};
  if (fault_.kind == WalFaultKind::kBad) return damage("");
  if (pages_->HasLaterSegment(fault_.lsn)) {
    if (fault_.kind == WalFaultKind::kMissing)
      return Error{ErrorCode::kCorrupt,
                   fmt::format("WAL segment \"{}\" (LSN {}) is missing, but later segments are "
                               "there",
                               pages_->FileOf(fault_.lsn), fault_.lsn.ToString())};
    const std::string truncation = pages_->Truncation(fault_.lsn);
    if (!truncation.empty())
      return damage(fmt::format("; {}, and later segments are there", truncation));
  }
  if (auto proof = FindProof())
    return damage(fmt::format("; a valid record follows it at {}", proof->ToString()));
  const auto later = pages_->FindLaterWal(proof_page_);
  if (!later)
    return Error{later.error().code,
                 fmt::format("{}: {}, and whether WAL follows is not known: {}", Place(fault_.lsn),
                             fault_.what, later.error().message)};
  if (*later) return damage(fmt::format("; valid WAL follows at {}", (*later)->ToString()));
  if (const Segment* s = pages_->FindForeign(fault_.lsn))
    return Error{
        ErrorCode::kCorrupt,
        fmt::format("file \"{}\" (LSN {} by its name) cannot be read as a segment of this WAL: {}",
                    s->ShownAs(), Lsn(s->number * segment_size()).ToString(), s->problem)};
  for (const Lsn lsn : {fault_.lsn, proof_page_}) {
    if (const Error* doubt = pages_->DoubtAt(lsn))
      return Error{doubt->code,
                   fmt::format("WAL ends at {}, but another file of the segment may have more, and "
                               "is not read: {}",
                               Place(fault_.lsn), doubt->message)};
  }
  if (!started_)
    return Error{ErrorCode::kNotFound, fmt::format("no WAL at LSN {}: {} at {}", begin_.ToString(),
                                                   fault_.what, Place(fault_.lsn))};
  // Recovery does not take such a file (RestoreArchivedFile in access/transam/xlogarchive.c). A
  // record that starts in the segment before may end in it.
  for (const Lsn lsn : {fault_.lsn, proof_page_}) {
    const std::string truncation = pages_->Truncation(lsn);
    if (!truncation.empty() && !pages_->IsPartial(lsn))
      return damage(fmt::format("; {}", truncation));
  }
  if (from_ > NextStart(position_, segment_size()))
    return Error{ErrorCode::kNotFound,
                 fmt::format("LSN {} is after the end of WAL at {}: {} at {}", from_.ToString(),
                             position_.ToString(), fault_.what, Place(fault_.lsn))};
  // The start is within the last record. A switch has none of the zeroes that follow it.
  const Lsn last_end = skipped_from_ > previous_ ? skipped_from_ : position_;
  if (from_ > previous_ && from_ < last_end)
    return Error{
        ErrorCode::kNotFound,
        fmt::format("no record starts at or after LSN {}: WAL ends at {}: {} at {}",
                    from_.ToString(), position_.ToString(), fault_.what, Place(fault_.lsn))};
  return std::nullopt;
}

// Called with a fault or at to_. True: continue, either by reading again or because WAL has ended.
bool WalReader::Stop() {
  if (reached_to_) {
    ended_ = true;
    end_reason_ = fmt::format("LSN {} was reached", to_.ToString());
    return true;
  }
  std::optional<Error> error = judges_ ? JudgeFault() : std::nullopt;
  page_ = nullptr;
  if (error && retried_at_ != position_) {
    retried_at_ = position_;
    pages_->Forget();
    return true;
  }
  if (error) {
    end_reason_ = error->message;
    error_ = std::move(error);
    ended_ = true;
    return false;
  }
  ended_ = true;
  end_reason_ = fmt::format("{} at {}", fault_.what, Place(fault_.lsn));
  if (std::string truncation = pages_->Truncation(fault_.lsn); !truncation.empty())
    end_reason_ += "; " + truncation;
  return true;
}

// Out of line: what has text on its stack pays for the stack protector.
[[gnu::noinline]] static Status InvalidRecord(const WalRecord& record, RecordFault fault) {
  return MakeError(ErrorCode::kCorrupt, fmt::format("invalid record at LSN {}, byte {} of {}: {}",
                                                    record.start.ToString(), fault.offset,
                                                    record.bytes.size(), fault.what));
}

Status ParseRecord(const WalRecord& record, RecordView* view) {
  if (RecordFault fault = view->Parse(record.bytes)) [[unlikely]]
    return InvalidRecord(record, fault);
  return {};
}

}  // namespace neon_redo
