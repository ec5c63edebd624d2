// garrison similarity.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/input_report.h"

namespace garrison {
namespace {

// Not every model normalises its vectors.
double Cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return aa > 0 && bb > 0 ? std::clamp(dot / std::sqrt(aa * bb), -1.0, 1.0) : 0.0;
}

struct SimilarityFlags : ModelFlags {
  std::string prompt;
};

// Two inputs per line, so that an error finds its line.
struct PairInputs {
  std::vector<InputRecord> places;
  EmbedRequest request;
};

Result<PairInputs> GatherInputs(const std::vector<InputRecord>& records) {
  PairInputs inputs;
  for (const InputRecord& record : records) {
    inputs.request.inputs.push_back(record.input);
    inputs.places.push_back({.line = record.line, .index = record.index});
    if (record.line == 0) continue;
    if (!record.pair) {
      return FailAt(fmt::format("line {}", record.line), Code::kInvalidArgument,
                    "expected text and text_pair (or ids and ids_pair), got one of them");
    }
    inputs.request.inputs.push_back(*record.pair);
    inputs.places.push_back({.line = record.line, .index = record.index});
  }
  return inputs;
}

// Lines with pairs give one similarity each; texts of the command line every pair of them.
std::string Answers(const Embeddings& rows, bool arguments, std::size_t first_index) {
  std::string lines;
  const auto out = std::back_inserter(lines);
  if (!arguments) {
    for (std::size_t i = 0; i + 1 < rows.size(); i += 2) {
      fmt::format_to(out, "{{\"index\":{},\"similarity\":{}}}\n", first_index++,
                     Cosine(rows.row(i), rows.row(i + 1)));
    }
    return lines;
  }
  for (std::size_t a = 0; a < rows.size(); ++a) {
    for (std::size_t b = a + 1; b < rows.size(); ++b) {
      fmt::format_to(out, "{{\"a\":{},\"b\":{},\"similarity\":{}}}\n", a, b,
                     Cosine(rows.row(a), rows.row(b)));
    }
  }
  return lines;
}

Result<> Similarity(CommandContext& context, const SimilarityFlags& flags) {
  if (flags.texts.size() == 1) {
    return FailAt("--input", Code::kInvalidArgument,
                  "expected two texts or more, or pairs from --input; got one text");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenEmbedder(context, loaded.settings));
  ASSIGN_OR_RETURN(InputReport report, InputReport::Open(""));
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    ASSIGN_OR_RETURN(PairInputs inputs, GatherInputs(records));
    inputs.request.long_input = LongInputOf(loaded.settings.engine);
    inputs.request.prompt = flags.prompt;
    ASSIGN_OR_RETURN(const Embeddings rows, EmbedRecords(*embedder, inputs.places, inputs.request));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      report.CountTruncated(rows.tokens[i], rows.total_tokens[i]);
    }
    context.environment.out << Answers(rows, records.front().line == 0, records.front().index);
    return CheckOutput(context.environment.out);
  };
  RETURN_IF_ERROR(ForEachBatch(context, flags, loaded.settings.limits, take));
  report.Print(context.environment.err);
  return {};
}

}  // namespace

void AddSimilarity(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<SimilarityFlags>();
  CLI::App* verb =
      app.add_subcommand("similarity", "Cosine similarity of pairs of texts, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  verb->add_option("--prompt", flags->prompt, "Name of one of the model's prompts");
  verb->footer(
      "Examples:\n"
      "  garrison similarity \"a cat\" \"the cats\" \"a dog\"\n"
      "  echo '{\"text\":\"a cat\",\"text_pair\":\"the cats\"}' | garrison similarity --input -");
  verb->callback([flags, &context] { context.outcome = Similarity(context, *flags); });
}

}  // namespace garrison
