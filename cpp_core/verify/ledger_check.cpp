#include "cpp_core/verify/ledger_check.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/content_hash.h"
#include "cpp_core/base/file_identity.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/hash_key.h"
#include "cpp_core/base/parallel.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/record.h"

namespace neon_redo {

namespace {

void AddText(std::string_view text, ContentHash* hash) {
  const uint64_t size = text.size();
  hash->Add(Bytes(reinterpret_cast<const uint8_t*>(&size), sizeof(size)));
  hash->Add(Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Result<LedgerFile> LookAt(const std::string& path, int64_t now) {
  ASSIGN_OR_RETURN(const auto identity, LookAtFile(path));
  LedgerFile file{path, identity.value_or(FileIdentity()), false};
  file.is_young = !identity || identity->changed > now - kYoung;
  return file;
}

Result<uint64_t> OriginHash(const BaseBackup& base) {
  ASSIGN_OR_RETURN(const auto label, base.ReadIfThere(kBackupLabelFile, BaseBackup::kMaxLabel));
  ASSIGN_OR_RETURN(const auto control, base.ReadWhole(pg::kControlFile, 4 * pg::kControlFileSize));
  ContentHash hash;
  AddText(label.value_or(""), &hash);
  AddText(control, &hash);
  return hash.Finish();
}

uint64_t LayoutHash(const BaseFiles& files) {
  ContentHash hash;
  for (const std::string& directory : files.directories) AddText(directory, &hash);
  for (const auto& [oid, tablespace] : files.tablespaces)
    AddText(fmt::format("{} {} {}", oid, static_cast<int>(tablespace.state), tablespace.target),
            &hash);
  for (const auto& [name, file] : files.files)
    if (!file.strange.empty()) AddText(fmt::format("{} {}", name, file.strange), &hash);
  return hash.Finish();
}

// Which number each name has among the contents.
std::vector<uint32_t> Numbers(const Ledger& ledger, const std::vector<std::string>& names) {
  std::vector<uint32_t> numbers;
  for (const std::string& name : names) {
    const auto found =
        std::lower_bound(ledger.contents.begin(), ledger.contents.end(), name,
                         [](const LedgerContent& c, const std::string& n) { return c.name < n; });
    numbers.push_back(static_cast<uint32_t>(found - ledger.contents.begin()));
  }
  return numbers;
}

// A file that was changed within the last second may be changed once more without another time.
Status LookAtStored(const StoredFiles& stored, Ledger* ledger) {
  ledger->stored.clear();
  const int64_t now = NanosecondsNow();
  for (const auto& [path, names] : stored) {
    ASSIGN_OR_RETURN(auto file, LookAt(path, now));
    ledger->stored.push_back({std::move(file), Numbers(*ledger, names)});
  }
  return {};
}

Status TakeStored(const BaseBackup& base, const BaseFiles& files, Ledger* ledger) {
  ASSIGN_OR_RETURN(const StoredFiles stored, base.Stored(files));
  RETURN_IF_ERROR(LookAtStored(stored, ledger));
  int64_t newest = 0;
  for (const LedgerStored& s : ledger->stored)
    newest = std::max(newest, s.file.is_young ? s.file.identity.changed : 0);
  if (newest == 0) return {};
  AwaitAge(newest);
  return LookAtStored(stored, ledger);
}

Status TakeSegments(const ClusterInputs& in, Ledger* ledger) {
  ASSIGN_OR_RETURN(const auto line, in.set->FindLine(in.wal_timeline, in.label.start));
  const int64_t now = NanosecondsNow();
  for (const Segment& segment : line.segments) {
    LedgerSegment& out = ledger->segments.emplace_back();
    out.timeline = segment.timeline;
    out.number = segment.number;
    ASSIGN_OR_RETURN(auto file, LookAt(segment.path, now));
    out.files.push_back(std::move(file));
    for (const Segment& copy : segment.copies) {
      ASSIGN_OR_RETURN(file, LookAt(copy.path, now));
      out.files.push_back(std::move(file));
    }
  }
  return {};
}

class LedgerFitter {
 public:
  LedgerFitter(const VerifyOptions& options, const ClusterInputs& in, const Ledger& before,
               Ledger* now)
      : options_(options), in_(in), before_(before), now_(*now) {}

  Result<LedgerFit> Fit() {
    if (before_.system_identifier != now_.system_identifier)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("ledger \"{}\" is of a cluster with system identifier {}, but the backup in "
                      "{} is of {}: each cluster needs a ledger of its own",
                      options_.ledger, before_.system_identifier, in_.base.path(),
                      now_.system_identifier));
    ASSIGN_OR_RETURN(fit_.why_not, FindReason());
    return fit_;
  }

 private:
  // The cheap ones first. Empty: there is none.
  Result<std::string> FindReason() {
    if (std::string why = CheckOrigin(); !why.empty()) return why;
    ASSIGN_OR_RETURN(std::string why, CheckLine());
    if (!why.empty()) return why;
    fit_.is_same_line = true;
    RETURN_IF_ERROR(FindMissingSegments());
    if (why = CheckList(); !why.empty()) return why;
    ASSIGN_OR_RETURN(why, CheckStored());
    if (!why.empty()) return why;
    return CheckSegments();
  }
  std::string CheckOrigin() const;
  Result<std::string> CheckLine() const;
  Status FindMissingSegments() const;
  std::string CheckList() const;
  Result<std::string> CheckStored();
  Result<std::string> Compare(const std::vector<uint32_t>& numbers);
  Result<std::string> CheckSegments();
  Result<std::string> CompareSums(uint64_t first, uint64_t last);

  uint64_t NumberOf(Lsn lsn) const { return lsn.value / before_.segment_size; }
  const LedgerSegment* Find(uint64_t number) const {
    const auto found =
        std::lower_bound(now_.segments.begin(), now_.segments.end(), number,
                         [](const LedgerSegment& s, uint64_t n) { return s.number < n; });
    return found != now_.segments.end() && found->number == number ? &*found : nullptr;
  }
  std::string Since() const { return "since " + LedgerTime(before_.proven_at); }

  const VerifyOptions& options_;
  const ClusterInputs& in_;
  const Ledger& before_;
  Ledger& now_;
  LedgerFit fit_;
};

std::string LedgerFitter::CheckOrigin() const {
  if (before_.start != now_.start || before_.start_timeline != now_.start_timeline ||
      before_.origin_hash != now_.origin_hash)
    return fmt::format("the ledger is of another backup, which began at {}{}",
                       before_.start.ToString(),
                       before_.label.empty() ? "" : fmt::format(" (\"{}\")", before_.label));
  if (before_.segment_size != now_.segment_size) return "the ledger is of other WAL";
  return {};
}

// A timeline that left the proven one at its end or later continues it. kNotFound: the proven one is gone.
Result<std::string> LedgerFitter::CheckLine() const {
  if (before_.timeline == now_.timeline) return std::string();
  const std::string other = fmt::format("the ledger is of timeline {}, and timeline {} is read",
                                        before_.timeline, now_.timeline);
  ASSIGN_OR_RETURN(const auto forks, in_.set->ReadForks(now_.timeline));
  if (forks)
    for (const TimelineFork& fork : *forks)
      if (fork.timeline == before_.timeline && fork.end >= before_.end) return std::string();
  // Without --timeline the highest one is taken, so that the proven one is gone.
  if (options_.timeline || now_.timeline > before_.timeline) return other;
  return MakeError(
      ErrorCode::kNotFound,
      fmt::format(
          "WAL is missing that was there on {}: it was of timeline {} up to {}, and there is "
          "nothing above timeline {} now; put it back, or give --timeline={} or --full to "
          "verify what there is",
          LedgerTime(before_.proven_at), before_.timeline, before_.end.ToString(), now_.timeline,
          now_.timeline));
}

Status LedgerFitter::FindMissingSegments() const {
  for (const LedgerSegment& segment : before_.segments)
    if (Find(segment.number) == nullptr)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format(
              "WAL is missing that was there on {}: \"{}\" has LSN {}; put it back, or give "
              "--full to verify what there is",
              LedgerTime(before_.proven_at), segment.files.front().path,
              Lsn(segment.number * before_.segment_size).ToString()));
  return {};
}

std::string LedgerFitter::CheckList() const {
  const auto say = [this](const std::string& name, const char* what) {
    return fmt::format("file \"{}\" of the backup {} {}", name, what, Since());
  };
  size_t at = 0;
  for (const LedgerContent& content : before_.contents) {
    if (at < now_.contents.size() && now_.contents[at].name < content.name)
      return say(now_.contents[at].name, "has appeared");
    if (at == now_.contents.size() || now_.contents[at].name != content.name)
      return say(content.name, "has disappeared");
    if (now_.contents[at].size != content.size) return say(content.name, "has got another size");
    at++;
  }
  if (at < now_.contents.size()) return say(now_.contents[at].name, "has appeared");
  if (before_.layout_hash != now_.layout_hash)
    return fmt::format("directories or tablespaces of the backup have changed {}", Since());
  return {};
}

Result<std::string> LedgerFitter::CheckStored() {
  for (size_t i = 0; i < now_.contents.size(); i++)
    now_.contents[i].hash = before_.contents[i].hash;
  if (before_.stored.size() != now_.stored.size())
    return fmt::format("the backup is stored in other files than {}",
                       LedgerTime(before_.proven_at));
  std::set<uint32_t> changed;
  for (size_t i = 0; i < now_.stored.size(); i++) {
    const LedgerStored &was = before_.stored[i], &is = now_.stored[i];
    if (is.file.IsAsBefore(was.file) && is.contents == was.contents) continue;
    if (is.file.path != was.file.path)
      return fmt::format("the backup is stored in other files: \"{}\" instead of \"{}\"",
                         is.file.path, was.file.path);
    if (is.contents.empty() || is.contents != was.contents)
      return fmt::format("file \"{}\" has changed {}", is.file.path, Since());
    changed.insert(is.contents.begin(), is.contents.end());
  }
  return Compare({changed.begin(), changed.end()});
}

// Reads these contents. A run over all does not read what has no hash, such as configuration files; but it parses
// two of them, and OriginHash has two more.
Result<std::string> LedgerFitter::Compare(const std::vector<uint32_t>& numbers) {
  std::vector<std::string> reasons(numbers.size());
  const auto lanes = static_cast<size_t>(options_.jobs);
  RETURN_IF_ERROR(ForEachInParallel(lanes, numbers.size(), [&](size_t, size_t item) -> Status {
    const LedgerContent& content = now_.contents[numbers[item]];
    if (!content.hash) {
      if (content.name == kManifestFile || content.name == kTablespaceMapFile)
        reasons[item] =
            fmt::format("file \"{}\" of the backup has changed {}", content.name, Since());
      return {};
    }
    ContentHash hash;
    std::vector<uint8_t> piece(size_t{1} << 19);
    auto source = in_.base.OpenStream(content.name);
    for (bool more = source.has_value(); more;) {
      const auto got = ReadFully(source->get(), piece);
      if (!got) source = tl::unexpected(got.error());
      if (got) hash.Add(Bytes(piece.data(), *got));
      more = got && *got == piece.size();
    }
    if (!source && IsShortage(source.error().code)) return tl::unexpected(source.error());
    if (!source)
      reasons[item] = source.error().message;
    else if (hash.Finish() != *content.hash)
      reasons[item] =
          fmt::format("file \"{}\" of the backup has got other content {}", content.name, Since());
    return {};
  }));
  fit_.files_read_again =
      static_cast<uint64_t>(std::count_if(numbers.begin(), numbers.end(), [this](uint32_t number) {
        return now_.contents[number].hash.has_value();
      }));
  for (std::string& reason : reasons)
    if (!reason.empty()) return std::move(reason);
  return std::string();
}

// Those that replay does not read again. A record that begins in the segment before one that has changed may
// continue in it, so that both are read.
Result<std::string> LedgerFitter::CheckSegments() {
  const uint64_t redo = NumberOf(before_.redo), first = NumberOf(before_.start);
  std::set<uint64_t> changed;
  for (const LedgerSegment& was : before_.segments) {
    if (was.number > redo) break;
    const LedgerSegment& is = *Find(was.number);
    if (was.number < redo && is.timeline != was.timeline)
      return fmt::format("the ledger has LSN {} on timeline {}, not {}",
                         Lsn(was.number * before_.segment_size).ToString(), was.timeline,
                         is.timeline);
    const bool is_same =
        std::equal(is.files.begin(), is.files.end(), was.files.begin(), was.files.end(),
                   [](const LedgerFile& a, const LedgerFile& b) { return a.IsAsBefore(b); });
    if (!is_same) changed.insert(was.number);
  }
  for (LedgerSegment& segment : now_.segments)
    if (segment.number < redo) segment.sum = before_.segments[segment.number - first].sum;
  for (auto at = changed.begin(); at != changed.end();) {
    const uint64_t from = *at > first ? *at - 1 : *at;
    uint64_t to = *at;
    for (++at; at != changed.end() && *at <= to + 1; ++at) to = *at;
    ASSIGN_OR_RETURN(std::string why, CompareSums(from, to));
    if (!why.empty()) return why;
  }
  fit_.segments_read_again = changed.size();
  return std::string();
}

Result<std::string> LedgerFitter::CompareSums(uint64_t first, uint64_t last) {
  const uint64_t size = before_.segment_size;
  const Lsn from = std::max(before_.start, Lsn(first * size));
  const Lsn to = std::min(before_.end, Lsn((last + 1) * size));
  std::map<uint64_t, uint64_t> sums;
  auto reader = OpenWal(*in_.set, {.from = from, .to = {}, .timeline = now_.timeline});
  if (!reader) return reader.error().message;
  for (WalRecord record; (*reader)->Next(&record) && record.start < to;)
    sums[record.start.value / size] += RecordSum(record);
  if (const auto& error = (*reader)->error()) {
    if (IsShortage(error->code)) return tl::unexpected(*error);
    return error->message;
  }
  for (uint64_t number = first; number <= last; number++)
    if (sums[number] != before_.segments[number - NumberOf(before_.start)].sum)
      return fmt::format("the segment in \"{}\" has got other content {}",
                         Find(number)->files.front().path, Since());
  return std::string();
}

}  // namespace

uint64_t RecordSum(const WalRecord& record) {
  constexpr HashKey kKey{0x2d358dccaa6c78a5u, 0x8bb84b93962eacc9u};  // the same in each run
  const auto header = LoadNative<RecordHeader>(record.bytes.data());
  return HashPair(HashPair(record.start.value, record.end.value, kKey), header.crc, kKey);
}

Result<Ledger> TakeInventory(const ClusterInputs& in) {
  Ledger ledger;
  ledger.system_identifier = in.base_control.system_identifier;
  ledger.start = in.label.start;
  ledger.start_timeline = in.label.timeline;
  ledger.label = in.label.label;
  ledger.segment_size = in.set->segment_size();
  ledger.timeline = in.wal_timeline;
  for (const auto& [name, file] : in.base_files.files) ledger.contents.push_back({name, file.size});
  RETURN_IF_ERROR(TakeStored(in.base, in.base_files, &ledger));
  RETURN_IF_ERROR(TakeSegments(in, &ledger));
  ASSIGN_OR_RETURN(ledger.origin_hash, OriginHash(in.base));
  ledger.layout_hash = LayoutHash(in.base_files);
  return ledger;
}

Result<LedgerFit> FitLedger(const VerifyOptions& options, const ClusterInputs& inputs,
                            const Ledger& before, Ledger* now) {
  return LedgerFitter(options, inputs, before, now).Fit();
}

std::string LedgerTime(int64_t seconds) {
  constexpr int64_t kLast = 253'402'300'799;  // of the year 9999
  const std::time_t time = std::clamp<int64_t>(seconds, 0, kLast);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(time));
}

}  // namespace neon_redo
