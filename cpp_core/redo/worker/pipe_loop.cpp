#include "cpp_core/redo/worker/pipe_loop.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cpp_core/base/deadline.h"

namespace neon_redo {

namespace {

bool TryAgain() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

void StreamTail::Append(Bytes bytes) {
  if (bytes.size() > kCapacity) bytes = bytes.last(kCapacity);
  // Trimmed by halves, so that an endless stream is not moved at every read.
  if (text_.size() + bytes.size() > 2 * kCapacity) text_.erase(0, text_.size() - kCapacity);
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string StreamTail::OneLine() const {
  constexpr size_t kLength = 600;
  std::string_view end = text_;
  while (!end.empty() && (end.back() == '\n' || end.back() == ' ')) end.remove_suffix(1);
  std::string line;
  if (end.size() > kLength) {
    end = end.substr(end.size() - kLength);
    const size_t start = end.find('\n');
    if (start != std::string_view::npos) {
      end = end.substr(start + 1);
    } else {
      line = "…";
    }
  }
  for (char c : end) {
    if (c == '\n') {
      line += "; ";
    } else if (c == '\t') {
      line += ' ';
    } else {
      line += c >= ' ' && c < 127 ? c : '?';
    }
  }
  return line;
}

std::string StreamTail::LastLineWith(std::string_view prefix) const {
  constexpr size_t kLength = 100;
  size_t at = text_.rfind(prefix);
  while (at != std::string::npos && at > 0 && text_[at - 1] != '\n')
    at = text_.rfind(prefix, at - 1);
  if (at == std::string::npos) return {};
  std::string line = text_.substr(at, std::min(text_.find('\n', at) - at, kLength));
  for (char& c : line) {
    if (c < ' ' || c >= 127) c = '?';
  }
  return line;
}

StreamTail StreamTail::WithoutLines(std::string_view prefix) const {
  StreamTail rest;
  for (size_t at = 0; at < text_.size();) {
    const size_t end = std::min(text_.find('\n', at), text_.size() - 1) + 1;
    const std::string_view line = std::string_view(text_).substr(at, end - at);
    if (!line.starts_with(prefix)) rest.text_ += line;
    at = end;
  }
  return rest;
}

bool PipeLoop::Send(OutQueue* out) {
  while (!out->empty()) {
    if (out->WriteTo(input_) < 0 && errno != EINTR) return false;
  }
  return true;
}

PipeLoop::Turn PipeLoop::WaitUntilReady(bool more_to_send, Clock::time_point deadline,
                                        bool* readable) {
  *readable = false;
  pollfd ready[3] = {
      {output_, POLLIN, 0}, {error_, POLLIN, 0}, {more_to_send ? input_ : -1, POLLOUT, 0}};
  const int count = poll(ready, 3, PollTimeout(deadline));
  if (count < 0) return errno == EINTR ? Turn::kProgress : Turn::kClosed;
  if (count == 0) return Turn::kTimeout;
  if (ready[1].revents != 0) ReadError();
  *readable = ready[0].revents != 0;
  return *readable || Clock::now() < deadline ? Turn::kProgress : Turn::kTimeout;
}

PipeLoop::Turn PipeLoop::Wait(bool more_to_send, std::span<uint8_t> answer,
                              Clock::time_point deadline, size_t* received) {
  *received = 0;
  bool readable;
  const Turn turn = WaitUntilReady(more_to_send, deadline, &readable);
  if (!readable) return turn;
  // One byte more than asked for, to notice a worker that sends more.
  uint8_t surplus;
  const iovec vectors[2] = {{answer.data(), answer.size()}, {&surplus, 1}};
  const ssize_t n = readv(output_, vectors, 2);
  if (n < 0) return TryAgain() ? Turn::kProgress : Turn::kClosed;
  if (n == 0) return Turn::kClosed;
  if (static_cast<size_t>(n) > answer.size()) return Turn::kSurplus;
  *received = static_cast<size_t>(n);
  return Turn::kProgress;
}

PipeLoop::Turn PipeLoop::WaitForSome(bool more_to_send, std::span<const iovec> buffers,
                                     Clock::time_point deadline, size_t* received) {
  *received = 0;
  bool readable;
  const Turn turn = WaitUntilReady(more_to_send, deadline, &readable);
  if (!readable) return turn;
  const ssize_t n = readv(output_, buffers.data(), static_cast<int>(buffers.size()));
  if (n < 0) return TryAgain() ? Turn::kProgress : Turn::kClosed;
  if (n == 0) return Turn::kClosed;
  *received = static_cast<size_t>(n);
  return Turn::kProgress;
}

PipeLoop::Turn PipeLoop::CheckIdle() {
  uint8_t surplus;
  const ssize_t n = read(output_, &surplus, 1);
  if (n > 0) return Turn::kSurplus;
  return n < 0 && TryAgain() ? Turn::kProgress : Turn::kClosed;
}

void PipeLoop::ReadError() {
  uint8_t buffer[16384];
  const ssize_t n = read(error_, buffer, sizeof(buffer));
  if (n > 0) {
    messages_.Append(Bytes(buffer, static_cast<size_t>(n)));
  } else if (n == 0 || !TryAgain()) {
    error_ = -1;
  }
}

void PipeLoop::DrainError(Clock::time_point deadline) {
  while (error_ >= 0) {
    pollfd ready{error_, POLLIN, 0};
    const int count = poll(&ready, 1, PollTimeout(deadline));
    if (count == 0 || (count < 0 && errno != EINTR)) return;
    if (count > 0) ReadError();
    if (Clock::now() >= deadline) return;
  }
}

}  // namespace neon_redo
