// The loop over a worker's three pipes: writes, reads and drains its messages at once, so that
// neither side can block the other for good, however much is under way.
#ifndef NEON_REDO_REDO_WORKER_PIPE_LOOP_H_
#define NEON_REDO_REDO_WORKER_PIPE_LOOP_H_

#include <sys/uio.h>

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "cpp_core/redo/worker/out_queue.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

// The end of a stream, however long the stream or its lines are: at least the last kCapacity bytes
// that came (or all of them), and never more than twice as many.
class StreamTail {
 public:
  static constexpr size_t kCapacity = 65536;

  void Append(Bytes bytes);
  // Forgets what came so far.
  void Clear() { text_.clear(); }
  const std::string& text() const { return text_; }
  // The last line that begins with prefix, at most 100 printable characters of it; empty when there
  // is none.
  std::string LastLineWith(std::string_view prefix) const;
  // The same without the lines that begin with prefix.
  StreamTail WithoutLines(std::string_view prefix) const;
  // The end of it as one line for an error message: line ends become "; ", bytes that are no
  // printable ASCII become "?", and only the last few hundred bytes are kept.
  std::string OneLine() const;

 private:
  std::string text_;
};

// Not thread-safe. The descriptors are non-blocking and stay the caller's.
class PipeLoop {
 public:
  enum class Turn {
    kProgress,  // something was read or drained, or there is room to write
    kSurplus,   // the worker sent more than was asked for
    kClosed,    // the worker closed its output; errors of the pipe count as that
    kTimeout,   // nothing until the deadline
  };
  using Clock = std::chrono::steady_clock;

  PipeLoop(int input, int output, int error) : input_(input), output_(output), error_(error) {}

  // Writes what the pipe takes of out. False when it takes no more; kClosed follows in Wait when
  // that is for an error.
  bool Send(OutQueue* out);

  // Waits for an answer, for messages, or (more_to_send) for room to write; reads up to
  // answer.size() bytes into answer and sets *received.
  Turn Wait(bool more_to_send, std::span<uint8_t> answer, Clock::time_point deadline,
            size_t* received);

  // The same, but what exceeds the buffers stays in the pipe: for callers who cannot say how many
  // answers are due. Fills one buffer after the other.
  Turn WaitForSome(bool more_to_send, std::span<const iovec> buffers, Clock::time_point deadline,
                   size_t* received);

  // What an idle worker must not do: end (kClosed) or send (kSurplus). kProgress: it waits.
  Turn CheckIdle();

  // Reads the messages of a worker that has closed its output, until it closes them too or the
  // deadline.
  void DrainError(Clock::time_point deadline);

  // Messages since the start, or since they were last forgotten.
  const StreamTail& messages() const { return messages_; }
  void ForgetMessages() { messages_.Clear(); }

 private:
  // kProgress: see *readable.
  Turn WaitUntilReady(bool more_to_send, Clock::time_point deadline, bool* readable);
  void ReadError();

  int input_;
  int output_;
  int error_;  // -1 once closed by the worker
  StreamTail messages_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_PIPE_LOOP_H_
