// Of some pages only the records that they need are read. They are replayed and compared as all pages are, so that
// the answer is the same.
#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/cluster_verifier.h"

namespace neon_redo {

namespace {

constexpr uint8_t kForks[] = {kMainFork, kVisibilityMapFork, kInitFork};
// Each takes a look into the index and 64 bytes, which no memory limit counts.
constexpr size_t kMostBlocks = 4 << 20;
constexpr const char* kNotLogged = "unlogged relation";
constexpr const char* kUnknownPage = "neither in the base backup nor changed by WAL";

BlockTag ForkOf(const BlockTag& tag) { return {tag.rel, tag.fork, 0}; }

uint32_t BlocksOf(const RelationFileList& list, const BlockTag& fork) {
  const auto found = list.forks.find(fork);
  return found == list.forks.end() ? 0 : found->second.blocks;
}

bool HasRelation(const RelationFileList& list, const RelFileNode& rel) {
  const auto found = list.forks.lower_bound(BlockTag{rel, 0, 0});
  return found != list.forks.end() && found->first.rel == rel;
}

bool IsUnlogged(const RelationFileList& list, const BlockTag& tag) {
  return tag.fork != kInitFork && list.forks.contains({tag.rel, kInitFork, 0});
}

}  // namespace

// Where no record is needed any more.
Lsn ClusterVerifier::WantedEnd() const {
  const bool reads_all = in_.crashed || in_.running;
  if (reads_all) return wanted_wal_->end();
  if (!in_.second.start.valid()) return in_.control.checkpoint + 1;
  if (in_.of_standby) return second_end_;
  return second_end_.valid() ? second_end_ + 1 : wanted_wal_->end();
}

// Where the second backup ends, if WAL has a record of that. It must be known before any record of a page is sought:
// those of a page begin with its last image before the end.
Status ClusterVerifier::FindSecondEnd() {
  const bool has_record =
      in_.second.start.valid() && !in_.of_standby && !in_.crashed && !in_.running;
  if (!has_record) return {};
  Ingest ingest;
  const auto take = [&](const WalRecord& record) -> Result<bool> {
    RETURN_IF_ERROR(ParseRecord(record, &view_));
    if (const RecordFault fault = ingest.TakeBeyondBlocks(view_, &others_))
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
    const bool is_end = std::any_of(others_.begin(), others_.end(), [&](const Change& change) {
      return change.kind == ChangeKind::kBackupEnd &&
             Lsn(static_cast<uint64_t>(change.time)) == in_.second.start;
    });
    if (is_end) second_end_ = record.start;
    return !is_end;
  };
  Status read = wanted_wal_->Read({}, in_.second.start, wanted_wal_->end(), take);
  return read ? read : tl::unexpected(WalError(in_, std::move(read.error())));
}

// Which blocks these are, and how long their forks are by WAL.
Status ClusterVerifier::FindWanted() {
  ASSIGN_OR_RETURN(wanted_wal_, wanted_->open(*in_.set, {.from = in_.label.start,
                                                         .to = std::nullopt,
                                                         .timeline = in_.wal_timeline}));
  RETURN_IF_ERROR(FindSecondEnd());
  ASSIGN_OR_RETURN(const BaseFiles list, in_.data->ListData());
  const RelationFileList disk = FindRelationFiles(list, *in_.control.version);
  const auto end_of = [&](const BlockTag& fork) -> Result<uint32_t> {
    ASSIGN_OR_RETURN(const uint32_t touched,
                     wanted_wal_->TouchedEnd(fork, in_.label.start, WantedEnd()));
    if (touched > 0) wanted_ends_[fork] = touched;
    return std::max({touched, BlocksOf(files_.base(), fork), BlocksOf(disk, fork)});
  };
  for (const BlockTag& tag : wanted_->pages) {
    ASSIGN_OR_RETURN(const uint32_t end, end_of(ForkOf(tag)));
    const bool has_wal = !IsUnlogged(files_.base(), tag) && !IsUnlogged(disk, tag);
    // It may have been cut off since the first look.
    if (tag.block >= end && has_wal && earlier_ == nullptr)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("there is no block {} of \"{}\": neither in the base backup, nor by "
                      "WAL, nor in \"{}\"",
                      tag.block, pg::BlockFilePath(*in_.control.version, ForkOf(tag)),
                      in_.data->path()));
    wanted_blocks_.insert(tag);
    wanted_relations_.insert(tag.rel);
  }
  for (const RelFileNode& rel : wanted_->relations) {
    const size_t before = wanted_blocks_.size();
    for (const uint8_t fork : kForks) {
      ASSIGN_OR_RETURN(const uint32_t end, end_of({rel, fork, 0}));
      if (wanted_blocks_.size() + end > kMostBlocks)
        return MakeError(
            ErrorCode::kInvalidArgument,
            fmt::format("--only would look at more than {} pages, each by itself: give fewer "
                        "relations, or verify without --only",
                        kMostBlocks));
      for (uint32_t block = 0; block < end; block++)
        wanted_blocks_.insert(wanted_blocks_.end(), {rel, fork, block});
    }
    const BlockTag main{rel, kMainFork, 0};
    const bool is_there = HasRelation(files_.base(), rel) || HasRelation(disk, rel);
    if (wanted_blocks_.size() == before && !is_there)
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("there is no file \"{}\": neither in the base backup, nor by WAL, nor "
                      "in \"{}\"",
                      pg::BlockFilePath(*in_.control.version, main), in_.data->path()));
    wanted_relations_.insert(rel);
  }
  return FindBadPages();
}

// Pages of the base backup that were copied while they were written, or are damaged.
Status ClusterVerifier::FindBadPages() {
  RelationFiles base(&in_.base, in_.control.version);
  alignas(64) uint8_t page[kBlockSize];
  for (const BlockTag& tag : wanted_blocks_) {
    if (tag.block >= BlocksOf(files_.base(), ForkOf(tag))) continue;
    ASSIGN_OR_RETURN(const bool is_there, base.ReadOrFail(tag, page));
    if (!is_there) continue;
    if (auto bad = CheckPage(page, tag.block, in_.base_control.checksums))
      bad_pages_.emplace(tag, *bad);
  }
  return {};
}

Status ClusterVerifier::ReadWanted(PageReplay* replay, bool first_pass) {
  Lsn last, end;
  uint64_t records = 0, bytes = 0;
  const auto take = [&](const WalRecord& record) -> Result<bool> {
    if (HasEnded(last)) return false;
    last = record.start;
    end = record.end;
    records++;
    bytes += record.bytes.size();
    RETURN_IF_ERROR(Take(record, first_pass, replay));
    return true;
  };
  if (Status read = wanted_wal_->Read(wanted_blocks_, in_.label.start, WantedEnd(), take); !read)
    return tl::unexpected(WalError(in_, std::move(read.error())));
  const bool reads_all = in_.crashed || in_.running;
  const Lsn known = wanted_wal_->end();
  const bool is_enough = reads_all        ? known > in_.control.checkpoint && !wanted_wal_->damage()
                         : in_.of_standby ? known >= second_end_
                         : in_.second.start.valid() ? second_end_.valid()
                                                    : last == in_.control.checkpoint;
  if (!is_enough) {
    const auto damage = wanted_wal_->damage();
    return tl::unexpected(WalError(
        in_, damage ? *damage
                    : Error{ErrorCode::kNotFound,
                            fmt::format(
                                "the WAL in {} ends at {}, but {} needs more: add the missing "
                                "segments",
                                NamePaths(in_.set->given()), known.ToString(), in_.data->path())}));
  }
  result_.start = in_.label.start;
  result_.end = reads_all ? known : in_.of_standby ? second_end_ : end;
  result_.end_reason = reads_all ? "no more WAL is there" : EndOfCompared();
  result_.wal_bytes = bytes;
  result_.records = records;
  if (first_pass) {
    const auto notes = wanted_wal_->TakeNotes();
    result_.wal_notes.insert(result_.wal_notes.end(), notes.begin(), notes.end());
  }
  return {};
}

// What the files as such lack or have, and nothing of other relations.
Status ClusterVerifier::CompareWanted() {
  touched_ = wanted_ends_;
  ASSIGN_OR_RETURN(data_files_, in_.data->ListData());
  RETURN_IF_ERROR(CheckNeededDirectories(*in_.data, data_files_, false));
  CommitLog log(*in_.data, in_.control.oldest_xid, in_.control.next_xid);
  const bool has_prepared =
      std::any_of(data_files_.files.begin(), data_files_.files.end(),
                  [](const auto& file) { return file.first.starts_with("pg_twophase/"); });
  VerifyResult found;
  found.version = in_.control.version;
  RETURN_IF_ERROR(files_.Compare({.on_disk = data_files_,
                                  .touched = touched_,
                                  .sought = sought_,
                                  .settled = settled_,
                                  .log = &log,
                                  .may_be_prepared = has_prepared,
                                  .may_have_crashed = restarted_ || Server().is_another,
                                  .dropping = &dropping_,
                                  .only = &wanted_relations_},
                                 &found));
  Findings kept;
  for (Mismatch& mismatch : found.mismatches)
    if (IsAboutWanted(mismatch)) kept.Damaged(std::move(mismatch));
  for (Mismatch& mismatch : found.notes)
    if (IsAboutWanted(mismatch)) kept.Note(std::move(mismatch));
  kept.AddTo(others());

  UnchangedOptions options{PageOptions(), Server(), options_.jobs, options_.progress};
  const bool is_later = running_ != nullptr && running_->only() != nullptr;
  options.only = is_later ? running_->only() : &wanted_blocks_;
  if (running_ != nullptr) options.looks = running_->seen();
  const BackupDamage damage{
      .has_page = [this](const BlockTag& tag) { return bad_pages_.contains(tag); },
      .has_file = [](const std::string&) { return false; }};
  RETURN_IF_ERROR(CompareUnchangedPages(options, files_, &changed_, damage, &result_));
  if (!is_later) CountWanted();
  return {};
}

// Of files that are longer or shorter than they must be the first block is named.
bool ClusterVerifier::IsAboutWanted(const Mismatch& mismatch) const {
  const bool is_whole =
      mismatch.tag.block == kNoBlockNumber || wanted_->relations.contains(mismatch.tag.rel);
  if (is_whole) return wanted_relations_.contains(mismatch.tag.rel);
  const auto last = wanted_blocks_.upper_bound({mismatch.tag.rel, mismatch.tag.fork, UINT32_MAX});
  if (last == wanted_blocks_.begin()) return false;
  const BlockTag& highest = *std::prev(last);
  return highest.rel == mismatch.tag.rel && highest.fork == mismatch.tag.fork &&
         highest.block >= mismatch.tag.block;
}

bool ClusterVerifier::IsChanged(const BlockTag& tag) const {
  const auto blocks = changed_.find(ForkOf(tag));
  return blocks != changed_.end() &&
         std::binary_search(blocks->second.begin(), blocks->second.end(), tag.block);
}

// Damaged pages of the backup, unless WAL makes them whole, and blocks that nothing is known of.
void ClusterVerifier::CountWanted() {
  Findings losses;
  for (const auto& [tag, bad] : bad_pages_) {
    const bool is_needed = IsChanged(tag) ? needed_pages_.contains(tag) : files_.IsBlockOfBase(tag);
    if (!is_needed) continue;
    Mismatch mismatch;
    mismatch.tag = tag;
    mismatch.file = pg::BlockFilePath(*in_.control.version, tag);
    mismatch.damage = bad.damage;
    mismatch.disk_lsn = bad.lsn;
    mismatch.in_backup = true;
    mismatch.problem = bad.damage == Damage::kChecksum
                           ? "the page has a wrong checksum"
                           : "the page's header is not one that a page can have";
    losses.Damaged(std::move(mismatch));
  }
  result_.backup.losses += losses.different();
  losses.AddTo(&result_);
  for (const BlockTag& tag : wanted_blocks_) {
    if (IsChanged(tag)) continue;
    if (IsUnlogged(files_.base(), tag) || IsUnlogged(files_.disk(), tag))
      result_.skipped[kNotLogged]++;
    else if (!files_.IsBlockOfBase(tag))
      result_.skipped[kUnknownPage]++;
  }
}

}  // namespace neon_redo
