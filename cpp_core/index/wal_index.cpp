// Answers of an index. Files are asked from the newest to the oldest, up to the one that has an entry which
// makes the page whole.
#include "cpp_core/index/wal_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

// Entries of a file that were passed on: up to one of them, in order of key and position.
struct Taken {
  Lsn begin, end;
  std::pair<PageKey, Lsn> last{};

  bool Has(const PageKey& key, Lsn start) const {
    return begin <= start && start < end && std::pair(key, start) <= last;
  }
};

}  // namespace

// A file that turns out to be damaged is removed, and the question asked once more when there is another. Who asks has
// looked at where the index ends: it must not end earlier by then.
Status WalIndex::WithRepair(const std::function<Status()>& ask) {
  constexpr int kMostTimes = 8;
  for (int times = 0;; times++) {
    Status status = ask();
    if (status || status.error().code != ErrorCode::kCorrupt || times == kMostTimes) return status;
    const Lsn had = std::min(end(), wal_.SegmentStart((*segments_)[wanted_.end - 1].number + 1));
    if (!RemoveDamaged()) return status;
    RETURN_IF_ERROR(CoverAll());
    if (end() >= had) continue;
    if (damage_) return tl::unexpected(*damage_);
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("WAL from {} on has gone while it was used", end().ToString()));
  }
}

Status WalIndex::ReadBack(const IndexView& view, const PageKey& key, Lsn to,
                          const IndexFile::Take& take) {
  return view.file->ReadBack(key, std::min(to, view.end), [&](std::span<const IndexEntry> part) {
    const auto mine = EntriesBetween(part, view.begin, view.end);
    const bool goes_on = mine.size() == part.size();
    return (mine.empty() || take(mine)) && goes_on;
  });
}

Result<std::vector<IndexEntry>> WalIndex::Get(const PageKey& key, Lsn to) {
  std::vector<IndexEntry> out;  // the newest first
  RETURN_IF_ERROR(WithRepair([&]() -> Status {
    out.clear();
    bool is_whole = false;
    for (size_t i = views().size(); i-- > 0 && !is_whole;) {
      RETURN_IF_ERROR(ReadBack(views()[i], key, to, [&](std::span<const IndexEntry> part) {
        for (auto entry = part.rbegin(); entry != part.rend() && !is_whole; ++entry) {
          out.push_back(*entry);
          is_whole = entry->makes_whole;
        }
        return !is_whole;
      }));
    }
    return {};
  }));
  std::reverse(out.begin(), out.end());
  return out;
}

Result<std::vector<IndexEntry>> WalIndex::GetAll(const PageKey& key, Lsn from, Lsn to) {
  std::vector<IndexEntry> out;
  RETURN_IF_ERROR(WithRepair([&]() -> Status {
    out.clear();
    for (size_t i = views().size(); i-- > 0 && views()[i].end > from;) {
      RETURN_IF_ERROR(ReadBack(views()[i], key, to, [&](std::span<const IndexEntry> part) {
        out.insert(out.end(), part.rbegin(), part.rend());
        return out.back().start >= from;
      }));
    }
    return {};
  }));
  while (!out.empty() && out.back().start < from) out.pop_back();
  std::reverse(out.begin(), out.end());
  return out;
}

Status WalIndex::ForEach(const PageKey& first, const PageKey& last, Lsn from, Lsn to,
                         const std::function<void(const IndexEntry&)>& take) {
  std::vector<Taken> taken;  // before a file turned out to be damaged
  const auto read = [&](const IndexView& view, Taken* now) -> Status {
    IndexFile::Cursor cursor(view.file.get(), first, now->begin);
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_there, cursor.Next());
      if (!is_there || cursor.key() > last) return {};
      if (first == last && cursor.part().front().start >= now->end) return {};
      for (const IndexEntry& entry : EntriesBetween(cursor.part(), now->begin, now->end)) {
        const auto has_it = [&](const Taken& t) { return t.Has(cursor.key(), entry.start); };
        if (std::none_of(taken.begin(), taken.end(), has_it)) take(entry);
        now->last = {cursor.key(), entry.start};
      }
    }
  };
  return WithRepair([&]() -> Status {
    std::vector<Taken> all;
    for (const IndexView& view : views()) {
      if (view.end <= from || view.begin >= to) continue;
      all.push_back({std::max(from, view.begin), std::min(to, view.end)});
      Status status = read(view, &all.back());
      if (status) {
        all.back().last = {last, all.back().end};
        continue;
      }
      taken.insert(taken.end(), all.begin(), all.end());
      return status;
    }
    return {};
  });
}

// The last entry of each stretch says what all of the stretch makes of a size.
Result<SizeBounds> WalIndex::GetSize(const PageKey& key, Lsn from, Lsn to) {
  SizeBounds out;
  const auto read = [&](const IndexView& view) -> Status {
    Lsn before = to;
    for (bool goes_on = true; goes_on && before > view.begin;) {
      goes_on = false;
      RETURN_IF_ERROR(ReadBack(view, key, before, [&](std::span<const IndexEntry> part) {
        if (part.back().start < from) return false;
        out = part.back().size.Then(out);
        before = view.file->header().StretchOf(part.back().start).begin;
        goes_on = !out.is_known() && before > from;
        return false;
      }));
    }
    return {};
  };
  RETURN_IF_ERROR(WithRepair([&]() -> Status {
    out = {};
    for (size_t i = views().size(); i-- > 0 && views()[i].end > from && !out.is_known();)
      RETURN_IF_ERROR(read(views()[i]));
    return {};
  }));
  return out;
}

}  // namespace neon_redo
