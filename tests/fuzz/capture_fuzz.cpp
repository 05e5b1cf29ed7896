// Capture files of failed requests. Input: the file. What is read is written and read again the
// same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cpp_core/redo/manager/capture.h"

using namespace neon_redo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto capture = ParseCapture(std::string(reinterpret_cast<const char*>(data), size));
  if (!capture) return 0;
  const Error error{ErrorCode::kWorker, (*capture)->error};
  const std::string text = FormatCapture((*capture)->request, error, *(*capture)->version);
  const auto again = ParseCapture(text);
  if (!again || FormatCapture((*again)->request, error, *(*again)->version) != text) std::abort();
  return 0;
}
