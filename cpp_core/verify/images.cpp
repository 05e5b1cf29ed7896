// For each block the latest image is kept, and is the base of the request for the next record that
// names the block: never an answer, so one wrong answer does not spoil the next, and requests for
// the same block can be under way together.
//
// An image shows the page before the record's LSN was stamped on it; redo skips a record that is
// not newer than the page. So a kept image gets the end of its record as LSN, as redo would do.
//
// Images for redo (full-page writes) are compared too, though the server does not: that the worker
// unpacks an image rightly is worth knowing.
//
// The visibility map is checked only as far as the server's mask lets it be, which is not at all
// for the bits: another backend may clear a bit before its record comes. Comparing with a cluster
// at rest (cluster.h) has no such limit.
#include "cpp_core/verify/images.h"

#include <fmt/format.h>

#include <chrono>

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"
#include "cpp_core/verify/compare.h"
#include "cpp_core/verify/page_map.h"
#include "cpp_core/verify/redo_crew.h"
#include "cpp_core/verify/storage_events.h"
#include "cpp_core/wal/describe.h"
#include "cpp_core/wal/image.h"
#include "cpp_core/wal/reader.h"
#include "cpp_core/wal/rmgr.h"

namespace neon_redo {
namespace {

using PagePtr = std::shared_ptr<const Page>;

class ImageVerifier {
 public:
  explicit ImageVerifier(const VerifyOptions& options) : options_(options) {}

  Result<VerifyResult> Run();

 private:
  Status ReadAll(WalReader* reader);
  Status Take(const WalRecord& wal);
  void ForgetStorage();
  Status TakeBlock(const BlockRef& ref, const RecordPtr& record);
  void Consume(const RedoTask& task, const uint8_t* page, const Status& status);

  const VerifyOptions& options_;
  VerifyResult result_;
  Findings findings_;
  PageMap<PagePtr> latest_;
  RecordView view_;
  std::vector<StorageEvent> events_;
  bool any_checked_ = false;
  std::unique_ptr<RedoCrew> crew_;
};

Result<VerifyResult> ImageVerifier::Run() {
  const auto started = std::chrono::steady_clock::now();
  auto reader = WalReader::Open({.directory = options_.wal, .from = {}, .to = {}, .timeline = {}});
  if (!reader) return tl::unexpected(reader.error());
  auto crew = RedoCrew::Start(options_.worker, options_.jobs,
                              [this](const RedoTask& task, const uint8_t* page,
                                     const Status& status) { Consume(task, page, status); });
  if (!crew) return tl::unexpected(crew.error());
  crew_ = std::move(*crew);
  if (Status read = ReadAll(reader->get()); !read) return tl::unexpected(read.error());
  crew_->Drain();
  result_.requests = crew_->submitted();
  crew_.reset();
  findings_.MoveTo(&result_);
  for (const RmgrCounts& counts : result_.by_rmgr) result_.images_compared += counts.rebuilt;
  result_.end = (*reader)->end_of_wal();
  result_.wal_bytes = (*reader)->bytes_read();
  result_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return std::move(result_);
}

Status ImageVerifier::ReadAll(WalReader* reader) {
  for (;;) {
    auto wal = reader->Next();
    if (!wal) return tl::unexpected(wal.error());
    if (!*wal) break;
    if (Status taken = Take(**wal); !taken) return taken;
    if (options_.progress && result_.records % 1024 == 0)
      options_.progress({"reading WAL", reader->bytes_read(), reader->bytes_total()});
  }
  if (!any_checked_)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the WAL in {} carries no images to compare with: write it with "
                                 "wal_consistency_checking = 'all', or verify with --base-backup",
                                 options_.wal));
  return {};
}

Status ImageVerifier::Take(const WalRecord& wal) {
  if (RecordFault fault = view_.Parse(wal.bytes))
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("WAL record at {}: {} (at byte {} of the record)",
                                 wal.start.ToString(), fault.what, fault.offset));
  if (result_.records++ == 0) result_.start = wal.start;
  any_checked_ |= (view_.header().info & kInfoCheckConsistency) != 0;
  ForgetStorage();
  if (view_.max_block_id() < 0) return {};
  const RecordPtr record = std::make_shared<const StoredRecord>(
      StoredRecord{wal.start, wal.end, {wal.bytes.begin(), wal.bytes.end()}});
  for (int id = 0; id <= view_.max_block_id(); id++) {
    if (const BlockRef* ref = view_.block(id)) {
      if (Status taken = TakeBlock(*ref, record); !taken) return taken;
    }
  }
  return {};
}

void ImageVerifier::ForgetStorage() {
  if (!ReadStorageEvents(view_, &events_)) return;
  for (const StorageEvent& event : events_) {
    if (event.kind == StorageEvent::kCreateFork)
      latest_.Truncate(event.rel, event.fork, 0);
    else if (event.kind == StorageEvent::kTruncateFork && event.fork == kMainFork)
      latest_.Truncate(event.rel, event.fork, event.block);
    else if (event.kind == StorageEvent::kDropRelation)
      latest_.Drop(event.rel);
    else if (event.kind == StorageEvent::kDropDatabase || event.kind == StorageEvent::kCopyDatabase)
      latest_.DropDatabase(event.rel.db, event.rel.spc);
  }
}

Status ImageVerifier::TakeBlock(const BlockRef& ref, const RecordPtr& record) {
  PagePtr& latest = latest_.at(ref.tag);
  if (!ref.has_image) {
    // The page is another one now, and nobody knows which.
    latest.reset();
    findings_.Skip("no image in the record");
    return {};
  }
  auto image = std::make_shared<Page>();
  if (Status restored = RestoreImage(ref, image->data()); !restored)
    return MakeError(
        restored.error().code,
        fmt::format("WAL record at {}: {}", record->start.ToString(), restored.error().message));
  SetPageLsn(image->data(), record->end);
  const PagePtr previous = std::exchange(latest, image);
  RedoTask task{ref.tag, nullptr, {record}, image};
  if (!ref.initialises()) {
    static const PagePtr kZeroPage = std::make_shared<const Page>();
    // The maps are extended with zeroes and without a record.
    const bool is_map = ref.tag.fork == kVisibilityMapFork || ref.tag.fork == kFreeSpaceMapFork;
    task.base = previous ? previous : is_map ? kZeroPage : nullptr;
    if (!task.base) {
      findings_.Skip("no earlier image of the block");
      return {};
    }
  }
  crew_->Submit(std::move(task));
  return {};
}

void ImageVerifier::Consume(const RedoTask& task, const uint8_t* page, const Status& status) {
  const StoredRecord& record = *task.records.front();
  const auto rmid = LoadNative<RecordHeader>(record.bytes.data()).rmid;
  std::optional<uint32_t> offset;
  std::string problem;
  if (status) {
    Page rebuilt, image = *task.expected;
    std::memcpy(rebuilt.data(), page, kBlockSize);
    offset = CompareWithImage(rmid, task.tag, rebuilt.data(), image.data());
    if (!offset) return findings_.Equal(rmid);
    problem = "the rebuilt page differs from the image in the record";
  } else {
    problem = status.error().message;
  }
  RecordView view;
  std::string description;
  if (!view.Parse(record.bytes)) description = DescribeRecord(view, record.start);
  findings_.Different(rmid, status.has_value(),
                      {task.tag, record.end, offset, std::move(problem), std::move(description)});
}

}  // namespace

Result<VerifyResult> VerifyImages(const VerifyOptions& options) {
  return ImageVerifier(options).Run();
}

}  // namespace neon_redo
