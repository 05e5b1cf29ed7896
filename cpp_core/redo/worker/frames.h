// The frames of the redo worker's pipe protocol, byte-compatible with Neon's (docs/protocol.md).
//
//   frame:  type (1 byte), length (4 bytes, big-endian; counts itself, not the type), payload
//   tag:    fork (1), tablespace (4), database (4), relation (4), block (4), big-endian: 17 bytes
//
// Freestanding: the worker inside PostgreSQL includes it too.
#ifndef NEON_REDO_REDO_WORKER_FRAMES_H_
#define NEON_REDO_REDO_WORKER_FRAMES_H_

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

enum FrameType : uint8_t {
  kFrameBegin = 'B',  // tag
  kFramePush = 'P',   // tag, 8192 bytes: the base image
  kFrameApply = 'A',  // end LSN (8, big-endian), one WAL record
  kFrameGet = 'G',    // tag; answered with exactly 8192 bytes and no header
  kFramePing = 'H',   // nothing; answered with 8192 zero bytes
};

inline constexpr size_t kFrameHeaderSize = 5;  // type and length
inline constexpr size_t kTagSize = 17;
inline constexpr size_t kBeginFrameSize = kFrameHeaderSize + kTagSize;
inline constexpr size_t kPushFrameSize = kFrameHeaderSize + kTagSize + kBlockSize;
inline constexpr size_t kApplyPrefixSize = kFrameHeaderSize + 8;  // before the record
inline constexpr size_t kGetFrameSize = kFrameHeaderSize + kTagSize;
inline constexpr size_t kPingFrameSize = kFrameHeaderSize;

// A worker that its sandbox kills writes this and the name of the system call, as one line, to its
// stderr.
inline constexpr char kViolationPrefix[] = "killed by the sandbox: ";

// Writes kTagSize bytes.
inline void StoreTag(uint8_t* out, const BlockTag& tag) {
  out[0] = tag.fork;
  StoreBe32(out + 1, tag.rel.spc);
  StoreBe32(out + 5, tag.rel.db);
  StoreBe32(out + 9, tag.rel.rel);
  StoreBe32(out + 13, tag.block);
}

// Reads kTagSize bytes. The fork is not checked.
inline BlockTag LoadTag(const uint8_t* in) {
  return BlockTag{{LoadBe32(in + 1), LoadBe32(in + 5), LoadBe32(in + 9)}, in[0], LoadBe32(in + 13)};
}

// Writes kFrameHeaderSize bytes. payload: bytes that will follow.
inline void StoreFrameHeader(uint8_t* out, FrameType type, uint32_t payload) {
  out[0] = type;
  StoreBe32(out + 1, payload + 4);
}

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_WORKER_FRAMES_H_
