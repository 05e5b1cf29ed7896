// Which of the two engines applies records.
#ifndef NEON_REDO_REDO_ENGINE_H_
#define NEON_REDO_REDO_ENGINE_H_

#include <cstdint>

namespace neon_redo {

enum class Engine : uint8_t {
  kAuto,    // in this process what the native engine supports, the rest by a sandboxed worker
  kNative,  // in this process only; no PostgreSQL is needed
  kWorker,  // all by a sandboxed worker
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_ENGINE_H_
