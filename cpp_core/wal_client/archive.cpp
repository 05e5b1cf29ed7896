// A flush costs a disk's round trip, so one is made when it buys something: at the end of a segment
// (the writer's own), after every batch when synchronous, once per status interval if there is
// something to flush, and when the server asks for a reply. The last is how a server that shuts
// down learns that all its WAL is safe (WalSndDone in replication/walsender.c).
#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/base/try.h"
#include "cpp_core/wal_client/fork.h"
#include "cpp_core/wal_client/segment_writer.h"
#include "neon_redo/receiver.h"

namespace neon_redo {

using std::chrono::milliseconds;

// The public functions are those of WalArchive.
class WalArchive::Impl {
 public:
  Impl(ArchiveOptions options, const CancelSignal& cancel)
      : options_(std::move(options)), stream_(options_.stream, cancel) {}

  Status Begin();
  Result<bool> Step(milliseconds max_wait);
  Status Close();
  const SegmentWriter& writer() const { return *writer_; }
  WalStream& stream() { return stream_; }
  Lsn start() const { return start_; }

 private:
  using Clock = std::chrono::steady_clock;

  Result<ResumePoint> FindStart(const SystemIdentity& server);
  Result<ResumePoint> ContinueAfterFork(const SystemIdentity& server, ResumePoint there);
  Status EnsureSlot();
  Status FetchHistory(uint32_t timeline);
  Status Write(bool* reply_requested);
  Status FlushAndReport();
  void Report();
  bool reports_flush() const { return options_.slot || options_.synchronous; }

  const ArchiveOptions options_;
  uint32_t segment_size_ = 0;
  WalStream stream_;
  MessageBatch batch_;
  std::unique_ptr<SegmentWriter> writer_;
  Lsn start_;
  bool resumes_ = false;  // the directory had segments
  Clock::time_point last_flush_{};
};

Status WalArchive::Impl::Begin() {
  ASSIGN_OR_RETURN(const auto server, stream_.Connect());
  ASSIGN_OR_RETURN(const auto size, stream_.receiver().ReadSegmentSize());
  segment_size_ = size;
  ASSIGN_OR_RETURN(auto writer,
                   SegmentWriter::Open(options_.directory, segment_size_, options_.compression));
  writer_ = std::move(writer);
  const std::string warning = writer_->directory().OwnerWarning();
  if (!warning.empty()) options_.stream.on_event(warning);
  if (options_.slot && options_.create_slot) {
    RETURN_IF_ERROR(EnsureSlot());
  }
  ASSIGN_OR_RETURN(const auto from, FindStart(server));
  start_ = from.start;
  RETURN_IF_ERROR(writer_->Begin(from.timeline, from.start));
  RETURN_IF_ERROR(FetchHistory(from.timeline));
  if (resumes_ && options_.on_complete) options_.on_complete(from.start);
  last_flush_ = Clock::now();
  Report();
  return stream_.StartPhysical(options_.slot, from.start, from.timeline);
}

Status WalArchive::Impl::EnsureSlot() {
  SlotSpec spec;
  spec.name = *options_.slot;
  const auto created = stream_.receiver().CreateSlot(spec);
  if (created) return {};
  if (stream_.receiver().server_error().sqlstate == "42710") return {};  // it exists
  return tl::unexpected(created.error());
}

Result<ResumePoint> WalArchive::Impl::FindStart(const SystemIdentity& server) {
  ASSIGN_OR_RETURN(const auto there, writer_->FindResumePoint());
  if (there) {
    const uint64_t known = there->system_identifier;
    if (known != 0 && known != server.system_identifier)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("directory \"{}\" holds WAL of another system: its system "
                                   "identifier is {}, the server's is {}",
                                   options_.directory, known, server.system_identifier));
    for (const std::string& note : there->notes) options_.stream.on_event(note);
    resumes_ = true;
    return ContinueAfterFork(server, *there);
  }
  ResumePoint out{server.timeline, server.flushed, 0, {}};
  if (options_.slot) {
    ASSIGN_OR_RETURN(const auto slot, stream_.receiver().ReadSlot(*options_.slot));
    if (!slot)
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("replication slot \"{}\" does not exist; --create-slot makes it",
                                   *options_.slot));
    if (slot->restart.valid()) {
      out.start = slot->restart;
      if (slot->timeline != 0) out.timeline = slot->timeline;
    }
  }
  out.start = Lsn(out.start.value / segment_size_ * segment_size_);
  return out;
}

// A failover may have lost WAL that is in the directory. It stays there, on its own timeline; the
// directory continues as the server did.
Result<ResumePoint> WalArchive::Impl::ContinueAfterFork(const SystemIdentity& server,
                                                        ResumePoint there) {
  ASSIGN_OR_RETURN(const auto fork,
                   FindEarlierFork(&stream_.receiver(), server, there.timeline, there.start));
  if (!fork) return there;
  options_.stream.on_event(fmt::format(
      "timeline {} left timeline {} at {}, and the directory has WAL of timeline {} up to {}: what "
      "follows the fork was lost by the server and stays in the directory; continuing with timeline "
      "{}",
      fork->timeline, there.timeline, fork->start.ToString(), there.timeline,
      there.start.ToString(), fork->timeline));
  there.timeline = fork->timeline;
  there.start = Lsn(fork->start.value / segment_size_ * segment_size_);
  return there;
}

// Timeline 1 has none.
Status WalArchive::Impl::FetchHistory(uint32_t timeline) {
  if (timeline <= 1) return {};
  ASSIGN_OR_RETURN(const auto history, stream_.receiver().ReadTimelineHistory(timeline));
  return writer_->WriteHistory(history.file_name, history.content);
}

Result<bool> WalArchive::Impl::Step(milliseconds max_wait) {
  ASSIGN_OR_RETURN(const auto step, stream_.Next(&batch_, max_wait));
  if (step == WalStream::Step::kTimelineSwitch) {
    Status done = writer_->WriteHistory(stream_.history().file_name, stream_.history().content);
    if (done) done = writer_->SwitchTimeline(stream_.timeline());
    if (!done) return tl::unexpected(done.error());
  }
  bool reply_requested = false;
  const uint64_t complete = writer_->counts().segments;
  const Status written = Write(&reply_requested);
  if (!written) return tl::unexpected(written.error());
  if (writer_->counts().segments != complete && options_.on_complete)
    options_.on_complete(Lsn(writer_->written().value / segment_size_ * segment_size_));

  const bool until_reached = options_.until && writer_->written() >= *options_.until;
  const bool unflushed = writer_->flushed() < writer_->written();
  const auto interval = options_.stream.receiver.status_interval;
  const bool due = interval.count() > 0 && Clock::now() - last_flush_ >= interval;
  if ((unflushed && (options_.synchronous || due || until_reached)) || reply_requested) {
    RETURN_IF_ERROR(FlushAndReport());
  } else {
    Report();
  }
  return until_reached;
}

Status WalArchive::Impl::Write(bool* reply_requested) {
  for (const ServerMessage& message : batch_.messages()) {
    if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
      *reply_requested = *reply_requested || keepalive->reply_requested;
      continue;
    }
    const XLogData& wal = std::get<XLogData>(message);
    RETURN_IF_ERROR(writer_->Write(wal.start, wal.data));
  }
  return {};
}

void WalArchive::Impl::Report() {
  stream_.receiver().SetPositions(
      {writer_->written(), reports_flush() ? writer_->flushed() : Lsn(), Lsn()});
}

Status WalArchive::Impl::FlushAndReport() {
  if (reports_flush()) {
    RETURN_IF_ERROR(writer_->Flush());
  }
  last_flush_ = Clock::now();
  Report();
  // Should the connection be gone, the next Step says so.
  static_cast<void>(stream_.receiver().SendStatus());
  return {};
}

Status WalArchive::Impl::Close() {
  batch_.Clear();
  Status closed = writer_->Close();
  Report();
  // The WAL is safe whether or not the server hears it.
  static_cast<void>(stream_.End());
  return closed;
}

Result<std::unique_ptr<WalArchive>> WalArchive::Open(ArchiveOptions options,
                                                     const CancelSignal& cancel) {
  auto impl = std::make_unique<Impl>(std::move(options), cancel);
  RETURN_IF_ERROR(impl->Begin());
  return std::unique_ptr<WalArchive>(new WalArchive(std::move(impl)));
}
WalArchive::WalArchive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WalArchive::~WalArchive() = default;

Result<bool> WalArchive::Step(milliseconds max_wait) { return impl_->Step(max_wait); }
Status WalArchive::Close() { return impl_->Close(); }
Lsn WalArchive::start() const { return impl_->start(); }
Lsn WalArchive::written() const { return impl_->writer().written(); }
Lsn WalArchive::flushed() const { return impl_->writer().flushed(); }
ArchiveCounts WalArchive::counts() const { return impl_->writer().counts(); }
WalStream& WalArchive::stream() { return impl_->stream(); }

}  // namespace neon_redo
