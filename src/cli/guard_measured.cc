// garrison guard train --mode measured, garrison guard score.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "base/hash.h"
#include "base/mapped_file.h"
#include "cli/guard_flags.h"
#include "cli/guard_verbs.h"
#include "core/json.h"
#include "guard/measured.h"
#include "guard/measured_report.h"
#include "guard/measured_train.h"
#include "guard/monitor.h"
#include "guard/report.h"
#include "guard/training_rows.h"

namespace garrison {
namespace {

// Training data is larger than what a service takes from strangers.
constexpr std::uint64_t kDataBytesMax = std::uint64_t{1} << 30;

struct ScoreFlags {
  ModelFlags model;
  std::string guard;
  std::string mode = "measured";
};

Result<std::string> CompatLine(const GuardMonitor& monitor, const TrainingDialogue& dialogue,
                               const GuardSettings& settings) {
  ASSIGN_OR_RETURN(
      const std::vector<TurnReport> turns,
      CheckConversation(monitor, Conversation{dialogue.turns, 0}, settings, RequestContext{}));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const TurnReport& turn : turns) rows.push_back(TurnJson(turn));
  return DumpJson({{"id", dialogue.id}, {"turns", std::move(rows)}});
}

Result<std::string> MeasuredLine(const MeasuredMonitor& monitor, const TrainingDialogue& dialogue) {
  ASSIGN_OR_RETURN(const std::vector<MeasuredTurn> turns,
                   CheckConversation(monitor, Conversation{dialogue.turns, 0}, RequestContext{}));
  return DumpJson(ScoredDialogueJson(dialogue.id, turns));
}

Result<> Score(CommandContext& context, const ScoreFlags& flags) {
  const bool compat = flags.mode == "compat";
  if (compat && !flags.guard.empty()) {
    return FailAt("--guard", Code::kInvalidArgument, "expected it with --mode measured only");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags.model));
  const Settings& settings = loaded.settings;
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.model.input, kDataBytesMax));
  constexpr bool kLabelled = false;
  ASSIGN_OR_RETURN(const auto dialogues,
                   In(flags.model.input, ParseTrainingDialogues(text, kLabelled, settings.limits)));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenLocalEmbedder(context, settings));
  std::unique_ptr<GuardMonitor> compat_monitor;
  std::unique_ptr<MeasuredMonitor> measured_monitor;
  if (compat) {
    ASSIGN_OR_RETURN(std::optional<Projection> projection,
                     LoadProjection(settings.guard.projection,
                                    static_cast<std::uint64_t>(settings.limits.file_bytes)));
    ASSIGN_OR_RETURN(compat_monitor,
                     GuardMonitor::Create(*embedder, settings.guard, std::move(projection)));
  } else {
    ASSIGN_OR_RETURN(GuardFile file,
                     OpenGuardFile(flags.guard.empty() ? settings.guard.file : flags.guard));
    ASSIGN_OR_RETURN(measured_monitor,
                     MeasuredMonitor::Create(*embedder, std::move(file), settings.guard.prior));
  }
  for (const TrainingDialogue& dialogue : dialogues) {
    ASSIGN_OR_RETURN(const std::string line,
                     In(dialogue.id, compat ? CompatLine(*compat_monitor, dialogue, settings.guard)
                                            : MeasuredLine(*measured_monitor, dialogue)));
    context.environment.out << line << "\n";
  }
  return CheckOutput(context.environment.out);
}

}  // namespace

Result<> TrainMeasuredGuard(CommandContext& context, const ModelFlags& model,
                            const MeasuredTrainFlags& flags) {
  if (flags.data.empty()) {
    return FailAt("--data", Code::kInvalidArgument,
                  "expected the folder of turns.jsonl and dialogues.jsonl; see "
                  "docs/formats/guard-data.md");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, model));
  const std::string turns_file = (std::filesystem::path(flags.data) / "turns.jsonl").string();
  const std::string dialogues_file =
      (std::filesystem::path(flags.data) / "dialogues.jsonl").string();
  ASSIGN_OR_RETURN(const std::string turns, ReadTextFile(turns_file, kDataBytesMax));
  ASSIGN_OR_RETURN(const std::string dialogues, ReadTextFile(dialogues_file, kDataBytesMax));
  MeasuredTraining training;
  ASSIGN_OR_RETURN(training.turns,
                   In(turns_file, ParseTrainingTurns(turns, loaded.settings.limits)));
  constexpr bool kLabelled = true;
  ASSIGN_OR_RETURN(
      training.dialogues,
      In(dialogues_file, ParseTrainingDialogues(dialogues, kLabelled, loaded.settings.limits)));
  training.turns_sha256 = Sha256Hex(turns);
  training.dialogues_sha256 = Sha256Hex(dialogues);
  training.anchors = DefaultAnchors();
  training.conversation_false_alarms = flags.conversation_false_alarms;
  training.turn_false_alarms = flags.turn_false_alarms;
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenLocalEmbedder(context, loaded.settings));
  const auto log = [&](const std::string& line) { context.environment.err << line << std::endl; };
  ASSIGN_OR_RETURN(const GuardFile file, TrainMeasured(*embedder, training, log));
  if (!flags.output.empty() && flags.output != "-") {
    return WriteFileAtomically(flags.output, file.ToJson());
  }
  context.environment.out << file.ToJson();
  return CheckOutput(context.environment.out);
}

void AddGuardScore(CLI::App& guard, CommandContext& context) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* verb = guard.add_subcommand("score", "Score many dialogues, a line of JSON each");
  verb->add_option(
          "--input", flags->model.input,
          "JSON lines {\"id\":..,\"turns\":[{\"user\":..,\"model\":..}]}; - reads standard "
          "input")
      ->required();
  AddModelFlags(*verb, flags->model);
  verb->add_option("--guard", flags->guard,
                   "Guard file (default: guard.file, or the one of the built-in model)");
  verb->add_option("--mode", flags->mode, "measured or compat")
      ->capture_default_str()
      ->check(CLI::IsMember({"measured", "compat"}));
  verb->footer("Example:\n  garrison guard score --input dialogues.jsonl --guard guard.json");
  verb->callback([flags, &context] { context.outcome = Score(context, *flags); });
}

}  // namespace garrison
