// garrison embed, garrison similarity.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "cli/command.h"
#include "cli/embed_input.h"

namespace garrison {
namespace {

struct EmbedFlags : ModelFlags {
  std::size_t dimensions = 0;
};

// With the digits of a double: programs that read JSON numbers as doubles get the very same
// numbers.
std::vector<double> Exact(std::span<const float> row) { return {row.begin(), row.end()}; }

Result<> Embed(CommandContext& context, const EmbedFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, OpenEmbedder(loaded.settings));
  std::size_t index = 0;
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    EmbedRequest request;
    if (flags.dimensions > 0) request.dimensions = flags.dimensions;
    for (const InputRecord& record : records) {
      if (record.pair) {
        return FailAt(
            fmt::format("line {}", record.line), Code::kInvalidArgument,
            "expected one text to embed, got a pair; `garrison similarity` compares pairs");
      }
      request.inputs.push_back(record.input);
    }
    ASSIGN_OR_RETURN(const Embeddings embeddings, EmbedRecords(*embedder, records, request));
    std::string lines;
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
      fmt::format_to(std::back_inserter(lines),
                     "{{\"index\":{},\"tokens\":{},\"embedding\":[{}]}}\n", index++,
                     embeddings.tokens[i], fmt::join(Exact(embeddings.row(i)), ","));
    }
    context.environment.out << lines;
    return CheckOutput(context.environment.out);
  };
  return ForEachBatch(context, flags, loaded.settings.limits, take);
}

// Rows have length 1 up to rounding, so the dot product is the cosine.
double Cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  for (std::size_t i = 0; i < a.size(); ++i) dot += static_cast<double>(a[i]) * b[i];
  return std::clamp(dot, -1.0, 1.0);
}

// Lines with pairs give one similarity each; texts of the command line every pair of them.
Result<> Similarity(CommandContext& context, const ModelFlags& flags) {
  if (flags.texts.size() == 1) {
    return FailAt("--input", Code::kInvalidArgument,
                  "expected two texts or more, or pairs from --input; got one text");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, OpenEmbedder(loaded.settings));
  std::size_t index = 0;
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    const bool arguments = records.front().line == 0;
    EmbedRequest request;
    std::vector<InputRecord> inputs;  // two per line, so that an error finds its line
    for (const InputRecord& record : records) {
      request.inputs.push_back(record.input);
      inputs.push_back({record.line, "", std::nullopt});
      if (arguments) continue;
      if (!record.pair) {
        return FailAt(fmt::format("line {}", record.line), Code::kInvalidArgument,
                      "expected text and text_pair (or ids and ids_pair), got one of them");
      }
      request.inputs.push_back(*record.pair);
      inputs.push_back({record.line, "", std::nullopt});
    }
    ASSIGN_OR_RETURN(const Embeddings rows, EmbedRecords(*embedder, inputs, request));
    std::string lines;
    const auto out = std::back_inserter(lines);
    if (arguments) {
      for (std::size_t a = 0; a < rows.size(); ++a) {
        for (std::size_t b = a + 1; b < rows.size(); ++b) {
          fmt::format_to(out, "{{\"a\":{},\"b\":{},\"similarity\":{}}}\n", a, b,
                         Cosine(rows.row(a), rows.row(b)));
        }
      }
    } else {
      for (std::size_t i = 0; i + 1 < rows.size(); i += 2) {
        fmt::format_to(out, "{{\"index\":{},\"similarity\":{}}}\n", index++,
                       Cosine(rows.row(i), rows.row(i + 1)));
      }
    }
    context.environment.out << lines;
    return CheckOutput(context.environment.out);
  };
  return ForEachBatch(context, flags, loaded.settings.limits, take);
}

}  // namespace

void AddEmbed(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* verb = app.add_subcommand("embed", "Turn texts into vectors, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  verb->add_option("--dimensions", flags->dimensions,
                   "Keep the first so many components and normalise again")
      ->check(CLI::Range(1, 65536));
  verb->footer(
      "Examples:\n"
      "  garrison embed \"a cat sat on the mat\"\n"
      "  garrison embed --input texts.txt --input-format text > vectors.jsonl\n"
      "  echo '{\"text\":\"hello\"}' | garrison embed --input -");
  verb->callback([flags, &context] { context.outcome = Embed(context, *flags); });
}

void AddSimilarity(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* verb =
      app.add_subcommand("similarity", "Cosine similarity of pairs of texts, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  verb->footer(
      "Examples:\n"
      "  garrison similarity \"a cat\" \"the cats\" \"a dog\"\n"
      "  echo '{\"text\":\"a cat\",\"text_pair\":\"the cats\"}' | garrison similarity --input -");
  verb->callback([flags, &context] { context.outcome = Similarity(context, *flags); });
}

}  // namespace garrison
