// One pass over the input, which moves over page headers and parts of records as they become whole.
// A record that lies within a page and is all there is handed out where it is; others are gathered
// in a buffer. Input is dropped once it has been passed, when more comes.
#include "cpp_core/wal/stream_decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/pg/wal_record.h"
#include "neon_redo/record.h"

namespace neon_redo {

namespace {

constexpr uint64_t LeftInPage(Lsn lsn) { return kWalPageSize - (lsn.value & kWalPageMask); }

}  // namespace

WalStreamDecoder::WalStreamDecoder(Lsn start, uint32_t segment_size)
    : segment_size_(segment_size), input_start_(start), next_(start), position_(start) {}

Status WalStreamDecoder::Feed(Lsn start, Bytes wal) {
  if (start != fed())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("WAL from {} does not follow what came up to {}", start.ToString(),
                                 fed().ToString()));
  const uint64_t passed = std::min<uint64_t>(next_ - input_start_, input_.size());
  input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(passed));
  input_start_ = input_start_ + passed;
  input_.insert(input_.end(), wal.begin(), wal.end());
  return {};
}

bool WalStreamDecoder::Fail(Lsn lsn, std::string what) {
  error_ = Error{ErrorCode::kCorrupt,
                 fmt::format("the stream is not WAL at LSN {}: {}", lsn.ToString(), what)};
  return false;
}

Bytes WalStreamDecoder::At(Lsn lsn) const {
  const uint64_t offset = lsn - input_start_;
  if (offset >= input_.size()) return {};
  return Bytes(input_).subspan(offset, std::min(LeftInPage(lsn), input_.size() - offset));
}

Result<std::optional<WalRecord>> WalStreamDecoder::Next() {
  WalRecord record{};
  bool ready = true;
  while (!error_ && ready) {
    if ((next_.value & kWalPageMask) == 0) {
      if (!EnterPage(&ready)) break;
      continue;
    }
    if (!in_record_) {
      if (!BeginRecord(&ready)) break;
      continue;
    }
    if (Gather(&record, &ready)) return record;
  }
  if (error_) return tl::unexpected(*error_);
  return std::nullopt;
}

bool WalStreamDecoder::CheckHeader(const uint8_t* bytes, Lsn lsn) {
  const auto h = LoadNative<WalPageHeader>(bytes);
  const uint16_t magic = version_ == nullptr ? uint16_t{0} : version_->wal_magic;
  if (CheckWalPageHeader(h, {lsn, segment_size_, magic, timeline_}) != WalPageFault::kNone)
    return Fail(lsn, fmt::format("wrong page header ({})", DescribeWalPageHeader(h)));
  if (version_ == nullptr) {
    const pg::Version* version = pg::FindVersionByWalMagic(h.magic);
    if (Status tested = pg::CheckTested(*version, "the WAL of the stream"); !tested)
      return Fail(lsn, tested.error().message);
    version_ = version;
  }
  timeline_ = h.timeline;
  return true;
}

// Passes a page header and, while hunting, the rest of the record continued there.
bool WalStreamDecoder::EnterPage(bool* ready) {
  const bool first = next_.value % segment_size_ == 0;
  const size_t size = first ? kLongPageHeaderSize : kShortPageHeaderSize;
  const Bytes page = At(next_);
  *ready = page.size() >= size;
  if (!*ready) return false;
  if (hunting_ && std::all_of(page.begin(), page.begin() + kShortPageHeaderSize,
                              [](uint8_t b) { return b == 0; })) {
    // After XLOG_SWITCH: zeroes to the end of the segment, page headers included.
    position_ = next_ = Lsn((next_.value / segment_size_ + 1) * segment_size_);
    return true;
  }
  if (!CheckHeader(page.data(), next_)) return false;
  const auto h = LoadNative<WalPageHeader>(page.data());
  const bool continues = (h.info & kPageFirstIsContrecord) != 0;
  // The server crashed while it wrote the record, and continued here after recovery.
  if (h.info & version_->overwrite_contrecord) in_record_ = false;
  const uint64_t left = in_record_ ? length_ - record_.size() : 0;
  if (!hunting_ && (continues ? h.remaining != left || !in_record_ : in_record_))
    return Fail(next_, fmt::format("the page continues {} bytes of a record, but {} are left of "
                                   "the one before it",
                                   continues ? h.remaining : 0, left));
  uint64_t skip = size;
  if (hunting_ && continues) skip = std::min<uint64_t>(size + MaxAlign(h.remaining), kWalPageSize);
  next_ = next_ + skip;
  if (hunting_ && continues) position_ = next_;
  hunting_ = hunting_ && skip == kWalPageSize;
  return true;
}

bool WalStreamDecoder::BeginRecord(bool* ready) {
  const Bytes bytes = At(next_);
  *ready = bytes.size() >= sizeof(uint32_t);
  if (!*ready) return false;
  length_ = LoadNative<uint32_t>(bytes.data());
  if (!RecordLengthIsValid(length_))
    return Fail(next_, fmt::format("invalid record length {}", length_));
  in_record_ = true;
  record_start_ = next_;
  record_.clear();
  return true;
}

// Moves over the part of the record that is in this page. True: it is whole.
bool WalStreamDecoder::Gather(WalRecord* record, bool* ready) {
  const Bytes bytes = At(next_);
  const uint64_t left = length_ - record_.size();
  if (record_.empty() && bytes.size() >= left) {
    next_ = next_ + left;
    return Accept(bytes.first(left), record);
  }
  const uint64_t n = std::min<uint64_t>(left, bytes.size());
  *ready = n > 0;
  record_.insert(record_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
  next_ = next_ + n;
  // Before more is gathered: a length that is wrong can be any length.
  if (record_.size() >= kRecordHeaderSize && n < left && !HeaderIsGood(record_.data()))
    return false;
  return n == left && Accept(record_, record);
}

bool WalStreamDecoder::HeaderIsGood(const uint8_t* bytes) {
  const auto h = LoadNative<RecordHeader>(bytes);
  const RecordHeaderFault fault = CheckRecordHeader(h, record_start_, previous_);
  return fault == RecordHeaderFault::kNone || Fail(record_start_, RecordHeaderFaultText(fault, h));
}

bool WalStreamDecoder::Accept(Bytes bytes, WalRecord* record) {
  in_record_ = false;
  if (!HeaderIsGood(bytes.data())) return false;
  const auto h = LoadNative<RecordHeader>(bytes.data());
  if (!RecordView::VerifyCrc(bytes)) return Fail(record_start_, "wrong CRC in the record");
  next_ = Lsn(MaxAlign(next_.value));
  if (h.rmid == kRmXlog && (h.info & kInfoRmgrMask) == layout::xlog::kSwitch) {
    const uint64_t mask = segment_size_ - 1;
    next_ = Lsn((next_.value + mask) & ~mask);
  }
  previous_ = record_start_;
  position_ = next_;
  *record = {record_start_, next_, bytes};
  return true;
}

}  // namespace neon_redo
