// A system call filter as data: what the kernel would do with it, call by call.
#ifndef NEON_REDO_TESTS_HOSTILE_FILTER_H_
#define NEON_REDO_TESTS_HOSTILE_FILTER_H_

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

namespace neon_redo {

using Filter = std::vector<sock_filter>;

// What the filter answers to this call (SECCOMP_RET_…, with its data).
uint32_t RunFilter(const Filter& filter, const seccomp_data& call);

// "allow", "errno 12", "trap", "kill", …
std::string ActionName(uint32_t action);

// One way through the filter for a call: what it found in the arguments, and its answer.
struct FilterPath {
  std::string condition;  // "" or "arg0 = 1, arg2 = 6"
  uint32_t action;
};

// Every way through the filter for this call number, whatever its arguments. Of an argument only
// what the filter looked at is in the condition. self: a number to show as "self".
std::vector<FilterPath> ExploreFilter(const Filter& filter, uint32_t arch, uint32_t number,
                                      uint32_t self);

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_HOSTILE_FILTER_H_
