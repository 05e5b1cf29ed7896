// Stream, decoder, check: each record is verified before more is taken from the socket, so a server
// that is too quick is held back by TCP, and its slot or wal_keep_size keeps what is not sent.
#include "neon_redo/verify_follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/verify/live_check.h"
#include "cpp_core/verify/options.h"
#include "cpp_core/wal/stream_decoder.h"

namespace neon_redo {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

class Follower {
 public:
  Follower(const FollowOptions& options, const CancelSignal& cancel)
      : options_(options),
        stream_(options.stream, cancel),
        memory_(MemoryForPages(ReplayOptionsOf(options.verify))),
        check_(options.verify, &memory_, options.on_mismatch) {}

  Result<VerifyResult> Run();

 private:
  Status Begin();
  Result<bool> Step();
  Status BeginVersion(const pg::Version& version);
  Status Take(const XLogData& wal);
  void Confirm(bool now);
  void ShowProgress();

  const FollowOptions& options_;
  WalStream stream_;
  MemoryBudget memory_;
  LiveCheck check_;
  std::optional<WalStreamDecoder> decoder_;
  MessageBatch batch_;
  // Of the version that the stream's first page names.
  std::optional<RecordView> view_;
  std::optional<RedoWorker> worker_;
  ReplicationTime sent_{};
  VerifyResult result_;
  Clock::time_point next_progress_{};
};

Status Follower::Begin() {
  ASSIGN_OR_RETURN(const auto server, stream_.Connect());
  ASSIGN_OR_RETURN(const auto segment_size, stream_.receiver().ReadSegmentSize());
  Lsn start = options_.start.value_or(server.flushed);
  uint32_t timeline = server.timeline;
  if (options_.slot && !options_.start) {
    ASSIGN_OR_RETURN(const auto slot, stream_.receiver().ReadSlot(*options_.slot));
    if (!slot)
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("replication slot \"{}\" does not exist", *options_.slot));
    if (slot->restart.valid()) {
      start = slot->restart;
      if (slot->timeline != 0) timeline = slot->timeline;
    }
  }
  start = Lsn(start.value & ~kWalPageMask);
  decoder_.emplace(start, segment_size);
  result_.start = start;
  return stream_.StartPhysical(options_.slot, start, timeline);
}

Status Follower::BeginVersion(const pg::Version& version) {
  RETURN_IF_ERROR(CheckWorkerFiles(options_.verify.worker, version, options_.verify.engine));
  view_.emplace(version);
  WorkerOptions worker = options_.verify.worker;
  worker.version = &version;
  worker_.emplace(worker);
  return {};
}

Status Follower::Take(const XLogData& wal) {
  RETURN_IF_ERROR(decoder_->Feed(wal.start, wal.data));
  result_.wal_bytes += wal.data.size();
  sent_ = wal.sent;
  for (;;) {
    ASSIGN_OR_RETURN(const auto record, decoder_->Next());
    if (!record) return {};
    if (result_.records++ == 0) result_.start = record->start;
    if (!view_) RETURN_IF_ERROR(BeginVersion(*decoder_->version()));
    RETURN_IF_ERROR(ParseRecord(*record, &*view_));
    RETURN_IF_ERROR(check_.Take(*record, *view_, &*worker_));
    ShowProgress();
  }
}

// Returns whether `until` is reached.
Result<bool> Follower::Step() {
  RETURN_IF_ERROR(stream_.Next(&batch_, milliseconds(500)));
  bool reply = false;
  for (const ServerMessage& message : batch_.messages()) {
    if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
      reply = reply || keepalive->reply_requested;
      continue;
    }
    RETURN_IF_ERROR(Take(std::get<XLogData>(message)));
    Confirm(false);
    if (options_.until && decoder_->position() >= *options_.until) return true;
  }
  Confirm(reply);
  ShowProgress();
  return options_.until && decoder_->position() >= *options_.until;
}

// What is verified is not needed again; a record's first part is.
void Follower::Confirm(bool now) {
  const Lsn at = decoder_->position();
  stream_.receiver().SetPositions(options_.slot ? Positions{at, at, at} : Positions{at, {}, {}});
  if (now) static_cast<void>(stream_.receiver().SendStatus());
}

void Follower::ShowProgress() {
  const auto now = Clock::now();
  if (!options_.on_progress || now < next_progress_) return;
  next_progress_ = now + milliseconds(200);
  const Lsn at = decoder_->position();
  const Lsn end = stream_.server_end();
  const uint64_t behind = end > at ? end - at : 0;
  std::chrono::duration<double> delay{0};
  if (behind > 0 && sent_ != ReplicationTime{})
    delay = std::max(delay, std::chrono::duration<double>(ReplicationNow() - sent_));
  options_.on_progress(
      {at, behind, delay, result_.records, check_.compared(), check_.different(), &stream_});
}

Result<VerifyResult> Follower::Run() {
  const auto started = Clock::now();
  Status outcome = Begin();
  while (outcome) {
    const auto done = Step();
    if (!done) outcome = tl::unexpected(done.error());
    if (done && *done) break;
  }
  if (!outcome && outcome.error().code != ErrorCode::kCancelled)
    return tl::unexpected(outcome.error());
  if (decoder_) {
    if (worker_) RETURN_IF_ERROR(check_.Finish(&*worker_));
    Confirm(false);
    result_.end = decoder_->position();
    result_.version = decoder_->version();
  }
  static_cast<void>(stream_.End());
  check_.AddTo(&result_);
  ListInOrder(&result_);
  result_.elapsed_seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return std::move(result_);
}

}  // namespace

Result<VerifyResult> VerifyFollow(const FollowOptions& options, const CancelSignal& cancel) {
  return Guarded([&] { return Follower(options, cancel).Run(); });
}

}  // namespace neon_redo
