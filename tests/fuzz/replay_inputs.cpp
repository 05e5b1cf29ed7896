// The main of a fuzz target without libFuzzer, for make test: replay_inputs [--mutate N] PATH...
// Runs every file below the paths, and N mutations of each, the same in every run. A finding ends
// the program, by the sanitizers or abort(); the input is then in ./finding.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

void Run(const Input& input) {
  // Exactly its size, for AddressSanitizer.
  const Input copy(input);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

Input Mutate(Input input, std::mt19937* random) {
  auto below = [random](size_t n) { return n == 0 ? 0 : (*random)() % n; };
  for (size_t left = 1 + below(4); left > 0 && !input.empty(); --left) {
    const size_t at = below(input.size());
    const auto place = input.begin() + static_cast<ptrdiff_t>(at);
    switch (below(6)) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        input[at] = static_cast<uint8_t>(below(256));
        break;
      case 2:
        input[at] = below(2) != 0 ? 0xff : 0;
        break;
      case 3:
        input.erase(place, place + static_cast<ptrdiff_t>(1 + below(input.size() - at)));
        break;
      case 4:
        input.insert(place, 1 + below(16), static_cast<uint8_t>(below(256)));
        break;
      case 5: {
        const Input piece(place, place + static_cast<ptrdiff_t>(1 + below(input.size() - at)));
        if (piece.size() < 65536) {
          const auto to = static_cast<ptrdiff_t>(below(input.size()));
          input.insert(input.begin() + to, piece.begin(), piece.end());
        }
        break;
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  size_t mutations = 0;
  uint64_t runs = 0;
  std::mt19937 random(15);
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--mutate" && i + 1 < argc) {
      mutations = std::stoul(argv[++i]);
      continue;
    }
    if (!std::filesystem::is_directory(argv[i])) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const Input seed{std::istreambuf_iterator<char>(file), {}};
      Run(seed);
      for (size_t m = 0; m < mutations; ++m) Run(Mutate(seed, &random));
      runs += 1 + mutations;
    }
  }
  std::printf("%llu runs\n", static_cast<unsigned long long>(runs));
  return runs > 0 ? 0 : 2;
}
