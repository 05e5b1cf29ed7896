// What most source files of the library include, compiled once for each library (meson's cpp_pch):
// reading these headers is half of the compiler's work. A source file still includes all it uses,
// because the module and clang-tidy do without this file. Headers of the project are not here: each
// change to one would compile everything anew.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tl/expected.hpp>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
