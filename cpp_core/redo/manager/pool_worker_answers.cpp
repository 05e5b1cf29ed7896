// Reading answers. They carry no header: that the k-th 8192 bytes are the k-th answer is known only
// because everything adds up. One stray byte on the worker's stdout would shift all later answers.
// Therefore an answer counts only if its LSN can be the requested page's, and if what follows it is
// nothing, or can be the beginning of the next. If not, no answer that is still under way counts.
//
// "Nothing follows" must be certain, or half an answer and the beginning of the next would pass for
// one. The pipe has room for all answers under way, so the worker's writes are whole answers and
// nothing can come between two halves of one; a read that leaves nothing in the pipe thus ends
// where the worker's last write did. One that fills all it was given never ends with a whole
// answer, as that is some pages and a half.
//
// Answers are read into the pages of those who asked, in the order of sent_.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cpp_core/pg/page.h"
#include "cpp_core/redo/manager/pool.h"
#include "cpp_core/redo/manager/pool_worker.h"

namespace neon_redo {

using Turn = PipeLoop::Turn;

// The caller has set driver_ before. own: the caller's attempt; null on the thread, which drives
// until nothing is under way.
void PoolWorker::DriveUntil(const AttemptPtr* own) {
  std::vector<AttemptPtr> answered;
  bool own_answered = false;
  Clock::time_point next_expiry;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const Clock::time_point now = Clock::now();
    const bool own_late = own != nullptr && now >= (*own)->deadline;
    if (failure_ || own_answered || own_late || (own == nullptr && !under_way())) break;
    if (own == nullptr) ChooseProcessor();
    const bool all_sent = SendMore();
    // The answer wakes us anyway; there is room in the pipe then, too.
    const bool answer_due = !sent_.empty() && sent_.front()->end <= frames_.sent();
    if (failure_ || !under_way()) continue;
    const Clock::time_point hung = HungAt(now);
    Clock::time_point deadline = hung;
    if (own != nullptr) {
      deadline = std::min(deadline, (*own)->deadline);
    } else {
      deadline = std::min(deadline, now + kDeadlineCheck);
    }
    iovec places[kAnswersAtOnce + 1];
    const std::span<const iovec> room(places, PlacesForAnswers(places));
    lock.unlock();
    size_t received = 0;
    const Turn turn =
        session_->pipe().WaitForSome(!all_sent && !answer_due, room, deadline, &received);
    lock.lock();
    pipe_full_ = false;
    have_ += received;
    if (turn == Turn::kClosed || turn == Turn::kSurplus ||
        (turn == Turn::kTimeout && under_way() && Clock::now() >= HungAt(Clock::now()))) {
      Fail(turn);
    } else if (have_ > 0 && !TakeAnswers(&answered)) {
      Fail(Turn::kSurplus);
    }
    if (own == nullptr && slow_sinks_ > 0 && now >= next_expiry) {
      Expire(&answered);
      next_expiry = now + kDeadlineCheck;
    }
    if (answered.empty()) continue;
    for (AttemptPtr& attempt : answered) {
      if (own != nullptr && attempt == *own) own_answered = true;
      if (own != nullptr && attempt->sink_is_slow) concluded_.push_back(std::move(attempt));
    }
    const bool over = own_answered || !under_way();
    const bool wake = own != nullptr && over && (under_way() || !concluded_.empty());
    if (over && own == nullptr) NoFlood();
    if (over) driver_ = Driver::kNobody;
    lock.unlock();
    if (wake) Wake();
    for (AttemptPtr& attempt : answered) {
      if (attempt) attempt->sink->Done(attempt);
    }
    answered.clear();
    if (over) return;
    lock.lock();
  }
  if (own == nullptr) NoFlood();
  driver_ = Driver::kNobody;
  if (own != nullptr) Wake();
}

// When there is a flooded worker for each processor, there is nothing to gain by moving: each has
// its own then, together with the thread that serves it. As long as a processor is free, or may be,
// the two of them get more done side by side.
void PoolWorker::ChooseProcessor() {
  if (!options_.follow_caller) return;
  if (!flooded_ && sent_.size() + unsent_.size() >= kFlood) pool_->CountFlooded(flooded_ = true);
  if (flooded_ && pool_->flooded() >= std::max(hold_.processors(), options_.max_workers)) {
    hold_.Pair(number_);
  } else {
    hold_.Unpair();
  }
}

// When the thread stops driving.
void PoolWorker::NoFlood() {
  if (std::exchange(flooded_, false)) pool_->CountFlooded(false);
  hold_.Unpair();
}

// When the worker counts as hung, if it does not answer before: after its timeout, or a while after
// the deadline of a request that no caller waits for any longer.
Clock::time_point PoolWorker::HungAt(Clock::time_point now) const {
  const Clock::time_point hung = head_since_ + options_.worker.timeout;
  if (sent_.empty()) return hung;
  const Attempt& head = *sent_.front();
  const Clock::time_point given_up = std::max(head_since_, head.deadline) + kAbandonedPatience;
  return now < given_up || head.settled() ? std::min(hung, given_up) : hung;
}

// Where the next bytes go: what is missing of the page that is begun, the pages after it, and half
// a page more. Only the driver takes attempts off sent_, so their pages stay.
size_t PoolWorker::PlacesForAnswers(iovec* places) {
  places_ = std::min(sent_.size(), kAnswersAtOnce);
  size_t count = 0;
  for (size_t i = have_ / kBlockSize; i < places_; ++i) {
    const size_t begun = i == have_ / kBlockSize ? have_ % kBlockSize : 0;
    places[count++] = {sent_[i]->page.data() + begun, kBlockSize - begun};
  }
  places[count++] = {beyond_, sizeof(beyond_)};
  return count;
}

// Takes the whole answers. False when they cannot be the answers to what was asked.
bool PoolWorker::TakeAnswers(std::vector<AttemptPtr>* answered) {
  const size_t whole = have_ / kBlockSize;
  const size_t rest = have_ % kBlockSize;
  const auto asked_in_full = [&](size_t i) {
    return i < sent_.size() && sent_[i]->end <= frames_.sent();
  };
  const size_t begun = whole + (rest > 0 ? 1 : 0);
  if (begun > 0 && !asked_in_full(begun - 1)) return false;
  if (begun > places_) std::memcpy(sent_[places_]->page.data(), beyond_, rest);
  for (size_t i = 0; i < begun; ++i) {
    const size_t size = i < whole ? kBlockSize : rest;
    if (size >= Attempt::kHeadSize && !sent_[i]->Plausible(sent_[i]->page.data(), size)) {
      return false;
    }
  }
  // An answer that has begun shows by its LSN where the one before it ends. A few bytes do not, nor
  // do zeroes: they may as well be missing there.
  const bool tells = rest == 0 || (rest >= Attempt::kHeadSize &&
                                   PageView(sent_[whole]->page.data()).lsn().valid());
  const size_t taken = tells ? whole : whole - std::min<size_t>(whole, 1);
  if (taken == 0) return true;
  for (size_t i = 0; i < taken; ++i) {
    AttemptPtr attempt = std::move(sent_.front());
    sent_.pop_front();
    Drop(attempt);
    ++answers_;
    if (i + 1 == taken) frames_.HasRead(attempt->end);
    if (!attempt->Settle()) continue;
    answered->push_back(std::move(attempt));
  }
  have_ -= taken * kBlockSize;
  head_since_ = Clock::now();
  return true;
}

// Settles attempts that no caller settles when their deadline passes. Abandoned ones stay in place.
void PoolWorker::Expire(std::vector<AttemptPtr>* expired) {
  const Clock::time_point now = Clock::now();
  for (const std::deque<AttemptPtr>* list : {&sent_, &unsent_}) {
    for (const AttemptPtr& attempt : *list) {
      if (!attempt->sink_is_slow || now < attempt->deadline || !attempt->Settle()) continue;
      attempt->status = MakeError(ErrorCode::kTimeout, "the deadline passed");
      expired->push_back(attempt);
    }
  }
}

}  // namespace neon_redo
