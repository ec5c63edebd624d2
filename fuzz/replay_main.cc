// Runs a fuzz target over files, without libFuzzer: every file of the given folders as it is, cut
// off at many lengths, and with bytes changed by a fixed pseudo-random sequence. Fails only by
// crashing.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutations = 300;
constexpr std::size_t kCutsMax = 400;

void Run(const std::string& bytes) {
  // A copy of the exact size, so that a read past the end is one that AddressSanitizer sees.
  const std::vector<std::uint8_t> data(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
}

void RunWithMutations(const std::string& bytes) {
  Run(bytes);
  const std::size_t step = bytes.size() / kCutsMax + 1;
  for (std::size_t cut = 0; cut < bytes.size(); cut += step) Run(bytes.substr(0, cut));
  std::mt19937 random(static_cast<std::uint32_t>(bytes.size()));
  const auto below = [&](std::size_t bound) { return random() % bound; };
  for (int i = 0; i < kMutations && !bytes.empty(); ++i) {
    std::string changed = bytes;
    for (std::size_t edits = 1 + below(4); edits > 0 && !changed.empty(); --edits) {
      const std::size_t at = below(changed.size());
      switch (below(4)) {
        case 0:
          changed[at] = static_cast<char>(below(256));
          break;
        case 1:
          changed.erase(at, 1 + below(8));
          break;
        case 2:
          changed.insert(at, 1 + below(8), static_cast<char>(below(256)));
          break;
        default:
          changed.insert(at, changed.substr(below(changed.size()), 1 + below(64)));
      }
    }
    Run(changed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0;
  Run("");
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      RunWithMutations({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
      ++files;
    }
  }
  std::printf("%zu files\n", files);
  return files > 0 ? 0 : 1;
}
