// Tasks gather into batches, batches wait in a bounded queue, each thread takes one and drives it
// through its own worker with several requests under way. Nothing is ordered between tasks: every
// one carries its own base page.
#include "cpp_core/verify/redo_crew.h"

#include <utility>

namespace neon_redo {

namespace {
constexpr size_t kBatchSize = 64;
}

Result<std::unique_ptr<RedoCrew>> RedoCrew::Start(const WorkerOptions& options, int jobs,
                                                  Consumer consumer) {
  std::unique_ptr<RedoCrew> crew(new RedoCrew(4 * static_cast<size_t>(jobs), std::move(consumer)));
  for (int i = 0; i < jobs; i++)
    crew->threads_.emplace_back([c = crew.get(), options] { c->Run(options); });
  std::unique_lock lock(crew->mutex_);
  crew->changed_.wait(lock, [&] { return crew->started_ == crew->threads_.size(); });
  if (!crew->start_status_) return tl::unexpected(crew->start_status_.error());
  lock.unlock();
  return crew;
}

RedoCrew::~RedoCrew() {
  Flush();
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void RedoCrew::Submit(RedoTask task) {
  filling_.push_back(std::move(task));
  submitted_++;
  if (filling_.size() == kBatchSize) Flush();
}

void RedoCrew::Flush() {
  if (filling_.empty()) return;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.size() < queue_limit_; });
    queue_.push_back(std::exchange(filling_, {}));
  }
  changed_.notify_all();
}

void RedoCrew::Drain() {
  Flush();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && busy_ == 0; });
}

void RedoCrew::Run(const WorkerOptions& options) {
  RedoWorker worker(options);
  Status ready = worker.Ping();
  std::unique_lock lock(mutex_);
  if (!ready) start_status_ = std::move(ready);
  started_++;
  changed_.notify_all();
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Batch batch = std::move(queue_.front());
    queue_.pop_front();
    busy_++;
    lock.unlock();
    changed_.notify_all();
    Work(&worker, batch);
    lock.lock();
    busy_--;
    changed_.notify_all();
  }
}

void RedoCrew::Work(RedoWorker* worker, const Batch& batch) {
  size_t record_count = 0;
  for (const RedoTask& task : batch) record_count += task.records.size();
  std::vector<RedoRecord> records;
  records.reserve(record_count);  // spans into it must stay
  std::vector<RedoRequest> requests;
  for (const RedoTask& task : batch) {
    const RedoRecord* first = records.data() + records.size();
    for (const RecordPtr& record : task.records) records.push_back({record->end, record->bytes});
    requests.push_back(
        {task.tag, task.base ? task.base->data() : nullptr, std::span(first, task.records.size())});
  }
  std::vector<uint8_t> pages(batch.size() * kBlockSize);
  std::vector<Status> statuses(batch.size());
  worker->RedoBatch(requests, pages.data(), statuses);
  for (size_t i = 0; i < batch.size(); i++)
    consumer_(batch[i], pages.data() + i * kBlockSize, statuses[i]);
}

}  // namespace neon_redo
