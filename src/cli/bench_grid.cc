// garrison bench --grid: a model on batches of token ids, as other engines are timed.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <random>
#include <utility>

#include "cli/bench.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::size_t kTokensMax = 1 << 22;  // of one cell
constexpr std::size_t kSamplesMin = 5;
constexpr std::size_t kSamplesMax = 100'000;
constexpr std::chrono::milliseconds kWarmUp{200};
constexpr std::chrono::milliseconds kCell{1000};

// Ids that every vocabulary of a trained model has and that are no special tokens; the smaller
// range is for models of tests.
struct IdRange {
  std::int32_t min;
  std::int32_t max;
};
constexpr std::array kIdRanges = {IdRange{1000, 29'999}, IdRange{5, 99}};

struct CellTiming {
  double median_us;
  double p10_us;
};

using Clock = std::chrono::steady_clock;
using Run = std::function<Result<>()>;

// The same on every machine: the generator's sequence is fixed by the C++ standard, those of its
// distributions are not.
std::vector<TokenIds> DrawIds(const GridCell& cell, const IdRange& range) {
  std::mt19937 generator(20'240'601);
  const auto width = static_cast<std::uint32_t>(range.max - range.min + 1);
  std::vector<TokenIds> inputs(cell.batch);
  for (std::size_t s = 0; s < cell.batch; ++s) {
    for (std::size_t i = 0; i < cell.Length(s); ++i) {
      inputs[s].ids.push_back(range.min + static_cast<std::int32_t>(generator() % width));
    }
  }
  return inputs;
}

Run RunOf(const AnyModel& model, const LongInput& long_input, std::vector<TokenIds> inputs) {
  if (model.embedder != nullptr) {
    EmbedRequest request{.long_input = long_input};
    for (TokenIds& tokens : inputs) request.inputs.emplace_back(std::move(tokens));
    return [embedder = model.embedder, request = std::move(request)]() -> Result<> {
      RETURN_IF_ERROR(embedder->Embed(request, RequestContext{}));
      return {};
    };
  }
  std::vector<SequenceInput> sequences;
  for (TokenIds& tokens : inputs) sequences.emplace_back(std::move(tokens));
  return [model, long_input, sequences = std::move(sequences)]() -> Result<> {
    if (model.reranker != nullptr) {
      RETURN_IF_ERROR(model.reranker->Score(sequences, long_input, RequestContext{}));
    } else {
      RETURN_IF_ERROR(model.classifier->Classify(sequences, long_input, RequestContext{}));
    }
    return {};
  };
}

Result<CellTiming> Measure(const Run& run) {
  for (const auto end = Clock::now() + kWarmUp; Clock::now() < end;) RETURN_IF_ERROR(run());
  std::vector<double> samples;
  const auto end = Clock::now() + kCell;
  while (samples.size() < kSamplesMin || (Clock::now() < end && samples.size() < kSamplesMax)) {
    const auto start = Clock::now();
    RETURN_IF_ERROR(run());
    samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(samples.begin(), samples.end());
  return CellTiming{samples[samples.size() / 2], samples[samples.size() / 10]};
}

}  // namespace

std::size_t GridCell::Length(std::size_t sequence) const {
  if (batch < 2) return seq_max;
  return seq_min + (2 * sequence * (seq_max - seq_min) + batch - 1) / (2 * (batch - 1));
}

std::size_t GridCell::tokens() const {
  std::size_t total = 0;
  for (std::size_t s = 0; s < batch; ++s) total += Length(s);
  return total;
}

std::string GridCell::Name() const {
  return seq_min == seq_max ? fmt::format("{}x{}", batch, seq_max)
                            : fmt::format("{}x{}-{}", batch, seq_min, seq_max);
}

// The first range of ids that the model takes, or its error about the last.
Result<Run> MakeRun(const AnyModel& model, const LongInput& long_input, const GridCell& cell) {
  Result<> tried;
  for (const IdRange& range : kIdRanges) {
    Run run = RunOf(model, long_input, DrawIds(cell, range));
    tried = run();
    if (tried) return run;
    if (tried.error().code != Code::kInvalidArgument) break;
  }
  return tl::unexpected(At(fmt::format("--grid: {}", cell.Name()), std::move(tried).error()));
}

Result<std::vector<GridCell>> ParseGrid(const std::string& text) {
  std::vector<GridCell> cells;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  // Where the number ends that begins at `from`, or null when there is none.
  const auto read = [&](const char* from, std::size_t& number) -> const char* {
    if (from == nullptr) return nullptr;
    const auto parsed = std::from_chars(from, end, number);
    return parsed.ec == std::errc() && number > 0 ? parsed.ptr : nullptr;
  };
  const auto after = [&](const char* from, char mark) {
    return from != nullptr && from != end && *from == mark ? from + 1 : nullptr;
  };
  while (true) {
    GridCell cell;
    const char* const seq = read(after(read(at, cell.batch), 'x'), cell.seq_min);
    const char* const range = after(seq, '-');
    cell.seq_max = cell.seq_min;
    const char* const stop = range == nullptr ? seq : read(range, cell.seq_max);
    if (stop == nullptr || cell.seq_min > cell.seq_max || cell.batch > kTokensMax / cell.seq_max ||
        (stop != end && *stop != ',')) {
      return FailAt("--grid", Code::kInvalidArgument,
                    "expected BATCHxTOKENS,... such as 1x16,8x32 or 64x4-256 (lengths from 4 to "
                    "256) with at most {} tokens each, got \"{}\"",
                    kTokensMax, text);
    }
    cells.push_back(cell);
    if (stop == end) return cells;
    at = stop + 1;
  }
}

Result<> BenchGrid(CommandContext& context, const Settings& settings,
                   const std::vector<GridCell>& cells, bool json) {
  ASSIGN_OR_RETURN(const AnyModel model, OpenAnyModel(context, settings.engine));
  const LongInput long_input = LongInputOf(settings.engine);
  std::ostream& out = context.environment.out;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  if (!json) {
    out << fmt::format(
        "{}, {}, {} threads\n{:>14} {:>14} {:>14} {:>14}\n", model.info().id, model.info().compute,
        settings.engine.threads == 0 ? "all" : std::to_string(settings.engine.threads),
        "batch x tokens", "median us", "p10 us", "tokens/s");
  }
  for (const GridCell& cell : cells) {
    ASSIGN_OR_RETURN(const Run run, MakeRun(model, long_input, cell));
    ASSIGN_OR_RETURN(const CellTiming timing, Measure(run));
    const double tokens_per_s = static_cast<double>(cell.tokens()) * 1e6 / timing.median_us;
    rows.push_back({{"cell", cell.Name()},
                    {"batch", cell.batch},
                    {"seq", cell.seq_max},
                    {"median_us", timing.median_us},
                    {"p10_us", timing.p10_us},
                    {"tokens_per_s", tokens_per_s}});
    if (json) continue;
    out << fmt::format("{:>14} {:>14.1f} {:>14.1f} {:>14.0f}\n", cell.Name(), timing.median_us,
                       timing.p10_us, tokens_per_s);
    RETURN_IF_ERROR(CheckOutput(out));
  }
  if (json) out << DumpJson(rows) << "\n";
  return CheckOutput(out);
}

}  // namespace garrison
