// garrison compare.
#include <algorithm>
#include <utility>

#include "cli/command.h"
#include "cli/rank_agreement.h"
#include "cli/source_rows.h"
#include "core/json.h"
#include "providers/remote_embedder.h"

namespace garrison {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Pairs cost the square of it.
constexpr std::size_t kPairRows = 2000;

struct CompareFlags : ModelFlags {
  std::string a;
  std::string b;
};

double Milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e6;
}

OrderedJson Describe(const SourceRows& rows, std::size_t texts) {
  std::vector<std::chrono::nanoseconds> calls = rows.calls;
  std::sort(calls.begin(), calls.end());
  std::chrono::nanoseconds total{0};
  for (const auto call : calls) total += call;
  const ModelInfo& info = rows.embedder->info();
  OrderedJson json = {{"id", info.id},
                      {"revision", info.revision},
                      {"dimension", rows.dimension},
                      {"normalized", rows.normalized},
                      {"compute", info.compute},
                      {"tokens", rows.tokens},
                      {"ms_per_text", Milliseconds(total) / static_cast<double>(texts)},
                      {"ms_per_call_median", Milliseconds(calls[calls.size() / 2])},
                      {"ms_per_call_max", Milliseconds(calls.back())}};
  if (rows.tokens_estimated) json["tokens_estimated"] = true;
  if (rows.attempts > 0) json["attempts"] = rows.attempts;
  if (rows.cost_pusd) json["cost_usd"] = static_cast<double>(*rows.cost_pusd) / 1e12;
  return json;
}

Result<> Compare(CommandContext& context, const CompareFlags& flags) {
  ASSIGN_OR_RETURN(TwoSources both, EmbedBySources(context, flags, flags.a, flags.b));
  OrderedJson report = {{"texts", both.texts},
                        {"a", Describe(both.a, both.texts)},
                        {"b", Describe(both.b, both.texts)}};
  NormalizeRows(both.a.values, both.a.dimension);
  NormalizeRows(both.b.values, both.b.dimension);
  const Rows a{both.a.values, both.a.dimension}, b{both.b.values, both.b.dimension};
  if (a.dimension == b.dimension) {
    // Between different spaces of one dimension the cosines are about 0: that tells them apart.
    const VectorAgreement agreement = CompareVectors(a, b, kPairRows);
    report["cosine"] = {{"min", agreement.cosine_min},
                        {"p1", agreement.cosine_p1},
                        {"mean", agreement.cosine_mean}};
    report["spearman"] = agreement.spearman;
    report["knn_overlap"] = agreement.knn_overlap;
  } else {
    const RankAgreement agreement = CompareRanks(a, b, kPairRows);
    report["cosine"] = nullptr;
    report["spearman"] = agreement.spearman;
    report["knn_overlap"] = agreement.knn_overlap;
  }
  if (both.texts > kPairRows) report["ranks_of_first"] = kPairRows;
  context.environment.out << DumpJson(report) << "\n";
  return CheckOutput(context.environment.out);
}

}  // namespace

void AddCompare(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* verb = app.add_subcommand(
      "compare", "How far two sources of vectors agree, what they cost and how long they take");
  verb->add_option("--a", flags->a, "SOURCE: a model (name or folder), PROVIDER or PROVIDER/MODEL")
      ->required();
  verb->add_option("--b", flags->b, "The other SOURCE")->required();
  AddInputFlags(*verb, *flags);
  verb->footer(
      "Cosines are those of each text's two vectors, where dimensions match; spearman that of the\n"
      "similarities of all pairs of texts; knn_overlap the share of common 10 nearest neighbours.\n"
      "Example:\n"
      "  garrison compare --a builtin:lexical --b openai/text-embedding-3-small --input "
      "texts.jsonl");
  verb->callback([flags, &context] { context.outcome = Compare(context, *flags); });
}

}  // namespace garrison
