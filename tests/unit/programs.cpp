#include "tests/unit/programs.h"

namespace neon_redo {

const char* const kFakeWorker = FAKE_WORKER;
const char* const kManagerWorker = MANAGER_WORKER;

}  // namespace neon_redo
