#include "cpp_core/wal_server/unpacker.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/pg/wal_page.h"

namespace neon_redo {

SegmentUnpacker::SegmentUnpacker(const WalIdentity& identity, Background* background)
    : identity_(identity),
      most_(std::clamp<size_t>(kMostBytes / identity.segment_size, kFewestFiles, kMostFiles)),
      background_(background) {}

void SegmentUnpacker::Request(const std::shared_ptr<SegmentFile>& file) {
  file->is_unpacked = file->waits = true;
  queue_.push_back(file);
  Begin();
}

void SegmentUnpacker::Touch(const std::shared_ptr<SegmentFile>& file) {
  const auto at = std::find(files_.begin(), files_.end(), file);
  if (at != files_.end()) std::rotate(at, at + 1, files_.end());
}

void SegmentUnpacker::Begin() {
  while (!queue_.empty() && running_ < kThreads) {
    const std::weak_ptr<SegmentFile> waiting = queue_.front();
    queue_.pop_front();
    const auto file = waiting.lock();
    if (!file) continue;
    MakeRoom();
    const auto work = [this, waiting, segment = file->segment]() -> Background::Completion {
      std::optional<Result<UnpackedSegment>> unpacked;
      if (!waiting.expired())
        unpacked = Guarded([&] {
          return UnpackSegment(segment, identity_.segment_size, TemporaryDirectory(),
                               &background_->ending());
        });
      // A function can be copied, and a descriptor cannot.
      const auto result = std::make_shared<decltype(unpacked)>(std::move(unpacked));
      return [this, waiting, result] {
        running_--;
        const auto wanted = waiting.lock();
        if (wanted && *result) Finish(wanted, std::move(**result));
        Begin();
      };
    };
    if (const Status begun = background_->Run(work); begun) {
      running_++;
    } else {
      file->waits = false;
      file->failure = begun.error();
    }
  }
}

void SegmentUnpacker::MakeRoom() {
  while (files_.size() + running_ >= most_ && !files_.empty()) {
    auto victim = std::find_if(files_.begin(), files_.end(),
                               [](const auto& file) { return file.use_count() == 1; });
    if (victim == files_.end()) victim = files_.begin();
    const auto file = *victim;
    files_.erase(victim);
    if (file.use_count() > 1 && give_up_) give_up_(file);
    file->replaced = true;
    file->fd.Reset();
  }
}

void SegmentUnpacker::Finish(const std::shared_ptr<SegmentFile>& file,
                             Result<UnpackedSegment> unpacked) {
  file->waits = false;
  if (!unpacked) {
    file->failure = unpacked.error();
    return;
  }
  // Zeroes fill its last page, which may be read as a whole.
  file->segment.file_size =
      std::min<uint64_t>((unpacked->size + kWalPageMask) & ~kWalPageMask, identity_.segment_size);
  if (const Status judged = JudgeContent(identity_, unpacked->fd, &file->segment); !judged) {
    file->failure = judged.error();
    return;
  }
  file->fd = std::move(unpacked->fd);
  files_.push_back(file);
}

}  // namespace neon_redo
