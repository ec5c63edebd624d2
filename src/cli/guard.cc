// garrison guard check | replay | train; evaluate is cli/guard_evaluate.cc.
#include <fmt/format.h>

#include <utility>
#include <variant>

#include "base/hash.h"
#include "base/mapped_file.h"
#include "cli/batches.h"
#include "cli/command.h"
#include "cli/guard_flags.h"
#include "cli/guard_verbs.h"
#include "guard/conversation.h"
#include "guard/guard_file.h"
#include "guard/measured.h"
#include "guard/measured_report.h"
#include "guard/monitor.h"
#include "guard/replay.h"
#include "guard/report.h"
#include "guard/train.h"

namespace garrison {
namespace {

struct GuardFlags : FormulaFlags {
  ModelFlags model;
  std::string file;
  std::string from_vectors;
  std::string from_risk;
  std::string v_safe;
  std::string v_sycophancy;
  std::string format;
  std::string mode;   // not given: guard.mode
  std::string guard;  // not given: guard.file
};

struct TrainFlags {
  ModelFlags model;
  std::string mode = "projection";
  MeasuredTrainFlags measured;
  std::string output;
  bool scaler = false;
  std::size_t components = 2;
};

void AddFormat(CLI::App& verb, GuardFlags& flags, std::vector<std::string> formats) {
  flags.format = formats.front();
  verb.add_option("--format", flags.format, "Output: " + CLI::detail::join(formats, ", "))
      ->capture_default_str()
      ->check(CLI::IsMember(formats));
}

Result<> Print(CommandContext& context, const std::string& format,
               std::span<const TurnReport> turns, const Settings& settings,
               const Provenance& provenance) {
  std::ostream& out = context.environment.out;
  const Summary summary = Summarize(turns, settings.guard, provenance);
  if (format == "csv") {
    out << ReportCsv(turns);
  } else if (format == "json") {
    out << ReportJson(turns, summary);
  } else {
    out << ReportTable(turns, summary, TableOptions{context.environment.color});
  }
  return CheckOutput(out);
}

// What the measured mode adds to the compatible one's report.
Result<> CheckMeasured(CommandContext& context, const GuardFlags& flags, const Settings& settings,
                       const Conversation& conversation, const Embedder& embedder,
                       std::span<const TurnReport> compat, const Summary& summary) {
  if (flags.format == "csv") {
    return FailAt("--format", Code::kInvalidArgument,
                  "expected json or table in measured mode: the CSV has the compatible mode's "
                  "columns alone");
  }
  ASSIGN_OR_RETURN(GuardFile file,
                   OpenGuardFile(flags.guard.empty() ? settings.guard.file : flags.guard));
  ASSIGN_OR_RETURN(const std::unique_ptr<MeasuredMonitor> monitor,
                   MeasuredMonitor::Create(embedder, std::move(file), settings.guard.prior));
  ASSIGN_OR_RETURN(const std::vector<MeasuredTurn> turns,
                   In(flags.file, CheckConversation(*monitor, conversation, RequestContext{})));
  std::ostream& out = context.environment.out;
  if (flags.format == "json") {
    out << MeasuredReportJson(compat, summary, turns, monitor->file());
  } else {
    out << ReportTable(compat, summary, TableOptions{context.environment.color}) << "\n"
        << MeasuredTable(turns, monitor->file());
  }
  return CheckOutput(out);
}

Result<> Check(CommandContext& context, const GuardFlags& flags) {
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context, flags.model));
  Settings& settings = loaded.settings;
  RETURN_IF_ERROR(ApplyFormulaFlags(flags, settings));
  const auto file_max = static_cast<std::uint64_t>(settings.limits.file_bytes);
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.file, file_max));
  ASSIGN_OR_RETURN(const Conversation conversation,
                   In(flags.file, ParseConversation(text, settings.limits)));
  for (const Turn& turn : conversation.turns) {
    for (const auto& side : {turn.user, turn.model}) {
      if (!side) continue;
      RETURN_IF_ERROR(In(fmt::format("{}: turn {}", flags.file, turn.number),
                         CheckInputSize({0, *side, std::nullopt}, settings.limits)));
    }
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenLocalEmbedder(context, settings));
  ASSIGN_OR_RETURN(std::optional<Projection> projection,
                   LoadProjection(settings.guard.projection, file_max));
  ASSIGN_OR_RETURN(const std::unique_ptr<GuardMonitor> monitor,
                   GuardMonitor::Create(*embedder, settings.guard, std::move(projection)));
  ASSIGN_OR_RETURN(
      const std::vector<TurnReport> turns,
      In(flags.file, CheckConversation(*monitor, conversation, settings.guard, RequestContext{})));
  const std::string& mode = flags.mode.empty() ? settings.guard.mode : flags.mode;
  if (mode != "measured") {
    return Print(context, flags.format, turns, settings, monitor->provenance());
  }
  return CheckMeasured(context, flags, settings, conversation, *embedder, turns,
                       Summarize(turns, settings.guard, monitor->provenance()));
}

Result<> ReplayVectors(CommandContext& context, const GuardFlags& flags, const Settings& settings) {
  if (flags.v_safe.empty()) {
    return FailAt("--vsafe", Code::kInvalidArgument,
                  "the flag is missing; give the safe vector, for example --vsafe -0.34,0.94");
  }
  ReplayAxes axes;
  if (auto parsed = ParseVectorArgument(flags.v_safe); parsed) {
    axes.v_safe = *std::move(parsed);
  } else {
    return FlagError("--vsafe", std::move(parsed).error());
  }
  if (!flags.v_sycophancy.empty()) {
    auto parsed = ParseVectorArgument(flags.v_sycophancy);
    if (!parsed) return FlagError("--vsyc", std::move(parsed).error());
    axes.v_sycophancy = *std::move(parsed);
  }
  ASSIGN_OR_RETURN(
      const std::string text,
      ReadTextFile(flags.from_vectors, static_cast<std::uint64_t>(settings.limits.file_bytes)));
  ASSIGN_OR_RETURN(const std::vector<VectorTurn> vectors,
                   In(flags.from_vectors, ParseVectors(text, settings.limits)));
  Result<std::vector<TurnReport>> replayed = Replay(vectors, axes, settings.guard);
  if (!replayed && (replayed.error().where == "vsafe" || replayed.error().where == "vsyc")) {
    return FlagError("--" + replayed.error().where, std::move(replayed).error());
  }
  ASSIGN_OR_RETURN(const std::vector<TurnReport> turns,
                   In(flags.from_vectors, std::move(replayed)));
  return Print(context, flags.format, turns, settings,
               ReplayProvenance(settings.guard, fmt::format("vectors:{}", axes.v_safe.size())));
}

Result<> ReplayCommand(CommandContext& context, const GuardFlags& flags) {
  if (flags.from_vectors.empty() == flags.from_risk.empty()) {
    return FailAt("--from-vectors", Code::kInvalidArgument,
                  "expected --from-vectors FILE or --from-risk FILE, got {}",
                  flags.from_risk.empty() ? "neither" : "both");
  }
  if (!flags.from_risk.empty() && !(flags.v_safe.empty() && flags.v_sycophancy.empty())) {
    return FailAt("--vsafe", Code::kInvalidArgument,
                  "expected it with --from-vectors only: --from-risk has the risks already");
  }
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context));
  RETURN_IF_ERROR(ApplyFormulaFlags(flags, loaded.settings));
  if (!flags.from_vectors.empty()) return ReplayVectors(context, flags, loaded.settings);
  ASSIGN_OR_RETURN(
      const std::string text,
      ReadTextFile(flags.from_risk, static_cast<std::uint64_t>(loaded.settings.limits.file_bytes)));
  ASSIGN_OR_RETURN(const std::vector<RiskTurn> risk, In(flags.from_risk, ParseRisk(text)));
  ASSIGN_OR_RETURN(const std::vector<TurnReport> turns,
                   In(flags.from_risk, Replay(risk, loaded.settings.guard)));
  return Print(context, flags.format, turns, loaded.settings,
               ReplayProvenance(loaded.settings.guard, "risk"));
}

// What the hash of a training set takes of one text; docs/formats/projection.md.
std::string HashedForm(const EmbedInput& input) {
  if (const auto* text = std::get_if<std::string>(&input)) return *text + "\n";
  return fmt::format("{}\n", fmt::join(std::get<TokenIds>(input).ids, " "));
}

Result<> Train(CommandContext& context, const TrainFlags& flags) {
  if (flags.mode == "measured") {
    MeasuredTrainFlags all = flags.measured;
    all.output = flags.output;
    return TrainMeasuredGuard(context, flags.model, all);
  }
  if (flags.model.input.empty()) {
    return FailAt("--input", Code::kInvalidArgument,
                  "expected the file of texts, or - for standard input");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags.model));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenLocalEmbedder(context, loaded.settings));
  std::vector<float> rows;
  Sha256 texts_hash;
  std::size_t texts = 0;
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    EmbedRequest request;
    for (InputRecord& record : records) {
      texts_hash.Update(HashedForm(record.input));
      request.inputs.push_back(std::move(record.input));
    }
    texts += records.size();
    if (texts > kTrainingTextsMax) {
      return FailAt(flags.model.input, Code::kInvalidArgument, "expected at most {} texts",
                    kTrainingTextsMax);
    }
    ASSIGN_OR_RETURN(const Embeddings batch, EmbedRecords(*embedder, records, request));
    rows.insert(rows.end(), batch.values.begin(), batch.values.end());
    return {};
  };
  RETURN_IF_ERROR(ForEachBatch(context, flags.model, loaded.settings.limits, take));
  ASSIGN_OR_RETURN(
      const TrainedProjection trained,
      TrainProjection(std::span<const float>(rows), embedder->info(), texts_hash.FinishHex(),
                      TrainOptions{flags.scaler, flags.components}));
  for (const std::string& warning : trained.warnings) {
    context.environment.err << "warning: " << warning << "\n";
  }
  context.environment.err << fmt::format("{} texts, {} components, {:.2f} % of the variance\n",
                                         texts, flags.components, 100 * trained.explained);
  if (!flags.output.empty() && flags.output != "-") {
    return WriteFileAtomically(flags.output, trained.projection.ToJson());
  }
  context.environment.out << trained.projection.ToJson();
  return CheckOutput(context.environment.out);
}

void AddCheck(CLI::App& guard, CommandContext& context) {
  auto flags = std::make_shared<GuardFlags>();
  CLI::App* verb = guard.add_subcommand("check", "Score every turn of a conversation");
  verb->add_option("file", flags->file,
                   "Conversation: JSON, CSV or \"User: ...\" lines; - reads standard input")
      ->required();
  AddModelFlags(*verb, flags->model);
  AddProjectionFlag(*verb, *flags);
  AddFormulaFlags(*verb, *flags);
  AddFormat(*verb, *flags, {"table", "json", "csv"});
  verb->add_option("--mode", flags->mode, "compat or measured (default: guard.mode)")
      ->check(CLI::IsMember({"compat", "measured"}));
  verb->add_option("--guard", flags->guard, "measured: guard file (default: guard.file)");
  verb->footer(
      "Examples:\n"
      "  garrison guard check examples/eroding_conversation.json --mode measured\n"
      "  garrison guard check examples/eroding_conversation.json\n"
      "  garrison guard check chat.csv --format json --weights 3,2,1.5,-2");
  verb->callback([flags, &context] { context.outcome = Check(context, *flags); });
}

void AddReplay(CLI::App& guard, CommandContext& context) {
  auto flags = std::make_shared<GuardFlags>();
  CLI::App* verb = guard.add_subcommand(
      "replay", "Recompute a recorded run from its vectors or risk severities");
  verb->add_option("--from-vectors", flags->from_vectors,
                   "JSON lines {\"turn\":1,\"user\":[..],\"model\":[..]}; needs --vsafe");
  verb->add_option("--from-risk", flags->from_risk,
                   "CSV with Turn,RiskSeverity_Model,RiskSeverity_User");
  verb->add_option("--vsafe", flags->v_safe, "Safe vector x,y,...");
  verb->add_option("--vsyc", flags->v_sycophancy, "Sycophantic vector x,y,... (optional)");
  AddFormulaFlags(*verb, *flags);
  AddFormat(*verb, *flags, {"csv", "json", "table"});
  verb->footer(
      "Examples:\n"
      "  garrison guard replay --from-risk run.csv --format csv\n"
      "  garrison guard replay --from-vectors run.jsonl --vsafe -0.34,0.94 --cumulative trapezoid");
  verb->callback([flags, &context] { context.outcome = ReplayCommand(context, *flags); });
}

void AddTrain(CLI::App& guard, CommandContext& context) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* verb = guard.add_subcommand(
      "train", "Fit a projection (PCA) for the compatible mode, or a guard for the measured mode");
  flags->model.input_format = "auto";
  flags->model.skip_blank_texts = true;
  verb->add_option("--mode", flags->mode, "projection or measured")
      ->capture_default_str()
      ->check(CLI::IsMember({"projection", "measured"}));
  verb->add_option("--data", flags->measured.data,
                   "measured: folder of turns.jsonl and dialogues.jsonl");
  verb->add_option("--conversation-false-alarms", flags->measured.conversation_false_alarms,
                   "measured: rate per ordinary conversation that the alarm keeps")
      ->capture_default_str()
      ->check(CLI::Range(1e-4, 0.5));
  verb->add_option("--turn-false-alarms", flags->measured.turn_false_alarms,
                   "measured: rate per ordinary turn")
      ->capture_default_str()
      ->check(CLI::Range(1e-4, 0.5));
  verb->add_option("--input", flags->model.input, "projection: texts; - reads standard input");
  verb->add_option("--input-format", flags->model.input_format,
                   "jsonl, text (one per line), or auto: jsonl if the file begins with {")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "jsonl", "text"}));
  verb->add_option("--output", flags->output, "File to write (default: standard output)");
  AddModelFlags(*verb, flags->model);
  verb->add_option("--embedder", flags->model.model, "The same as --model");
  verb->add_flag("--scaler", flags->scaler, "Scale each dimension to unit variance first");
  verb->add_option("--components", flags->components, "Components to keep")
      ->capture_default_str()
      ->check(CLI::Range(1, 32));
  verb->footer(
      "Examples:\n"
      "  garrison guard train --input texts.txt --output projection.json\n"
      "  garrison guard train --mode measured --data rows --output guard.json");
  verb->callback([flags, &context] { context.outcome = Train(context, *flags); });
}

}  // namespace

void AddGuard(CLI::App& app, CommandContext& context) {
  CLI::App* guard = app.add_subcommand("guard", "Watch conversations for safety erosion");
  guard->require_subcommand(1);
  AddCheck(*guard, context);
  AddReplay(*guard, context);
  AddTrain(*guard, context);
  AddGuardScore(*guard, context);
  AddGuardEvaluate(*guard, context);
}

}  // namespace garrison
