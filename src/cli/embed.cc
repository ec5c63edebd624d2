// garrison embed.
#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/input_report.h"

namespace garrison {
namespace {

struct EmbedFlags : ModelFlags {
  std::size_t dimensions = 0;
  std::string prompt;
  std::string errors;
};

EmbedRequest RequestOf(const EmbedFlags& flags, const EngineSettings& engine) {
  EmbedRequest request;
  request.long_input = LongInputOf(engine);
  request.prompt = flags.prompt;
  if (flags.dimensions > 0) request.dimensions = flags.dimensions;
  return request;
}

Result<EmbedRequest> WithInputs(EmbedRequest request, std::span<const InputRecord> records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].pair) {
      return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                    "expected one text to embed, got a pair; `garrison similarity` compares pairs");
    }
    request.inputs.push_back(records[i].input);
  }
  return request;
}

Result<> Embed(CommandContext& context, const EmbedFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenEmbedder(context, loaded.settings));
  if (flags.dimensions > 0 && !embedder->info().matryoshka) {
    context.environment.err << fmt::format(
        "warning: {} was not trained for fewer dimensions than {}; what is left may be much "
        "worse\n",
        embedder->info().id, embedder->info().dimension);
  }
  ASSIGN_OR_RETURN(InputReport report, InputReport::Open(flags.errors));
  const EmbedRequest request = RequestOf(flags, loaded.settings.engine);
  const auto compute = [&](std::span<const InputRecord> records) -> Result<> {
    ASSIGN_OR_RETURN(const EmbedRequest filled, WithInputs(request, records));
    ASSIGN_OR_RETURN(const Embeddings embeddings, embedder->Embed(filled, RequestContext{}));
    std::string lines;
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
      fmt::format_to(std::back_inserter(lines), "{{\"index\":{},{},\"embedding\":[{}]}}\n",
                     records[i].index,
                     report.Tokens(embeddings.tokens[i], embeddings.total_tokens[i]),
                     fmt::join(Exact(embeddings.row(i)), ","));
    }
    context.environment.out << lines;
    return CheckOutput(context.environment.out);
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

void AddEmbed(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* verb = app.add_subcommand("embed", "Turn texts into vectors, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  AddErrorsFlag(*verb, flags->errors);
  verb->add_option("--dimensions", flags->dimensions,
                   "Keep the first so many components and normalise again")
      ->check(CLI::Range(1, 65536));
  verb->add_option("--prompt", flags->prompt, "Name of one of the model's prompts");
  verb->footer(
      "Examples:\n"
      "  garrison embed \"a cat sat on the mat\"\n"
      "  garrison embed --input texts.txt --input-format text > vectors.jsonl\n"
      "  echo '{\"text\":\"hello\"}' | garrison embed --input -");
  verb->callback([flags, &context] { context.outcome = Embed(context, *flags); });
}

}  // namespace garrison
