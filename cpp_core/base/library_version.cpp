#include "neon_redo/version.h"

#include <string_view>

namespace neon_redo {

namespace {
#define NEON_REDO_TEXT_OF(x) #x
#define NEON_REDO_TEXT(x) NEON_REDO_TEXT_OF(x)
// meson.build has the version too.
static_assert(
    std::string_view(NEON_REDO_VERSION) ==
        NEON_REDO_TEXT(NEON_REDO_VERSION_MAJOR) "." NEON_REDO_TEXT(NEON_REDO_VERSION_MINOR) &&
    NEON_REDO_VERSION_PATCH == 0);
}  // namespace

const char* LibraryVersion() { return NEON_REDO_VERSION; }

int LibraryVersionNumber() { return NEON_REDO_VERSION_NUMBER; }

}  // namespace neon_redo
