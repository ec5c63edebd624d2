// garrison models verify: does a model in int8 or bf16 still say what it says in f32?
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <utility>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/rank_agreement.h"
#include "cli/verify_texts.h"
#include "core/json.h"
#include "engine/layer_errors.h"
#include "engine/models.h"

namespace garrison {
namespace {

constexpr std::size_t kPart = 16;           // inputs of one call
constexpr std::size_t kInputsMax = 20'000;  // both runs' vectors are held
constexpr std::size_t kPairRows = 2'000;
constexpr double kFloorInt8 = 0.997;
constexpr double kFloorBf16 = 0.9995;

struct VerifyFlags : ModelFlags {
  std::optional<double> floor;
  bool json = false;
  bool write = false;
};

struct VerifyReport {
  std::string ability;  // "embed", "rerank", "classify"
  bool random_ids = false;
  std::size_t inputs = 0;
  std::optional<VectorAgreement> vectors;  // of embedders
  double score_difference_max = 0;         // of the others
  double score_spearman = 0;
  // What int8 costs each layer worth keeping in bf16, the worst first; only for folders.
  std::vector<LayerError> layers;

  // What is compared with the floor.
  double figure() const { return vectors ? vectors->cosine_min : score_spearman; }
};

// What the model gives for all inputs: vectors, or scores.
struct Answers {
  std::vector<float> values;
  std::size_t dimension = 1;
};

EmbedInput AsEmbedInput(const SequenceInput& input) {
  if (const auto* ids = std::get_if<TokenIds>(&input)) return *ids;
  if (const auto* pair = std::get_if<TextPair>(&input)) return pair->text + "\n" + pair->text_pair;
  return std::get<std::string>(input);
}

Result<std::vector<float>> AnswerPart(const AnyModel& model, std::span<const SequenceInput> inputs,
                                      std::size_t& dimension) {
  // Both runs cut at the same place, so that long texts compare as well as short ones.
  const LongInput long_input{LongInput::Policy::kTruncate, LongInput::Side::kRight};
  const RequestContext context;
  if (model.embedder != nullptr) {
    EmbedRequest request{.long_input = long_input};
    for (const SequenceInput& input : inputs) request.inputs.push_back(AsEmbedInput(input));
    ASSIGN_OR_RETURN(Embeddings rows, model.embedder->Embed(request, context));
    dimension = rows.dimension;
    return std::move(rows.values);
  }
  if (model.reranker != nullptr) {
    ASSIGN_OR_RETURN(Relevance scored, model.reranker->Score(inputs, long_input, context));
    return std::move(scored.scores);
  }
  ASSIGN_OR_RETURN(Classifications scored, model.classifier->Classify(inputs, long_input, context));
  return std::move(scored.scores);
}

Result<Answers> AnswerAll(const AnyModel& model, std::span<const SequenceInput> inputs) {
  Answers answers;
  for (std::size_t first = 0; first < inputs.size(); first += kPart) {
    const auto part = inputs.subspan(first, std::min(kPart, inputs.size() - first));
    ASSIGN_OR_RETURN(const std::vector<float> values, AnswerPart(model, part, answers.dimension));
    answers.values.insert(answers.values.end(), values.begin(), values.end());
  }
  return answers;
}

// Texts, or pairs for a reranker: each text with itself, with its neighbour and with a stranger.
std::vector<SequenceInput> BuiltinInputs(const AnyModel& model) {
  std::vector<SequenceInput> inputs;
  for (std::size_t i = 0; i < kVerifyTexts.size(); ++i) {
    const std::string text(kVerifyTexts[i]);
    if (model.reranker == nullptr) {
      inputs.emplace_back(text);
      continue;
    }
    for (const std::size_t step : {0, 1, 17}) {
      const std::string_view other = kVerifyTexts[(i + step) % kVerifyTexts.size()];
      inputs.emplace_back(TextPair{text, std::string(other)});
    }
  }
  return inputs;
}

// The same on every machine. Small ids, which every vocabulary has.
std::vector<SequenceInput> RandomIds(const ModelInfo& info) {
  std::mt19937 generator(20'240'602);
  const std::size_t longest =
      info.max_tokens == 0 ? 128 : std::min<std::size_t>(128, info.max_tokens);
  std::vector<SequenceInput> inputs;
  for (std::size_t i = 0; i < kVerifyTexts.size(); ++i) {
    TokenIds tokens;
    const std::size_t length = 1 + generator() % longest;
    for (std::size_t t = 0; t < length; ++t) {
      tokens.ids.push_back(5 + static_cast<std::int32_t>(generator() % 95));
    }
    inputs.emplace_back(std::move(tokens));
  }
  return inputs;
}

Result<std::vector<SequenceInput>> GatherInputs(CommandContext& context, const VerifyFlags& flags,
                                                const LimitSettings& limits, const AnyModel& model,
                                                bool& random_ids) {
  std::vector<SequenceInput> inputs = BuiltinInputs(model);
  const Result<Answers> tried = AnswerAll(model, std::span(inputs).first(1));
  random_ids = !tried && (tried.error().code == Code::kFailedPrecondition ||
                          tried.error().code == Code::kUnimplemented);
  if (random_ids) inputs = RandomIds(model.info());
  if (flags.input.empty()) return inputs;
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    for (const InputRecord& record : records) {
      Result<SequenceInput> input = SequenceOf(record);
      if (!input) {
        return tl::unexpected(At(PlaceOf(record.line, record.index), std::move(input).error()));
      }
      inputs.push_back(*std::move(input));
    }
    if (inputs.size() <= kInputsMax) return {};
    return FailAt("--input", Code::kInvalidArgument, "expected at most {} inputs; give a sample",
                  kInputsMax);
  };
  RETURN_IF_ERROR(ForEachBatch(context, flags, limits, take));
  return inputs;
}

Result<VerifyReport> Compare(const AnyModel& reference, const AnyModel& reduced,
                             std::span<const SequenceInput> inputs) {
  ASSIGN_OR_RETURN(const Answers a, AnswerAll(reference, inputs));
  ASSIGN_OR_RETURN(const Answers b, AnswerAll(reduced, inputs));
  if (a.values.size() != b.values.size() || a.dimension != b.dimension) {
    return Fail(Code::kInternal, "expected {} numbers from both runs, got {}", a.values.size(),
                b.values.size());
  }
  VerifyReport report;
  report.inputs = inputs.size();
  if (reference.embedder != nullptr) {
    report.ability = "embed";
    report.vectors = CompareVectors({a.values, a.dimension}, {b.values, b.dimension}, kPairRows);
    return report;
  }
  report.ability = reference.reranker != nullptr ? "rerank" : "classify";
  const std::vector<double> scores_a(a.values.begin(), a.values.end());
  const std::vector<double> scores_b(b.values.begin(), b.values.end());
  report.score_spearman = Spearman(scores_a, scores_b);
  for (std::size_t i = 0; i < scores_a.size(); ++i) {
    report.score_difference_max =
        std::max(report.score_difference_max, std::abs(scores_a[i] - scores_b[i]));
  }
  return report;
}

nlohmann::ordered_json ReportJson(const VerifyReport& report, const ModelInfo& reference,
                                  const ModelInfo& reduced, double floor) {
  nlohmann::ordered_json json = {{"model", reduced.id},
                                 {"revision", reduced.revision},
                                 {"reference", reference.compute},
                                 {"compute", reduced.compute},
                                 {"ability", report.ability},
                                 {"inputs", report.inputs},
                                 {"random_ids", report.random_ids}};
  if (report.vectors) {
    json["cosine_min"] = report.vectors->cosine_min;
    json["cosine_p1"] = report.vectors->cosine_p1;
    json["cosine_mean"] = report.vectors->cosine_mean;
    json["spearman"] = report.vectors->spearman;
    json["knn_overlap_10"] = report.vectors->knn_overlap;
  } else {
    json["score_difference_max"] = report.score_difference_max;
    json["spearman"] = report.score_spearman;
  }
  json["floor"] = floor;
  json["passed"] = report.figure() >= floor;
  if (!report.layers.empty()) json["layers"] = nlohmann::ordered_json::array();
  for (const LayerError& layer : report.layers) {
    json["layers"].push_back({{"layer", layer.layer}, {"relative_error", layer.relative}});
  }
  return json;
}

std::string ReportText(const nlohmann::ordered_json& json) {
  std::string text;
  for (const auto& [name, value] : json.items()) {
    if (name == "layers") {
      text += "layers worth keeping in bf16 (--bf16-layers), with their relative error\n";
      for (const auto& layer : value) {
        text += fmt::format("  {:<60} {:.5f}\n", layer["layer"].get<std::string>(),
                            layer["relative_error"].get<double>());
      }
    } else if (name == "random_ids") {
      if (value) text += fmt::format("{:<22} random token ids: no tokenizer to read texts\n", "of");
    } else if (value.is_number_float()) {
      text += fmt::format("{:<22} {:.6f}\n", name, value.get<double>());
    } else {
      text += fmt::format("{:<22} {}\n", name,
                          value.is_string() ? value.get<std::string>() : DumpJson(value));
    }
  }
  return text;
}

// The built-in model has no layers.
bool IsFolder(const EngineSettings& engine) {
  std::error_code ignored;
  return std::filesystem::is_directory(engine.model, ignored);
}

Result<std::vector<LayerError>> WorstLayers(EngineSettings engine,
                                            std::span<const SequenceInput> inputs) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> reduced, OpenSequenceModel(engine));
  engine.dtype = "f32";
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> exact, OpenSequenceModel(engine));
  ASSIGN_OR_RETURN(const std::vector<LayerError> errors,
                   MeasureLayerErrors(*exact, *reduced, inputs));
  std::vector<LayerError> worst;
  for (const std::string& name : LayersToKeepInBf16(errors)) {
    worst.push_back(*std::find_if(errors.begin(), errors.end(),
                                  [&](const LayerError& e) { return e.layer == name; }));
  }
  return worst;
}

Result<> Record(const EngineSettings& engine) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> model, OpenSequenceModel(engine));
  return WriteVerification(model->folder(), engine.dtype, model->compute().bf16_layers);
}

Result<> Verify(CommandContext& context, const VerifyFlags& flags) {
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context, flags));
  EngineSettings engine = loaded.settings.engine;
  ASSIGN_OR_RETURN(const AnyModel reduced, OpenAnyModel(context, engine));
  engine.dtype = "f32";
  ASSIGN_OR_RETURN(const AnyModel reference, OpenAnyModel(context, engine));
  bool random_ids = false;
  ASSIGN_OR_RETURN(const std::vector<SequenceInput> inputs,
                   GatherInputs(context, flags, loaded.settings.limits, reference, random_ids));
  ASSIGN_OR_RETURN(VerifyReport report, Compare(reference, reduced, inputs));
  report.random_ids = random_ids;
  if (IsFolder(loaded.settings.engine) && loaded.settings.engine.dtype == "int8") {
    ASSIGN_OR_RETURN(report.layers, WorstLayers(loaded.settings.engine, inputs));
  }
  const bool is_int8 = reduced.info().compute.find("int8") != std::string::npos ||
                       loaded.settings.engine.dtype == "int8";
  const double floor = flags.floor.value_or(is_int8 ? kFloorInt8 : kFloorBf16);
  const nlohmann::ordered_json json = ReportJson(report, reference.info(), reduced.info(), floor);
  context.environment.out << (flags.json ? DumpJson(json) + "\n" : ReportText(json));
  RETURN_IF_ERROR(CheckOutput(context.environment.out));
  if (report.figure() >= floor) {
    const bool write = flags.write && IsFolder(loaded.settings.engine);
    return write ? Record(loaded.settings.engine) : Result<>();
  }
  return FailAt(reduced.info().id, Code::kFailedPrecondition,
                "expected a {} of at least {} under {}, got {:.6f}; use a wider --dtype or keep "
                "layers in bf16 with --bf16-layers",
                report.vectors ? "lowest cosine" : "Spearman correlation", floor,
                reduced.info().compute, report.figure());
}

}  // namespace

void AddModelsVerify(CLI::App& models, CommandContext& context) {
  auto flags = std::make_shared<VerifyFlags>();
  flags->dtype = "int8";
  CLI::App* verb =
      models.add_subcommand("verify", "Compare a model in int8 or bf16 with itself in f32");
  verb->add_option("model", flags->model, "Model name or folder")->required();
  verb->add_option("--dtype", flags->dtype, "Arithmetic to verify")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}));
  verb->add_option("--threads", flags->threads, "Threads; 0: what cpuset and cgroup allow")
      ->check(CLI::Range(0, 4096));
  verb->add_option("--bf16-layers", flags->bf16_layers,
                   "Layers that int8 keeps in bf16, separated by commas");
  verb->add_option("--input", flags->input, "Texts of your own beside the built-in ones");
  verb->add_option("--input-format", flags->input_format, "jsonl (default) or text")
      ->check(CLI::IsMember({"jsonl", "text"}));
  verb->add_option("--floor", flags->floor,
                   "Fail when the lowest cosine (or, of scores, the Spearman correlation) is below "
                   "(default: 0.997 for int8, 0.9995 otherwise)")
      ->check(CLI::Range(-1.0, 1.0));
  verb->add_flag("--json", flags->json, "One JSON line");
  verb->add_flag(
      "--write", flags->write,
      "When it passes, note it in the folder's garrison.json: --dtype auto then uses it");
  verb->footer(
      "Examples:\n"
      "  garrison models verify models/minilm --dtype int8\n"
      "  garrison models verify models/minilm --dtype bf16 --input mine.txt --input-format text "
      "--json");
  verb->callback([flags, &context] { context.outcome = Verify(context, *flags); });
}

}  // namespace garrison
