// garrison adapter.
#include "providers/adapter.h"

#include <utility>

#include "base/mapped_file.h"
#include "cli/command.h"
#include "cli/source_rows.h"
#include "core/json.h"

namespace garrison {
namespace {

struct AdapterFlags : ModelFlags {
  std::string from;
  std::string to;
  std::string output;
  std::string method = "ridge";
  double explained_min = 0.5;
};

AdapterSpace SpaceOf(const SourceRows& rows) {
  return {rows.embedder->info().id, rows.embedder->info().revision, rows.dimension};
}

Result<> Train(CommandContext& context, const AdapterFlags& flags) {
  ASSIGN_OR_RETURN(const TwoSources both, EmbedBySources(context, flags, flags.from, flags.to));
  AdapterTraining training;
  training.method = flags.method == "ridge" ? AdapterMethod::kRidge : AdapterMethod::kProcrustes;
  training.from = SpaceOf(both.a);
  training.to = SpaceOf(both.b);
  training.texts_sha256 = both.texts_sha256;
  training.explained_min = flags.explained_min;
  ASSIGN_OR_RETURN(const Adapter adapter, TrainAdapter(both.a.values, both.b.values, training));
  RETURN_IF_ERROR(WriteFileAtomically(flags.output, adapter.ToJson()));
  const AdapterData& data = adapter.data();
  const nlohmann::ordered_json report = {{"output", flags.output},
                                         {"method", flags.method},
                                         {"from", data.from.id},
                                         {"to", data.to.id},
                                         {"trained_on", data.texts},
                                         {"held_out", data.held_out},
                                         {"lambda", data.lambda},
                                         {"explained", data.quality.explained},
                                         {"cosine_mean", data.quality.cosine_mean},
                                         {"cosine_p5", data.quality.cosine_p5},
                                         {"recall", data.quality.recall}};
  context.environment.out << DumpJson(report) << "\n";
  return CheckOutput(context.environment.out);
}

}  // namespace

void AddAdapter(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<AdapterFlags>();
  CLI::App* adapter = app.add_subcommand("adapter", "Linear maps between vector spaces");
  adapter->require_subcommand(1);
  CLI::App* verb = adapter->add_subcommand(
      "train", "Learn to map one model's vectors to another's, from texts that both embed");
  verb->add_option("--from", flags->from, "SOURCE, as of `garrison compare`")->required();
  verb->add_option("--to", flags->to, "SOURCE whose vectors are wanted")->required();
  verb->add_option("--output", flags->output, "File to write (docs/formats/adapter.md)")
      ->required();
  verb->add_option("--method", flags->method, "ridge: least squares; procrustes: a rotation")
      ->check(CLI::IsMember({"ridge", "procrustes"}));
  verb->add_option("--min-explained", flags->explained_min,
                   "Share of the held-out variance that it must explain, or no file is written")
      ->check(CLI::Range(0.0, 1.0));
  AddInputFlags(*verb, *flags);
  verb->footer(
      "Example:\n"
      "  garrison adapter train --from builtin:lexical --to openai --input texts.jsonl "
      "--output adapter.json");
  verb->callback([flags, &context] { context.outcome = Train(context, *flags); });
}

}  // namespace garrison
