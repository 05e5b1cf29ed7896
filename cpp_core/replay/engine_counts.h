// Which engine applied what, and why not the native one.
#ifndef NEON_REDO_REPLAY_ENGINE_COUNTS_H_
#define NEON_REDO_REPLAY_ENGINE_COUNTS_H_

#include <array>
#include <cstdint>

namespace neon_redo {

// Changes: one for each record and block it changes.
struct ChangeCounts {
  uint64_t native = 0;       // applied in this process
  uint64_t unsupported = 0;  // the native engine has no code for it
  uint64_t malformed = 0;    // record and page do not fit, by the native engine's judgement
  uint64_t behind = 0;       // supported, but behind one of the same block that was not
  uint64_t chosen = 0;       // the native engine was not asked (engine = worker)

  uint64_t total() const { return native + unsupported + malformed + behind + chosen; }
  void Add(const ChangeCounts& other) {
    native += other.native;
    unsupported += other.unsupported;
    malformed += other.malformed;
    behind += other.behind;
    chosen += other.chosen;
  }
};

// A value of about 160 kB. Not thread-safe: one for each thread, added up.
struct EngineCounts {
  // By resource manager and operation (xl_info >> 4).
  std::array<std::array<ChangeCounts, 16>, 256> of{};

  ChangeCounts& At(uint8_t rmid, uint8_t info) { return of[rmid][info >> 4]; }
  ChangeCounts Total() const {
    ChangeCounts sum;
    for (const auto& operations : of)
      for (const ChangeCounts& c : operations) sum.Add(c);
    return sum;
  }
  void Add(const EngineCounts& other) {
    for (size_t rmid = 0; rmid < of.size(); rmid++)
      for (size_t op = 0; op < of[rmid].size(); op++) of[rmid][op].Add(other.of[rmid][op]);
  }
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_ENGINE_COUNTS_H_
