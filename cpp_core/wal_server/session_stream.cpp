// START_REPLICATION and what follows it, after StartReplication, XLogSendPhysical and WalSndDone in
// replication/walsender.c. A message carries up to kMaxSend of one segment, ends at a WAL page's
// end where more is to come, and never goes past the end of valid WAL, which is the end of a
// record: a walreceiver relies on records not being split but at page boundaries.
#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal_server/session.h"

namespace neon_redo {

void Session::Execute(const command::StartPhysical& start) {
  if (start.slot && !AcquireSlot(*start.slot)) return;
  if (!ChooseTimeline(start)) return ReleaseSlot();
  done_sending_ = done_receiving_ = caught_up_ = waiting_for_reply_ = false;
  statistics_.timeline = timeline_;
  if (historic_ && start.start >= valid_until_) return FinishStreaming();

  statistics_.state = SenderState::kCatchup;
  phase_ = Phase::kStreaming;
  PutCopyBoth(output_.bytes());
  const Lsn end = host_.source->end();
  if (end < start.start)
    return Refuse("XX000", fmt::format("requested starting point {} is ahead of the WAL flush "
                                       "position of this server {}",
                                       start.start.ToString(), end.ToString()));
  statistics_.sent = start.start;
  statistics_.status = {};
  statistics_.status_received.reset();
  statistics_.stream_start = last_reply_ = now_;
  CloseSegments();
}

bool Session::ChooseTimeline(const command::StartPhysical& start) {
  const WalSource& source = *host_.source;
  timeline_ = start.timeline == 0 ? source.timeline() : start.timeline;
  historic_ = timeline_ != source.timeline();
  valid_until_ = Lsn();
  next_timeline_ = 0;
  if (!historic_) return true;
  const auto left = source.FindTimeline(timeline_);
  if (!left) {
    Refuse("XX000",
           fmt::format("requested timeline {} is not in this server's history", timeline_));
    return false;
  }
  if (left->at < start.start) {
    Refuse("XX000",
           fmt::format("requested starting point {} on timeline {} is not in this server's history",
                       start.start.ToString(), timeline_),
           fmt::format("This server's history forked from timeline {} at {}.", timeline_,
                       left->at.ToString()));
    return false;
  }
  valid_until_ = left->at;
  next_timeline_ = left->next;
  return true;
}

bool Session::AcquireSlot(const std::string& name) {
  if (!MayUse(name)) return false;
  Slot* slot = host_.slots->Find(name);
  if (!slot) {
    Refuse("42704", fmt::format("replication slot \"{}\" does not exist", name));
    return false;
  }
  if (slot->active != 0 && slot->active != id_) {
    Refuse("55006",
           fmt::format("replication slot \"{}\" is active for PID {}", name, slot->active));
    return false;
  }
  slot->active = id_;
  statistics_.slot = name;
  return true;
}

// A temporary slot stays its maker's.
void Session::ReleaseSlot() {
  if (statistics_.slot.empty()) return;
  if (Slot* slot = host_.slots->Find(statistics_.slot); slot && !slot->temporary) slot->active = 0;
  statistics_.slot.clear();
}

void Session::HandleStreamMessage(char type, std::string_view body) {
  if (type == 'X') return Break("");
  if (type != 'd' && type != 'c')
    return Fail(Severity::kFatal,
                {"08P01", fmt::format("invalid standby message type \"{}\"", type)});
  last_reply_ = now_;
  waiting_for_reply_ = false;
  if (type == 'c') {
    if (!done_sending_) PutCopyDone(output_.bytes());
    done_sending_ = done_receiving_ = true;
    return FinishStreaming();
  }
  const auto message =
      DecodeClientMessage(Bytes(reinterpret_cast<const uint8_t*>(body.data()), body.size()));
  if (!message) return Fail(Severity::kFatal, {"08P01", message.error().message});
  if (const auto* status = std::get_if<StandbyStatus>(&*message))
    HandleStatus(*status);
  else
    statistics_.feedback = std::get<HotStandbyFeedback>(*message);
}

void Session::HandleStatus(const StandbyStatus& status) {
  statistics_.status = status;
  statistics_.status_received = now_;
  if (status.reply_requested) PutKeepaliveMessage(false);
  if (statistics_.slot.empty() || !status.flushed.valid()) return;
  Slot* slot = host_.slots->Find(statistics_.slot);
  if (!slot || slot->restart == status.flushed) return;
  slot->restart = status.flushed;
  if (!slot->temporary) host_.slots->MarkChanged();
}

void Session::PutKeepaliveMessage(bool reply_requested) {
  if (reply_requested) waiting_for_reply_ = true;
  PutKeepalive(output_.bytes(), {statistics_.sent, ReplicationNow(), reply_requested});
}

// The timeline that is sent may have been left meanwhile. False: it ended in an error.
bool Session::FollowTimeline() {
  if (historic_ || host_.source->timeline() == timeline_) return true;
  const auto left = host_.source->FindTimeline(timeline_);
  if (!left) {
    Refuse("XX000",
           fmt::format("requested timeline {} is not in this server's history", timeline_));
    return false;
  }
  historic_ = true;
  valid_until_ = left->at;
  next_timeline_ = left->next;
  CloseSegments();
  return true;
}

// Just after a switch, the next timeline's first file may still be in the making.
Lsn Session::SendLimit() const {
  const Lsn end = host_.source->end();
  return historic_ ? std::min(valid_until_, end) : end;
}

// In the segment where a timeline was left, its WAL is read from the file of the next timeline,
// which begins with the same bytes (WalSndSegmentOpen).
uint32_t Session::TimelineOfSegment(uint64_t number) const {
  return historic_ && number == valid_until_.value / host_.source->segment_size() ? next_timeline_
                                                                                  : timeline_;
}

// False: it ended in an error.
bool Session::OpenSegmentFor(Lsn lsn) {
  const uint64_t number = lsn.value / host_.source->segment_size();
  if (segment_ && segment_number_ == number && !segment_->replaced) return true;
  auto segment = host_.source->OpenSegment(TimelineOfSegment(number), number);
  if (!segment) {
    RefuseWith(segment.error());
    return false;
  }
  segment_ = std::move(*segment);
  segment_number_ = number;
  return true;
}

// The segment of the LSN, if it can be sent from now.
Session::Opened Session::PrepareSegment(Lsn lsn) {
  if (!OpenSegmentFor(lsn)) return Opened::kFailed;
  // It had another name by the time that it was decompressed.
  if (segment_->failure && segment_->failure->code == ErrorCode::kNotFound && !opened_again_) {
    opened_again_ = true;
    segment_.reset();
    if (!OpenSegmentFor(lsn)) return Opened::kFailed;
  }
  if (segment_->waits) return Opened::kWaits;
  if (segment_->failure) {
    const Error error = *segment_->failure;
    RefuseWith({error.code,
                fmt::format("could not send WAL from LSN {}: {}", lsn.ToString(), error.message)});
    return Opened::kFailed;
  }
  opened_again_ = false;
  return Opened::kReady;
}

// Once for each segment, so that the client need not wait where it ends.
void Session::DecompressAhead(Lsn limit) {
  const uint64_t next = segment_number_ + 1;
  if (!segment_->is_unpacked || ahead_number_ == next) return;
  ahead_number_ = next;
  ahead_.reset();
  if (Lsn(next * host_.source->segment_size()) < limit)
    ahead_ = host_.source->OpenAhead(TimelineOfSegment(next), next);
}

// Appends one message of WAL, or what stands at its end. False: there is nothing to send.
bool Session::SendWal() {
  if (done_sending_) return false;
  if (!FollowTimeline()) return true;
  const Lsn sent = statistics_.sent;
  const Lsn limit = SendLimit();
  if (historic_ && valid_until_ <= sent) {
    EndOfTimeline();
    return true;
  }
  if (limit <= sent) {
    caught_up_ = true;
    if (statistics_.state == SenderState::kCatchup) statistics_.state = SenderState::kStreaming;
    if (stopping_) FinishStopping();
    return !output_.empty();
  }
  caught_up_ = false;
  const Opened opened = PrepareSegment(sent);
  awaits_segment_ = opened == Opened::kWaits;
  if (awaits_segment_) return !output_.empty();
  if (opened == Opened::kFailed) return true;
  const uint64_t segment_size = host_.source->segment_size();
  uint64_t end = std::min(sent.value + kMaxSend, (segment_number_ + 1) * segment_size);
  end = end >= limit.value ? limit.value : end & ~kWalPageMask;
  const uint64_t offset = sent.value % segment_size;
  const auto length = static_cast<uint32_t>(end - sent.value);
  if (const auto bad = host_.source->FirstBadPage(segment_.get(), offset, offset + length)) {
    RefuseWith({ErrorCode::kCorrupt,
                fmt::format("WAL segment file \"{}\" is damaged: at offset {}, LSN {}, there is no "
                            "page of this WAL",
                            segment_->segment.path, *bad,
                            Lsn(segment_number_ * segment_size + *bad).ToString())});
    return true;
  }
  DecompressAhead(limit);
  PutXLogDataHeader(output_.bytes(), {sent, limit, ReplicationNow(), {}}, length);
  output_.AppendRange({segment_, offset, length});
  statistics_.sent = Lsn(end);
  statistics_.bytes_sent += length;
  return true;
}

void Session::CloseSegments() {
  segment_.reset();
  ahead_.reset();
  ahead_number_ = 0;
  awaits_segment_ = opened_again_ = false;
}

void Session::EndOfTimeline() {
  PutCopyDone(output_.bytes());
  done_sending_ = true;
  CloseSegments();
}

// Copying has ended in both directions: what follows the timeline, and the next command.
void Session::FinishStreaming() {
  ReleaseSlot();
  CloseSegments();
  caught_up_ = false;
  phase_ = Phase::kCommands;
  statistics_.state = SenderState::kStartup;
  if (historic_)
    PutResult(output_.bytes(),
              {{"next_tli", ColumnType::kInt8}, {"next_tli_startpos", ColumnType::kText}},
              {std::to_string(next_timeline_), valid_until_.ToString()});
  PutCommandComplete(output_.bytes(), "START_STREAMING");
  Complete("START_REPLICATION");
  if (stopping_) closing_ = true;
}

// All is sent: the connection ends once the client has it too, by its flush position if it reports
// one.
void Session::FinishStopping() {
  const StandbyStatus& status = statistics_.status;
  const Lsn replicated = status.flushed.valid() ? status.flushed : status.written;
  if (replicated >= statistics_.sent) {
    PutCopyDone(output_.bytes());
    PutCommandComplete(output_.bytes(), "COPY 0");
    done_sending_ = true;
    closing_ = true;
  } else if (!waiting_for_reply_) {
    PutKeepaliveMessage(true);
  }
}

}  // namespace neon_redo
