// The changes of a page since it was last made whole are applied in order: images and the page
// server's records here, PostgreSQL's records by the native engine or, where that has no code, by a
// worker. A page that was cut off by a truncation or a drop begins again after it. A page in a
// database made by file copy was, before that, its template's page.
#include "cpp_core/store/page_reader.h"

#include <fmt/format.h>

#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/redo/apply.h"
#include "cpp_core/store/keys.h"
#include "cpp_core/store/slru_page.h"
#include "neon_redo/native.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

struct alignas(8) PageBuffer {
  uint8_t bytes[kBlockSize];
};

bool IsSlru(const PageKey& key) { return key.field1 == PageKey::kSlru; }

// After this event nothing of what was before is left of the page.
bool CutsOff(const Change& event, const PageKey& key) {
  using enum ChangeKind;
  switch (event.kind) {
    case kTruncateFork:
      return event.number <= key.field6;
    case kTruncateSlru:
    case kDropSlruSegments:
      return RemovesSlruSegment(event, static_cast<SlruKind>(key.field2), key.field4);
    default:
      return true;
  }
}

}  // namespace

Status PageReader::FindCut(const PageKey& events, const PageKey& key, Lsn lsn,
                           std::optional<Cut>* last) {
  ASSIGN_OR_RETURN(auto stored, source_.Get(events, lsn));
  for (StoredChange& s : stored) {
    ASSIGN_OR_RETURN(const auto event, DecodeStored(events, s));
    const bool is_later =
        !*last || std::pair((*last)->lsn, (*last)->index) < std::pair(s.lsn, s.index);
    if (is_later && CutsOff(event.change, key)) {
      last->emplace(Cut{s.lsn, s.index, event.change});
      (*last)->change.payload = {};
    }
  }
  return {};
}

Result<std::optional<PageReader::Cut>> PageReader::LastCut(const PageKey& key, Lsn lsn) {
  std::optional<Cut> cut;
  Status found;
  if (IsSlru(key)) {
    found = FindCut(SlruKey(static_cast<SlruKind>(key.field2)), key, lsn, &cut);
  } else {
    found = FindCut(DatabaseKey(key.field2, key.field3), key, lsn, &cut);
    if (found)
      found = FindCut(CutKey({key.field2, key.field3, key.field4}, key.field5), key, lsn, &cut);
  }
  if (!found) return tl::unexpected(found.error());
  return cut;
}

Result<PageAt> PageReader::Read(const PageKey& key, Lsn lsn) {
  ASSIGN_OR_RETURN(auto page, ReadIfThere(key, lsn));
  if (!page) return MakeError(ErrorCode::kNotFound, absence_);
  return std::move(*page);
}

Result<std::optional<PageAt>> PageReader::ReadIfThere(const PageKey& key, Lsn lsn) {
  if (!key.ToBlock() && !key.ToSlruBlock())
    return MakeError(ErrorCode::kInvalidArgument, key.Describe() + " is not that of a page");
  ASSIGN_OR_RETURN(const auto cut, LastCut(key, lsn));
  auto changes = source_.Get(key, lsn);
  if (!changes) return tl::unexpected(changes.error());
  if (cut) {
    std::erase_if(*changes, [&](const StoredChange& c) {
      return std::pair(c.lsn, c.index) < std::pair(cut->lsn, cut->index);
    });
  }
  PageAt out;
  out.page.assign(kBlockSize, 0);
  if (!changes->empty() && changes->front().initialises) {
    out.base = fmt::format("made whole at {}", changes->front().lsn.ToString());
    out.base_lsn = changes->front().lsn;
  } else {
    ASSIGN_OR_RETURN(const bool found, FindBase(key, cut, !changes->empty(), &out));
    if (!found) return std::optional<PageAt>();
  }
  for (const StoredChange& change : *changes) {
    RETURN_IF_ERROR(Apply(key, change, &out));
    out.changes++;
    out.last_change = change.lsn;
  }
  out.page.resize(kBlockSize);  // without the timestamp after it
  if (!IsSlru(key) && PageView(out.page.data()).lsn() > lsn)
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("the base backup has {} of LSN {}, later than {}: an earlier "
                    "backup is needed",
                    key.Describe(), PageView(out.page.data()).lsn().ToString(), lsn.ToString()));
  return out;
}

// The page before its first change: of the template, of the backup, or zeroes where the server
// extends a file without a record.
Result<bool> PageReader::FindBase(const PageKey& key, const std::optional<Cut>& cut,
                                  bool has_changes, PageAt* out) {
  if (cut && cut->change.kind == ChangeKind::kCopyDatabase) {
    PageKey source = key;
    source.field2 = cut->change.number;
    source.field3 = cut->change.number2;
    ASSIGN_OR_RETURN(auto page, copies_.Follow([&] { return ReadIfThere(source, cut->lsn); }));
    if (!page) return Absent(has_changes, absence_);
    *out = std::move(*page);
    out->base = fmt::format("copy of {} ({})", source.Describe(), out->base);
    return true;
  }
  if (!cut && base_) {
    ASSIGN_OR_RETURN(const auto found, base_(key, out->page.data()));
    if (found) {
      out->base = "base backup";
      return true;
    }
  }
  const bool is_map = !IsSlru(key) && key.field5 == kVisibilityMapFork;
  if (is_map && has_changes && (cut || base_)) {
    std::memset(out->page.data(), 0, kBlockSize);
    out->base = "new page";
    return true;
  }
  if (cut)
    return Absent(has_changes, fmt::format("{} is not there: {} at {}", key.Describe(),
                                           ChangeKindName(cut->change.kind), cut->lsn.ToString()));
  if (base_)
    return Absent(has_changes, fmt::format("{} is neither in the base backup nor made by the WAL",
                                           key.Describe()));
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format("the WAL does not make {} whole: a base backup taken before is needed",
                  key.Describe()));
}

// A page that records have changed was there.
Result<bool> PageReader::Absent(bool has_changes, std::string why) {
  if (has_changes) return MakeError(ErrorCode::kNotFound, std::move(why));
  absence_ = std::move(why);
  return false;
}

Status PageReader::Apply(const PageKey& key, const StoredChange& stored, PageAt* out) {
  ASSIGN_OR_RETURN(auto decoded, DecodeStored(key, stored));
  Change& change = decoded.change;
  if (IsSlru(key)) return ApplySlruChange(change, stored.lsn, &out->page);
  switch (change.kind) {
    case ChangeKind::kImage: {
      if (const auto tag = key.ToBlock()) decoded.image.tag = *tag;
      RETURN_IF_ERROR(RestoreImage(decoded.image, out->page.data()));
      if (!PageView(out->page.data()).is_new()) SetPageLsn(out->page.data(), stored.lsn);
      return {};
    }
    case ChangeKind::kRecord:
      return ApplyRecord(key, stored.lsn, change, out);
    default: {
      ASSIGN_OR_RETURN(const auto native, ToPageServerRecord(change));
      return ApplyPageServerRecord(native, stored.lsn, key, &out->page);
    }
  }
}

Status PageReader::ApplyRecord(const PageKey& key, Lsn lsn, const Change& change, PageAt* out) {
  if (RecordFault fault = view_.Parse(change.payload))
    return MakeError(
        ErrorCode::kCorrupt,
        fmt::format("the record that ends at {} cannot be read: {}", lsn.ToString(), fault.what));
  if (view_.block(change.block_id) == nullptr)
    return MakeError(ErrorCode::kCorrupt, fmt::format("the record that ends at {} does not name {}",
                                                      lsn.ToString(), key.Describe()));
  bool by_worker = false;
  RETURN_IF_ERROR(ApplyNow(Engine::kAuto, view_, change.block_id, lsn, out->page.data(),
                           !change.whole, &worker_, &by_worker));
  out->by_worker += by_worker;
  return {};
}

}  // namespace neon_redo
