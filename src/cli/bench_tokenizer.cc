// garrison bench --tokenizer: how fast a tokenizer reads lines of text, on one thread.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/mapped_file.h"
#include "cli/command.h"
#include "core/json.h"
#include "text/tokenizer.h"

namespace garrison {
namespace {

constexpr std::uint64_t kInputBytesMax = std::uint64_t{1} << 30;
constexpr int kRounds = 3;

struct Throughput {
  std::size_t ids = 0;
  double mb_per_s = 0;
};

Result<std::size_t> TokenizeAll(const Tokenizer& tokenizer,
                                const std::vector<std::string_view>& lines, bool with_ranges,
                                Tokenizer::Scratch& scratch) {
  std::size_t ids = 0;
  Pieces pieces;
  Encoding encoding;
  for (const std::string_view line : lines) {
    RETURN_IF_ERROR(tokenizer.Tokenize(line, with_ranges, scratch, pieces));
    RETURN_IF_ERROR(tokenizer.Assemble(pieces, nullptr, true, std::nullopt, encoding));
    ids += encoding.ids.size();
  }
  return ids;
}

// The best of some rounds, after one that warms the caches.
Result<Throughput> Measure(const Tokenizer& tokenizer, const std::vector<std::string_view>& lines,
                           bool with_ranges) {
  Tokenizer::Scratch scratch;
  Throughput best;
  std::size_t bytes = 0;
  for (const std::string_view line : lines) bytes += line.size();
  ASSIGN_OR_RETURN(best.ids, TokenizeAll(tokenizer, lines, with_ranges, scratch));
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(TokenizeAll(tokenizer, lines, with_ranges, scratch));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best.mb_per_s = std::max(best.mb_per_s, static_cast<double>(bytes) / 1e6 / seconds.count());
  }
  return best;
}

}  // namespace

Result<> BenchTokenizer(CommandContext& context, const std::string& folder,
                        const std::string& input, bool json) {
  if (input.empty()) {
    return FailAt("--input", Code::kInvalidArgument, "expected a file of lines of text");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(input, kInputBytesMax));
  std::vector<std::string_view> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) lines.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(folder));
  const std::chrono::duration<double, std::milli> load_ms =
      std::chrono::steady_clock::now() - start;
  ASSIGN_OR_RETURN(const Throughput ids, Measure(*tokenizer, lines, false));
  ASSIGN_OR_RETURN(const Throughput ranges, Measure(*tokenizer, lines, true));
  const nlohmann::ordered_json row = {
      {"tokenizer", folder},      {"lines", lines.size()},
      {"ids", ids.ids},           {"load_ms", load_ms.count()},
      {"mb_per_s", ids.mb_per_s}, {"mb_per_s_with_ranges", ranges.mb_per_s}};
  std::ostream& out = context.environment.out;
  if (json) {
    out << DumpJson(row) << "\n";
  } else {
    out << fmt::format("{}: loaded in {:.1f} ms; {:.1f} MB/s, with ranges {:.1f} MB/s\n", folder,
                       load_ms.count(), ids.mb_per_s, ranges.mb_per_s);
  }
  return CheckOutput(out);
}

}  // namespace garrison
