// garrison bench: what the model and the guard cost on this machine.
#include "cli/bench.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "core/json.h"
#include "guard/guard_file.h"
#include "guard/kinematics.h"
#include "guard/measured.h"
#include "guard/monitor.h"
#include "guard/verdict.h"

namespace garrison {
namespace {

constexpr std::size_t kSamples = 2000;
// A sample shorter than this would measure the clock.
constexpr double kSampleUsMin = 20;

constexpr const char* kTwentyWords =
    "the quick brown fox jumps over the lazy dog while a small grey cat watches them from the old "
    "garden wall";
constexpr const char* kReply =
    "I am sorry, but I cannot help with that; here is what you can do instead, step by step, with "
    "care and patience";

struct Timing {
  std::string name;
  double median_us;
  double p10_us;
  double p99_us;
};

double SampleUs(const std::function<void()>& work, std::size_t times) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < times; ++i) work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

Timing Measure(std::string name, const std::function<void()>& work) {
  std::size_t times = 1;
  while (SampleUs(work, times) < kSampleUsMin) times *= 2;
  std::vector<double> samples(kSamples);
  for (double& sample : samples) sample = SampleUs(work, times) / static_cast<double>(times);
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    return samples[static_cast<std::size_t>(share * static_cast<double>(kSamples - 1))];
  };
  return {std::move(name), at(0.5), at(0.1), at(0.99)};
}

std::span<const float> RowOf(const MessageSide& side) {
  return {side.whole.data(), static_cast<std::size_t>(side.whole.cols())};
}

// The measured mode, of which the embedder has a guard or not.
Result<> MeasureMeasured(const Settings& settings, const Embedder& embedder,
                         const GuardMonitor& compat, std::vector<Timing>& timings) {
  ASSIGN_OR_RETURN(GuardFile file, OpenGuardFile(settings.guard.file));
  if (settings.guard.file.empty() && !file.CheckModel(embedder.info())) return {};
  ASSIGN_OR_RETURN(const auto monitor,
                   MeasuredMonitor::Create(embedder, std::move(file), settings.guard.prior));
  const RequestContext context;
  const std::array<std::optional<std::string>, 2> texts = {kTwentyWords, kReply};
  ASSIGN_OR_RETURN(const std::vector<MessageSide> sides, EmbedSides(embedder, texts, context));
  ASSIGN_OR_RETURN(MeasuredScores scores, monitor->Score(kTwentyWords, kReply, context));
  MeasuredState state;
  timings.push_back(Measure("measured arithmetic, one turn, from evidence", [&] {
    scores.evidence = scores.evidence > 1 ? -1 : scores.evidence + 0.01;
    (void)state.Take(scores, monitor->file().model());
  }));
  timings.push_back(Measure("measured arithmetic, one turn, from vectors",
                            [&] { (void)monitor->ScoreSides(sides[0], sides[1]); }));
  // All that /check-safety computes in measured mode.
  Kinematics kinematics(settings.guard);
  timings.push_back(Measure("both modes, one turn with embedding, 20-word messages", [&] {
    const auto read = monitor->Read(texts, context);
    if (!read) return;
    const auto plain = compat.ScoreRows(RowOf((*read)[0].side), RowOf((*read)[1].side));
    if (plain) (void)kinematics.Step(plain->risk);
    auto measured = monitor->Score((*read)[0], (*read)[1]);
    if (measured) (void)state.Take(*std::move(measured), monitor->file().model());
  }));
  return {};
}

Result<std::vector<Timing>> MeasureAll(const Settings& settings, const Embedder& embedder) {
  ASSIGN_OR_RETURN(const std::unique_ptr<GuardMonitor> monitor,
                   GuardMonitor::Create(embedder, settings.guard, std::nullopt));
  const RequestContext context;
  const EmbedRequest request{.inputs = {EmbedInput(std::string(kTwentyWords))}};
  // Errors here would only make the figures meaningless, so they are looked for once, before.
  RETURN_IF_ERROR(embedder.Embed(request, context));
  RETURN_IF_ERROR(monitor->Score(kTwentyWords, kReply, context));

  std::vector<Timing> timings;
  timings.push_back(Measure(fmt::format("embed, 20 words, {}", embedder.info().id),
                            [&] { (void)embedder.Embed(request, context); }));

  Kinematics kinematics(settings.guard);
  double risk = 0;
  timings.push_back(Measure("guard arithmetic, one turn", [&] {
    risk = risk > 1.5 ? 0 : risk + 0.01;
    const Result<TurnMetrics> metrics = kinematics.Step({risk, 0.5 * risk});
    if (metrics) (void)Judge(*metrics, settings.guard);
  }));
  ASSIGN_OR_RETURN(const Embeddings rows,
                   embedder.Embed({.inputs = {EmbedInput(std::string(kTwentyWords)),
                                              EmbedInput(std::string(kReply))}},
                                  context));
  timings.push_back(Measure("guard arithmetic, one turn, from vectors", [&] {
    const auto scores = monitor->ScoreRows(rows.row(0), rows.row(1));
    if (scores) (void)kinematics.Step(scores->risk);
  }));
  timings.push_back(Measure("guard turn with embedding, 20-word messages",
                            [&] { (void)monitor->Score(kTwentyWords, kReply, context); }));
  RETURN_IF_ERROR(MeasureMeasured(settings, embedder, *monitor, timings));
  return timings;
}

struct BenchFlags : ModelFlags {
  std::string grid;
  std::string tokenizer;
  bool memory = false;
  bool limits = false;
  bool json = false;
};

Result<> Bench(CommandContext& context, const BenchFlags& flags) {
  const bool json = flags.json;
  if (flags.limits) return BenchLimits(context, json);
  std::vector<GridCell> cells;
  if (!flags.grid.empty()) {
    ASSIGN_OR_RETURN(cells, ParseGrid(flags.grid));
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  if (flags.memory) return BenchMemory(context, loaded.settings, json);
  if (!cells.empty()) return BenchGrid(context, loaded.settings, cells, json);
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenLocalEmbedder(context, loaded.settings));
  ASSIGN_OR_RETURN(const std::vector<Timing> timings, MeasureAll(loaded.settings, *embedder));
  std::ostream& out = context.environment.out;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  if (!json)
    out << fmt::format("{:<54} {:>10} {:>10} {:>10}\n", "", "median us", "p10 us", "p99 us");
  for (const Timing& timing : timings) {
    rows.push_back({{"name", timing.name},
                    {"median_us", timing.median_us},
                    {"p10_us", timing.p10_us},
                    {"p99_us", timing.p99_us}});
    if (!json) {
      out << fmt::format("{:<46} {:>10.3f} {:>10.3f} {:>10.3f}\n", timing.name, timing.median_us,
                         timing.p10_us, timing.p99_us);
    }
  }
  if (json) out << DumpJson(rows) << "\n";
  return CheckOutput(out);
}

}  // namespace

void AddBench(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* verb = app.add_subcommand("bench", "Time a model and the guard on this machine");
  AddModelFlags(*verb, *flags);
  verb->add_option("--grid", flags->grid,
                   "Time the model alone on batches of token ids: BATCHxTOKENS,... with TOKENS a "
                   "number or a range of lengths");
  verb->add_flag("--memory", flags->memory,
                 "The time to the model's first result and the memory it takes");
  verb->add_flag("--limits", flags->limits,
                 "What one thread of this machine does at best; needs no model");
  verb->add_option("--tokenizer", flags->tokenizer,
                   "Time the tokenizer of this folder instead, over the lines of --input");
  verb->add_option("--input", flags->input, "Lines of text for --tokenizer");
  verb->add_flag("--json", flags->json,
                 "[{\"name\",\"median_us\",\"p10_us\",\"p99_us\"}], with --grid "
                 "[{\"cell\",\"batch\",\"seq\",\"median_us\",\"p10_us\",\"tokens_per_s\"}]");
  verb->footer(
      "Examples:\n"
      "  garrison bench\n"
      "  garrison bench --model models/minilm --dtype int8 --threads 2 --grid "
      "1x16,64x4-256,32x128 --json\n"
      "  garrison bench --model models/minilm --dtype int8 --memory");
  verb->callback([flags, &context] {
    context.outcome = flags->tokenizer.empty()
                          ? Bench(context, *flags)
                          : BenchTokenizer(context, flags->tokenizer, flags->input, flags->json);
  });
}

}  // namespace garrison
