// WAL is taken in stages. A stage ends where a database is copied file by file: by then the template's pages must
// be on disk as they were at that record. As a rule there is one stage.
//
// In a stage, pages are kept current in memory (page_replay.h), over what the stage found in the output. Files are
// made, cut and dropped once all of the stage's WAL is read, and then pages are written. So a page may be read
// from a file that is gone, or cut, already: such a block is one that a later record of the stage does away with.
#include "cpp_core/restore/roll_forward.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/wal/open.h"

namespace neon_redo {

ReplayOptions ReplayOptionsOf(const RestoreOptions& options) {
  return {.engine = options.engine,
          .worker = options.worker,
          .jobs = options.jobs,
          .memory = options.memory,
          .spill_directory = options.spill_directory};
}

RollForward::RollForward(const RestoreOptions& options, const ClusterInputs& inputs,
                         const VerifyOptions& wal, const Survey& survey,
                         const OutputDirectory& output,
                         const std::map<BlockTag, BadPage>& bad_pages,
                         const std::map<uint32_t, std::string>& tablespaces)
    : options_(options),
      in_(inputs),
      wal_(wal),
      survey_(survey),
      output_(output),
      bad_pages_(bad_pages),
      version_(*inputs.control.version),
      copied_(DataDirectory(output.path())),
      writing_{&output, copied_.get(), &version_, inputs.control.checksums, &bad_pages},
      other_memory_(MemoryForPages(ReplayOptionsOf(options)) / 16),
      files_(version_, tablespaces),
      maps_(writing_, &other_memory_, options.spill_directory),
      slrus_(*copied_, &other_memory_, options.spill_directory),
      ingest_(IngestOptions{HasCommitTimestamps(inputs.base_files)}),
      view_(version_) {}

Status RollForward::Run(RestoreResult* result) {
  result_ = result;
  CommitLog log(in_.base, in_.base_control.oldest_xid, in_.base_control.next_xid);
  RETURN_IF_ERROR(two_phase_.ReadBase(in_.base, in_.base_files, version_,
                                      in_.base_control.next_full_xid, &log));
  RETURN_IF_ERROR(ReadOrigins());
  Lsn from = survey_.start;
  for (const Lsn copy : survey_.copied_databases) {
    if (copy >= survey_.point->start) break;
    RETURN_IF_ERROR(Stage(from, copy));
    from = copy;
  }
  RETURN_IF_ERROR(Stage(from, survey_.point->start));
  if (failed_ > 0) {
    std::string text = fmt::format("{} blocks could not be rebuilt:", failed_);
    for (const std::string& failure : failures_) text += " " + failure + ";";
    return MakeError(ErrorCode::kCorrupt, text + " take another base backup");
  }
  RETURN_IF_ERROR(CheckBadPages());
  RETURN_IF_ERROR(WriteSlrus());
  RETURN_IF_ERROR(WritePrepared());
  return origins_.empty() ? output_.Remove(pg::kOriginFile)
                          : output_.WriteFile(pg::kOriginFile, pg::OriginFileOf(origins_));
}

Status RollForward::Stage(Lsn from, Lsn to) {
  ASSIGN_OR_RETURN(const auto spoilt, Pass(options_.engine, nullptr, from, to));
  if (spoilt.empty()) return {};
  ASSIGN_OR_RETURN(const auto left, Pass(Engine::kWorker, &spoilt, from, to));
  for (const BlockTag& tag : left)
    failures_.push_back(fmt::format("block {} of {}", tag.block, pg::BlockFilePath(version_, tag)));
  failed_ += left.size();
  return {};
}

// Returns the blocks that need another pass. only: these, and nothing else; null: all.
Result<std::set<BlockTag>> RollForward::Pass(Engine engine, const std::set<BlockTag>* only,
                                             Lsn from, Lsn to) {
  RETURN_IF_ERROR(CheckWorkerFiles(options_.worker, version_, engine));
  ReplayOptions replay_options = ReplayOptionsOf(options_);
  replay_options.engine = engine;
  MemoryBudget memory(MemoryForPages(replay_options) / 16 * 15);
  std::vector<PageWriter*> writers;
  const auto make_writer = [&] {
    auto writer = std::make_unique<PageWriter>(writing_);
    writers.push_back(writer.get());
    return writer;
  };
  ASSIGN_OR_RETURN(const auto replay,
                   PageReplay::Make(replay_options, version_, &memory, make_writer, only));
  const bool is_first = only == nullptr;
  RETURN_IF_ERROR(ReadAll(replay.get(), is_first, from, to));
  if (is_first) {
    RETURN_IF_ERROR(files_.Apply(output_));
    RETURN_IF_ERROR(maps_.Write());
  }
  const uint64_t total = (to - from) / kBlockSize;  // a guess, for a progress bar
  RETURN_IF_ERROR(replay->Finish([&](uint64_t finished) {
    if (options_.progress) options_.progress({"writing pages", finished, total});
  }));
  for (PageWriter* writer : writers) RETURN_IF_ERROR(Gather(writer));
  const ReplayCounts counts = replay->counts();
  result_->pages_spilled += counts.spills;
  result_->engines.Add(counts.engines);
  return replay->spoilt();
}

Status RollForward::Gather(PageWriter* writer) {
  RETURN_IF_ERROR(writer->Flush());
  for (const auto& [fork, end] : writer->touched)
    if (end > pg::kBlocksPerFile) RETURN_IF_ERROR(output_.FillFork(version_, fork, end));
  made_good_.insert(writer->made_good.begin(), writer->made_good.end());
  result_->pages_written += writer->written;
  failed_ += writer->failed;
  for (std::string& failure : writer->failures)
    if (failures_.size() < PageWriter::kMostFailures) failures_.push_back(std::move(failure));
  return {};
}

Status RollForward::ReadAll(PageReplay* replay, bool first_pass, Lsn from, Lsn to) {
  ASSIGN_OR_RETURN(const auto reader,
                   OpenWal(*in_.set, {.from = from, .timeline = in_.Timeline(wal_)}));
  const Lsn whole = survey_.point->start;
  WalRecord record;
  Lsn last;
  uint64_t records = 0;
  while (reader->Next(&record) && record.start < to) {
    RETURN_IF_ERROR(Take(record, first_pass, replay));
    last = record.end;
    if (++records % 4096 == 0 && options_.progress)
      options_.progress({first_pass ? "replaying WAL" : "replaying WAL again",
                         record.start - survey_.start, whole - survey_.start});
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  if (record.start < to)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL in {} ended at {} when it was read again, before {}",
                                 NamePaths(in_.set->given()), last.ToString(), to.ToString()));
  if (first_pass) result_->records += records;
  return {};
}

Status RollForward::Take(const WalRecord& record, bool first_pass, PageReplay* replay) {
  RETURN_IF_ERROR(ParseRecord(record, &view_));
  const RecordFault fault = first_pass ? ingest_.TakeBeyondBlocks(view_, &changes_)
                                       : TakeRelationChanges(view_, &changes_);
  if (fault)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {}", record.start.ToString(), fault.what));
  // It is the first of its stage, so that all before it is on disk.
  if (!changes_.empty() && changes_[0].kind == ChangeKind::kCopyDatabase)
    return first_pass ? CopyDatabase(changes_[0]) : Status();
  RETURN_IF_ERROR(replay->Take(record, view_, changes_));
  if (!first_pass) return {};
  RETURN_IF_ERROR(maps_.Take(view_, record.end, changes_));
  if (const auto progress = OriginProgressOf(view_)) [[unlikely]]
    TakeOrigin(*progress);
  return changes_.empty() ? Status() : TakeOthers(record);
}

// Takes the record's changes to what is no relation's page.
Status RollForward::TakeOthers(const WalRecord& record) {
  for (const Change& change : changes_) {
    files_.Take(change);
    two_phase_.Take(change, record);
    RETURN_IF_ERROR(slrus_.Take(change, record, view_.rmid()));
  }
  return {};
}

// dbase_redo in commands/dbcommands.c: all files of the directory, as they are. A template that is gone was
// dropped before the backup had copied it, and so was what is made of it.
Status RollForward::CopyDatabase(const Change& change) {
  const std::string from =
      output_.PathOf(pg::DatabasePath(version_, change.number, change.number2));
  const std::string name = pg::DatabasePath(version_, change.key.field2, change.key.field3);
  RETURN_IF_ERROR(output_.Remove(name));
  RETURN_IF_ERROR(output_.MakeDirectory(name));
  std::error_code error;
  std::filesystem::directory_iterator at(from, error);
  if (error.value() == ENOENT) return {};
  // increment() forgets the error of what was before it.
  for (const std::filesystem::directory_iterator end; !error && at != end; at.increment(error)) {
    std::error_code failed;
    const std::string to = output_.PathOf(name + "/" + at->path().filename().string());
    if (at->is_regular_file(failed)) std::filesystem::copy_file(at->path(), to, failed);
    if (!failed) continue;
    errno = failed.value();
    return FileError("copy file", at->path().string());
  }
  if (!error) return {};
  errno = error.value();
  return FileError("copy directory", from);
}

// Pages of maps that are damaged are pages of zeroes for the server.
Status RollForward::CheckBadPages() {
  RelationFiles files(copied_.get(), &version_);
  PageWriter writer(writing_);
  std::string still_bad;
  alignas(8) uint8_t page[kBlockSize];
  for (const auto& [tag, bad] : bad_pages_) {
    if (made_good_.contains(tag) || files_.HasGone(tag)) continue;
    ASSIGN_OR_RETURN(const bool is_there, files.ReadOrFail(tag, page));
    if (!is_there || !CheckPage(page, tag.block, in_.control.checksums)) continue;
    if (tag.fork == kFreeSpaceMapFork || tag.fork == kVisibilityMapFork) {
      std::memset(page, 0, sizeof(page));
      RETURN_IF_ERROR(writer.Write(tag, page));
      result_->maps_emptied++;
    } else if (failed_++ < PageWriter::kMostFailures) {
      still_bad += fmt::format(" block {} of {};", tag.block, pg::BlockFilePath(version_, tag));
    }
  }
  RETURN_IF_ERROR(writer.Flush());
  result_->pages_made_good += made_good_.size();
  if (failed_ == 0) return {};
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("the backup in {} has {} damaged pages that WAL does not make whole:{} take "
                  "another base backup",
                  in_.base.path(), failed_, still_bad));
}

Status RollForward::WriteSlrus() {
  for (int number = 0; number < kSlruKinds; number++) {
    const auto kind = static_cast<SlruKind>(number);
    for (const uint32_t segment : SlruSegments(in_.base_files, kind))
      if (slrus_.HasRemoved(kind, segment))
        RETURN_IF_ERROR(output_.Remove(SlruFile(kind, segment)));
  }
  std::string name;
  std::unique_ptr<OutputFile> file;
  alignas(8) uint8_t page[kBlockSize];
  for (const SlruBlock& block : slrus_.Touched()) {
    RETURN_IF_ERROR(slrus_.ReadFinal(block, page));
    std::string next = SlruFile(block.kind, block.segment);
    if (next != name) {
      ASSIGN_OR_RETURN(file, output_.Open(next));
      name = std::move(next);
    }
    RETURN_IF_ERROR(file->Write(uint64_t{block.block} * kBlockSize, Bytes(page, kBlockSize)));
  }
  return {};
}

Status RollForward::ReadOrigins() {
  ASSIGN_OR_RETURN(const auto file, in_.base.ReadIfThere(pg::kOriginFile, kMaxSmallFile));
  if (!file) return {};
  ASSIGN_OR_RETURN(origins_, pg::ParseOriginFile(*file, in_.base.Where(pg::kOriginFile)));
  return {};
}

// replorigin_advance, and replorigin_redo of a drop.
void RollForward::TakeOrigin(const OriginProgress& progress) {
  if (progress.is_dropped) {
    origins_.erase(progress.origin);
    return;
  }
  Lsn& remote = origins_[progress.origin];
  if (progress.may_go_back || remote < progress.remote) remote = progress.remote;
}

// Those that were prepared after the redo point come from WAL again.
Status RollForward::WritePrepared() {
  const std::string below = fmt::format("{}/", pg::kTwoPhaseDirectory);
  for (const auto& [name, file] : in_.base_files.files)
    if (name.starts_with(below)) RETURN_IF_ERROR(output_.Remove(name));
  for (const auto& [xid, content] : two_phase_.PreparedBefore(survey_.point->checkpoint.redo))
    RETURN_IF_ERROR(output_.WriteFile(
        pg::TwoPhasePath(version_, xid, survey_.point->checkpoint.next_xid), *content));
  return {};
}

}  // namespace neon_redo
