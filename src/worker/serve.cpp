// Input is read in large pieces into one linear buffer, and every complete frame in it is served
// before the next read. A page is built in the place it is written from. The answers of one such
// round lie one after another in the output buffer and are sent with one write, at the latest when
// no complete frame is left. So no answer waits for input. Rounds of pings alone build no answers:
// they are written from memory that is never written to.
#include "src/worker/serve.h"

#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cpp_core/redo/worker/frames.h"
#include "src/server.h"
#include "src/worker/engine.h"

namespace neon_redo {

namespace {

constexpr size_t kOutputPages = 32;  // answers of one write, and one page being built
constexpr size_t kMaxFrame =
    kApplyPrefixSize + 0x3fffffff;  // a record is below 1 GB (MaxAllocSize)

size_t input_room = 256 * 1024;  // usual size of input, which grows only for a longer frame
uint8_t* input;                  // linear buffer; [input_begin, input_end) is not served yet
size_t input_size;
size_t input_begin;
size_t input_end;
uint8_t* output;         // kOutputPages + 1 pages, page-aligned
size_t output_pages;     // finished answers
bool only_pings = true;  // all of them are zeroes, and output does not contain them yet
bool in_request;         // between B and G
BlockTag request_tag;

// Never written, so the kernel maps its one page of zeroes for every page of it. The client's copy
// then comes from the nearest cache, and the array costs no memory.
uint8_t zeroes[kOutputPages * kBlockSize];

[[noreturn]] void Refuse(const char* what) {
  ereport(FATAL,
          (errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("invalid frame from the client: %s", what)));
  _exit(1);
}

// Writes the finished answers and removes them. Returns false, with errno, if the write fails.
bool WriteAnswers() {
  const uint8_t* p = only_pings ? zeroes : output;
  size_t left = output_pages * kBlockSize;
  output_pages = 0;  // also on failure, since WriteLastAnswers must not write them again
  only_pings = !in_request;
  while (left > 0) {
    const ssize_t n = write(STDOUT_FILENO, p, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    left -= static_cast<size_t>(n);
  }
  return true;
}

// The page after the finished answers, in which the next answer is built.
uint8_t* NextPage() { return output + output_pages * kBlockSize; }

// Writes the pings' zeroes into output. Call it before another answer is built there.
void BuildPings() {
  if (only_pings) memset(output, 0, output_pages * kBlockSize);
  only_pings = false;
}

// Sends the finished answers. An unfinished request keeps its page.
void Flush() {
  if (output_pages == 0) return;
  uint8_t* page = NextPage();
  if (!WriteAnswers()) ereport(FATAL, (errmsg("could not write an answer: %m")));
  if (in_request) MovePage(output, page);
}

void CountAnswer() {
  output_pages++;
  if (output_pages == kOutputPages) Flush();
}

// Reads at least one byte, and first enlarges the buffer if the current frame needs more room.
// needed: bytes from input_begin to the end of that frame, as far as known. Returns false at end of
// file.
bool ReadMore(size_t needed) {
  if (input_begin == input_end) {
    input_begin = input_end = 0;
    if (input_size > input_room && needed <= input_room) {
      free(input);
      input_size = input_room;
      input = static_cast<uint8_t*>(malloc(input_size));
    }
  } else if (input_begin + needed > input_size) {
    memmove(input, input + input_begin, input_end - input_begin);
    input_end -= input_begin;
    input_begin = 0;
  }
  if (input_end == input_size) {
    // Doubled rather than set to `needed`, because a client could claim a length without sending
    // it.
    input_size = needed < 2 * input_size ? needed : 2 * input_size;
    input = static_cast<uint8_t*>(realloc(input, input_size));
  }
  if (input == nullptr)
    ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY),
                    errmsg("out of memory for a record of %zu bytes", needed)));
  for (;;) {
    ssize_t n = read(STDIN_FILENO, input + input_end, input_size - input_end);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ereport(FATAL, (errmsg("could not read a request: %m")));
    input_end += static_cast<size_t>(n);
    return n > 0;
  }
}

void CheckTag(const uint8_t* payload) {
  if (!in_request) Refuse("P, A or G before B");
  if (LoadTag(payload) != request_tag) Refuse("the block differs from that of the last B");
}

void CheckLength(size_t length, size_t expected) {
  if (length != expected) Refuse("the length does not fit the type");
}

// Serves one complete frame: type, length and payload.
void ServeFrame(uint8_t* frame, size_t length) {
  uint8_t* payload = frame + kFrameHeaderSize;
  switch (frame[0]) {
    case kFrameBegin:
      request_tag = LoadTag(payload);
      if (request_tag.fork > kMaxForkNumber) Refuse("the fork does not exist");
      in_request = true;
      BuildPings();
      BeginRequest(request_tag, NextPage());
      break;
    case kFramePush:
      CheckTag(payload);
      PushBase(payload + kTagSize);
      break;
    case kFrameApply:
      if (!in_request) Refuse("P, A or G before B");
      ApplyRecord(LoadBe64(payload), payload + 8, static_cast<uint32_t>(length - kApplyPrefixSize));
      break;
    case kFrameGet:
      CheckTag(payload);
      if (!HavePage()) Refuse("G, but no page was pushed and no record applied");
      EndRequest();
      in_request = false;
      CountAnswer();
      break;
    case kFramePing:  // may come inside a request, whose page then moves after the answer
      if (in_request) MovePage(NextPage() + kBlockSize, NextPage());
      if (!only_pings) memset(NextPage(), 0, kBlockSize);
      CountAnswer();
      break;
  }
}

// The frame's length from its header, checked against its type. The frame must have at least
// kFrameHeaderSize bytes.
size_t FrameLength(const uint8_t* frame) {
  const size_t length = size_t{1} + LoadBe32(frame + 1);
  switch (frame[0]) {
    case kFrameBegin:
    case kFrameGet:
      CheckLength(length, kBeginFrameSize);
      break;
    case kFramePush:
      CheckLength(length, kPushFrameSize);
      break;
    case kFramePing:
      CheckLength(length, kPingFrameSize);
      break;
    case kFrameApply:
      if (length <= kApplyPrefixSize || length > kMaxFrame)
        Refuse("the length of A leaves no room for a record, or is above 1 GB");
      break;
    default:
      Refuse("the type is not B, P, A, G or H");
  }
  return length;
}

}  // namespace

void WriteLastAnswers() { (void)WriteAnswers(); }

void Serve() {
  input = static_cast<uint8_t*>(malloc(input_room));
  output = static_cast<uint8_t*>(aligned_alloc(4096, (kOutputPages + 1) * kBlockSize));
  if (input == nullptr || output == nullptr)
    ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  input_size = input_room;

  size_t needed = kFrameHeaderSize;
  for (;;) {
    const size_t have = input_end - input_begin;
    if (have >= kFrameHeaderSize) {
      needed = FrameLength(input + input_begin);
      if (have >= needed) {
        ServeFrame(input + input_begin, needed);
        input_begin += needed;
        continue;
      }
    } else {
      needed = kFrameHeaderSize;
    }
    Flush();
    if (!ReadMore(needed)) {
      if (input_begin != input_end) Refuse("the input ends inside a frame");
      return;
    }
  }
}

}  // namespace neon_redo
