// Classic BPF as seccomp takes it (linux/filter.h, seccomp_check_filter in kernel/seccomp.c): one
// accumulator, loads of 32-bit words of struct seccomp_data, forward jumps, a return. Exploring
// keeps the arguments unknown: a comparison of an unknown word goes both ways, and each way
// remembers what it now knows of the word. Forward jumps only, so there is an end. An instruction
// that libseccomp does not generate ends the program: a test that guesses proves nothing.
#include "tests/hostile/filter.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace neon_redo {

namespace {

constexpr uint32_t kFirstArgument = offsetof(seccomp_data, args);

[[noreturn]] void Unknown(const sock_filter& instruction) {
  std::fprintf(stderr, "the filter has an instruction that is not understood: code 0x%x k 0x%x\n",
               instruction.code, instruction.k);
  std::abort();
}

bool Holds(const sock_filter& jump, uint32_t value) {
  switch (jump.code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
      return value == jump.k;
    case BPF_JMP | BPF_JGT | BPF_K:
      return value > jump.k;
    case BPF_JMP | BPF_JGE | BPF_K:
      return value >= jump.k;
    default:
      Unknown(jump);
  }
}

// What is known of one 32-bit word.
struct Word {
  std::optional<uint32_t> equal;
  std::set<uint32_t> unequal;
};

class Explorer {
 public:
  Explorer(const Filter& filter, uint32_t arch, uint32_t number, uint32_t self)
      : filter_(filter), self_(self) {
    Words known;
    known[offsetof(seccomp_data, nr)].equal = number;
    known[offsetof(seccomp_data, arch)].equal = arch;
    Walk(0, 0, known);
  }
  std::vector<FilterPath> Take() { return std::move(paths_); }

 private:
  using Words = std::map<uint32_t, Word>;

  void Walk(size_t at, uint32_t loaded, Words known);
  std::string Describe(const Words& known) const;

  const Filter& filter_;
  const uint32_t self_;
  std::vector<FilterPath> paths_;
};

// loaded: the offset of the word that is in the accumulator.
void Explorer::Walk(size_t at, uint32_t loaded, Words known) {
  for (;; ++at) {
    const sock_filter& instruction = filter_.at(at);
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        loaded = instruction.k;
        continue;
      case BPF_RET | BPF_K:
        paths_.push_back({Describe(known), instruction.k});
        return;
      case BPF_JMP | BPF_JA:
        at += instruction.k;
        continue;
      default:
        break;
    }
    Word& word = known[loaded];
    if (word.equal) {
      at += Holds(instruction, *word.equal) ? instruction.jt : instruction.jf;
      continue;
    }
    if (instruction.code != (BPF_JMP | BPF_JEQ | BPF_K)) Unknown(instruction);
    if (!word.unequal.contains(instruction.k)) {
      Words then = known;
      then[loaded].equal = instruction.k;
      Walk(at + 1 + instruction.jt, loaded, then);
    }
    word.unequal.insert(instruction.k);
    at += instruction.jf;
  }
}

std::string Explorer::Describe(const Words& known) const {
  std::string text;
  for (unsigned argument = 0; argument < 6; ++argument) {
    const uint32_t offset = kFirstArgument + 8 * argument;
    const auto low = known.find(offset);
    const auto high = known.find(offset + 4);
    if (low == known.end() && high == known.end()) continue;
    if (!text.empty()) text += ", ";
    text += "arg" + std::to_string(argument);
    const bool whole =
        low != known.end() && low->second.equal && high != known.end() && high->second.equal == 0u;
    if (whole) {
      const uint32_t value = *low->second.equal;
      text += " = " + (value == self_ ? "self" : std::to_string(value));
    } else {
      text += " else";
    }
  }
  return text;
}

}  // namespace

uint32_t RunFilter(const Filter& filter, const seccomp_data& call) {
  uint32_t accumulator = 0;
  for (size_t at = 0;; ++at) {
    const sock_filter& instruction = filter.at(at);
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&call) + instruction.k, 4);
        break;
      case BPF_RET | BPF_K:
        return instruction.k;
      case BPF_JMP | BPF_JA:
        at += instruction.k;
        break;
      default:
        at += Holds(instruction, accumulator) ? instruction.jt : instruction.jf;
    }
  }
}

std::string ActionName(uint32_t action) {
  switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return "allow";
    case SECCOMP_RET_ERRNO:
      return "errno " + std::to_string(action & SECCOMP_RET_DATA);
    case SECCOMP_RET_TRAP:
      return "trap";
    case SECCOMP_RET_LOG:
      return "log";
    case SECCOMP_RET_KILL_PROCESS:
      return "kill";
    default:
      return "action " + std::to_string(action);
  }
}

std::vector<FilterPath> ExploreFilter(const Filter& filter, uint32_t arch, uint32_t number,
                                      uint32_t self) {
  return Explorer(filter, arch, number, self).Take();
}

}  // namespace neon_redo
