// garrison classify.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/input_report.h"
#include "core/json.h"

namespace garrison {
namespace {

struct ClassifyFlags : ModelFlags {
  bool raw = false;
  std::string errors;
};

// {label:score,...}, the best first; equal scores stand in the model's order of labels.
std::string Answer(std::span<const float> scores, const std::vector<std::string>& labels,
                   const std::string& head) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::string line = fmt::format("{{{},\"label\":{},\"score\":{},\"scores\":{{", head,
                                 DumpJson(labels[order.front()]), double{scores[order.front()]});
  for (std::size_t i = 0; i < order.size(); ++i) {
    fmt::format_to(std::back_inserter(line), "{}{}:{}", i == 0 ? "" : ",",
                   DumpJson(labels[order[i]]), double{scores[order[i]]});
  }
  return line + "}}\n";
}

Result<> ClassifyPart(CommandContext& context, const Classifier& classifier,
                      const LongInput& long_input, bool raw, std::span<const InputRecord> records,
                      InputReport& report) {
  std::vector<SequenceInput> inputs;
  for (std::size_t i = 0; i < records.size(); ++i) {
    Result<SequenceInput> input = SequenceOf(records[i]);
    if (!input) return tl::unexpected(At(fmt::format("input[{}]", i), std::move(input).error()));
    inputs.push_back(*std::move(input));
  }
  ASSIGN_OR_RETURN(const Classifications classes,
                   classifier.Classify(inputs, long_input, RequestContext{}));
  const std::span<const float> values = raw ? classes.logits : classes.scores;
  std::string lines;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string head = fmt::format("\"index\":{},{}", records[i].index,
                                         report.Tokens(classes.tokens[i], classes.total_tokens[i]));
    lines += Answer(values.subspan(i * classes.labels, classes.labels), classifier.labels(), head);
  }
  context.environment.out << lines;
  return CheckOutput(context.environment.out);
}

Result<> Classify(CommandContext& context, const ClassifyFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Classifier> classifier,
                   OpenClassifier(context, loaded.settings));
  ASSIGN_OR_RETURN(InputReport report, InputReport::Open(flags.errors));
  const LongInput long_input = LongInputOf(loaded.settings.engine);
  const auto compute = [&](std::span<const InputRecord> records) {
    return ClassifyPart(context, *classifier, long_input, flags.raw, records, report);
  };
  const auto take = [&](Batch& batch) -> Result<> {
    RETURN_IF_ERROR(ComputeGood(batch, report.keep_going(), compute));
    return report.AddBad(batch.bad);
  };
  RETURN_IF_ERROR(ForEachBatch(context, flags, loaded.settings.limits,
                               BatchOptions{.keep_going = report.keep_going()}, take));
  report.Print(context.environment.err);
  return {};
}

}  // namespace

void AddClassify(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<ClassifyFlags>();
  CLI::App* verb = app.add_subcommand(
      "classify", "Which class each text or pair belongs to, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  AddErrorsFlag(*verb, flags->errors);
  verb->add_flag("--raw", flags->raw, "Print logits instead of softmax or sigmoid");
  verb->footer(
      "Examples:\n"
      "  garrison classify --model models/sentiment \"what a fine day\"\n"
      "  garrison classify --model models/nli --input pairs.jsonl   # {\"text\":..,"
      "\"text_pair\":..}\n"
      "  garrison classify --model models/toxicity --input chat.jsonl --errors bad.jsonl");
  verb->callback([flags, &context] { context.outcome = Classify(context, *flags); });
}

}  // namespace garrison
