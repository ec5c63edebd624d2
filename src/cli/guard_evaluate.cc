// garrison guard evaluate: a folder of conversations in, a folder with a report out.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/mapped_file.h"
#include "cli/command.h"
#include "cli/guard_flags.h"
#include "cli/guard_verbs.h"
#include "cli/report_folder.h"
#include "guard/evaluation.h"
#include "guard/evaluation_html.h"
#include "guard/evaluation_input.h"
#include "guard/evaluation_json.h"
#include "guard/report.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

namespace fs = std::filesystem;

// Texts are held until the report is written.
constexpr std::size_t kInputBytesMax = std::size_t{256} << 20;

struct EvaluateFlags : FormulaFlags {
  ModelFlags model;
  std::string folder;
  std::string output = "guard-report";
  bool force = false;
  bool keep_going = false;
  bool no_texts = false;
};

using LeftOut = std::vector<std::pair<std::string, std::string>>;

struct FoundFiles {
  struct File {
    fs::path path;
    EvaluatedFile names;
  };
  std::vector<File> files;  // by source
  LeftOut left_out;
};

// ---- finding
// ---------------------------------------------------------------------------------------

// The names go into tables, pages and paths.
Result<> CheckName(const std::string& source) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  std::string shown = source;
  std::replace_if(shown.begin(), shown.end(), is_control, '?');
  if (shown == source && CheckPlainText(source)) return {};
  return FailAt(shown, Code::kInvalidArgument,
                "expected a name in UTF-8 without control characters; rename it");
}

Result<std::vector<fs::directory_entry>> EntriesOf(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) entries.push_back(*it);
  }
  if (error) {
    return FailAt(folder.string(),
                  error == std::errc::permission_denied ? Code::kPermissionDenied : Code::kNotFound,
                  "expected a folder with conversations: {}", error.message());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool HoldsReport(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kReportList, error) && fs::exists(folder / "report.json", error);
}

Result<> TakeFile(const fs::directory_entry& entry, const std::string& model,
                  const std::string& source, FoundFiles& found) {
  RETURN_IF_ERROR(CheckName(source));
  std::error_code error;
  const std::string ending = Lower(entry.path().extension().string());
  if (entry.is_directory(error)) {
    found.left_out.emplace_back(source, "a folder within a model's folder is not looked into");
  } else if (ending != ".json" && ending != ".csv" && ending != ".txt") {
    found.left_out.emplace_back(source, "expected a file named .json, .csv or .txt");
  } else {
    found.files.push_back({entry.path(), {model, entry.path().stem().string(), source}});
  }
  return {};
}

// One folder for each model; files beside the folders belong to a model named after `root`.
Result<FoundFiles> FindFiles(const fs::path& root) {
  FoundFiles found;
  std::error_code error;
  const fs::path whole = fs::canonical(root, error);
  if (error) {
    return FailAt(root.string(), Code::kNotFound, "expected a folder with conversations: {}",
                  error.message());
  }
  ASSIGN_OR_RETURN(const auto entries, EntriesOf(whole));
  const std::string own_name = whole.filename().empty() ? "/" : whole.filename().string();
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory(error)) {
      RETURN_IF_ERROR(TakeFile(entry, own_name, name, found));
      continue;
    }
    if (HoldsReport(entry.path())) {
      found.left_out.emplace_back(name, "the report of an earlier evaluation");
      continue;
    }
    ASSIGN_OR_RETURN(const auto inner, EntriesOf(entry.path()));
    for (const fs::directory_entry& file : inner) {
      RETURN_IF_ERROR(TakeFile(file, name, name + "/" + file.path().filename().string(), found));
    }
  }
  if (found.files.size() > kEvaluatedConversationsMax) {
    return FailAt(root.string(), Code::kInvalidArgument,
                  "expected at most {} conversations, got {}; evaluate them in parts",
                  kEvaluatedConversationsMax, found.files.size());
  }
  return found;
}

// ---- scoring
// ---------------------------------------------------------------------------------------

// Opens the model once a conversation needs it: recorded runs do not.
class LazyMonitor {
 public:
  LazyMonitor(const CommandContext& context, const Settings& settings)
      : context_(context), settings_(settings) {}

  Result<const GuardMonitor*> Get() {
    if (monitor_) return monitor_.get();
    ASSIGN_OR_RETURN(embedder_, OpenLocalEmbedder(context_, settings_));
    ASSIGN_OR_RETURN(std::optional<Projection> projection,
                     LoadProjection(settings_.guard.projection,
                                    static_cast<std::uint64_t>(settings_.limits.file_bytes)));
    ASSIGN_OR_RETURN(monitor_,
                     GuardMonitor::Create(*embedder_, settings_.guard, std::move(projection)));
    return monitor_.get();
  }

 private:
  const CommandContext& context_;
  const Settings& settings_;
  std::shared_ptr<const Embedder> embedder_;
  std::unique_ptr<GuardMonitor> monitor_;
};

struct ReadFile {
  std::string sha256;
  EvaluatedContent content;
  std::size_t bytes = 0;
};

Result<ReadFile> Read(const fs::path& path, const Settings& settings) {
  ReadFile read;
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadTextFile(path, static_cast<std::uint64_t>(settings.limits.file_bytes)));
  read.bytes = bytes.size();
  read.sha256 = Sha256Hex(bytes);
  ASSIGN_OR_RETURN(read.content, ParseEvaluatedFile(bytes, settings.guard, settings.limits));
  return read;
}

Result<ScoredConversation> ScoreFile(const EvaluatedFile& file, ReadFile read,
                                     const Settings& settings, LazyMonitor& monitor) {
  if (auto* run = std::get_if<RecordedRun>(&read.content)) {
    return TakeRecorded(file, std::move(read.sha256), std::move(*run), settings.guard);
  }
  ASSIGN_OR_RETURN(const GuardMonitor* const opened, monitor.Get());
  return In(file.source, ScoreConversation(file, std::move(read.sha256),
                                           std::get<Conversation>(std::move(read.content)), *opened,
                                           settings.guard, RequestContext{}));
}

// A file that cannot be read ends the run, or with `keep_going` is left out; an error of the model
// always ends it.
Result<std::vector<ScoredConversation>> ScoreAll(FoundFiles& found, const Settings& settings,
                                                 bool keep_going, LazyMonitor& monitor) {
  std::vector<ScoredConversation> scored;
  std::size_t bytes = 0;
  for (const FoundFiles::File& file : found.files) {
    Result<ReadFile> read = Read(file.path, settings);
    if (!read && keep_going) {
      found.left_out.emplace_back(file.names.source, read.error().Sentence());
      continue;
    }
    if (!read) {
      Error error = std::move(read).error();
      if (error.where != file.path.string()) error = At(file.path.string(), std::move(error));
      error.message += " (--keep-going leaves such files out)";
      return tl::unexpected(std::move(error));
    }
    bytes += read->bytes;
    if (bytes > kInputBytesMax) {
      return FailAt(file.path.string(), Code::kInvalidArgument,
                    "expected at most {} bytes of conversations together; evaluate them in parts",
                    kInputBytesMax);
    }
    ASSIGN_OR_RETURN(ScoredConversation conversation,
                     ScoreFile(file.names, *std::move(read), settings, monitor));
    scored.push_back(std::move(conversation));
  }
  return scored;
}

// ---- writing
// ---------------------------------------------------------------------------------------

ReportFolder::Files FilesOf(const Evaluation& evaluation, bool texts, const LeftOut& left_out) {
  ReportFolder::Files files;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    files.emplace_back("turns/" + conversation.run.source + ".csv",
                       ReportCsv(conversation.run.turns));
  }
  files.emplace_back("conversations.csv", ConversationsCsv(evaluation));
  files.emplace_back("report.json", EvaluationJson(evaluation, {texts, left_out}));
  files.emplace_back("report.html", EvaluationHtml(evaluation, {texts, left_out}));
  return files;
}

std::string PhiLine(const Evaluation& evaluation, const EvaluatedModel& model) {
  std::string line = fmt::format("{}: {} conversations, {} partial; ", model.name,
                                 model.conversations, model.conversations - model.complete);
  const PhiEstimate& phi = model.phi;
  if (model.complete == 0) return line + "no Phi: NOT ENOUGH DATA\n";
  line += fmt::format("Phi {:.4f} (plain), {:.4f}", phi.plain, phi.winsorised);
  if (phi.interval) line += fmt::format(" [{:.4f}, {:.4f}]", phi.interval->low, phi.interval->high);
  line += fmt::format(" against {}: {}", evaluation.settings.fragility_pass,
                      PhiVerdictName(phi.verdict));
  if (phi.verdict == PhiVerdict::kNotEnoughData) {
    line += fmt::format("; +-{} needs about {} conversations", kPhiPrecision, phi.needed);
  }
  return line + "\n";
}

std::string SummaryText(const Evaluation& evaluation) {
  std::string text;
  for (const EvaluatedModel& model : evaluation.models) text += PhiLine(evaluation, model);
  for (const Hypothesis& hypothesis : evaluation.hypotheses) {
    text += fmt::format("{} {}{}{}: {} ({})\n", hypothesis.set, hypothesis.id,
                        hypothesis.subject.empty() ? "" : ", ", hypothesis.subject,
                        OutcomeName(hypothesis.outcome), hypothesis.reason);
  }
  return text;
}

Result<> RunEvaluate(CommandContext& context, const EvaluateFlags& flags) {
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context, flags.model));
  Settings& settings = loaded.settings;
  RETURN_IF_ERROR(ApplyFormulaFlags(flags, settings));
  ASSIGN_OR_RETURN(FoundFiles found, FindFiles(flags.folder));
  std::error_code error;
  if (fs::equivalent(flags.folder, flags.output, error)) {
    return FailAt("--output", Code::kInvalidArgument,
                  "expected another folder than the one that is evaluated: the next evaluation "
                  "would take the report for conversations");
  }
  ASSIGN_OR_RETURN(const ReportFolder report, ReportFolder::Open(flags.output));
  LazyMonitor monitor(context, settings);
  ASSIGN_OR_RETURN(std::vector<ScoredConversation> scored,
                   ScoreAll(found, settings, flags.keep_going, monitor));
  for (const auto& [source, reason] : found.left_out) {
    context.environment.err << fmt::format("left out {}: {}\n", source, reason);
  }
  if (scored.empty()) {
    return FailAt(flags.folder, Code::kInvalidArgument,
                  "expected conversations (.json, .csv, .txt) in it or in its folders, one folder "
                  "for each model; got none");
  }
  ASSIGN_OR_RETURN(const Evaluation evaluation,
                   In(flags.folder, Evaluate(std::move(scored), settings.guard)));
  RETURN_IF_ERROR(report.Write(FilesOf(evaluation, !flags.no_texts, found.left_out), flags.force));
  context.environment.out << SummaryText(evaluation)
                          << fmt::format("{}\n", (fs::path(flags.output) / "report.html").string());
  return CheckOutput(context.environment.out);
}

}  // namespace

void AddGuardEvaluate(CLI::App& guard, CommandContext& context) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* verb = guard.add_subcommand(
      "evaluate", "Judge the conversations of several models; writes a report");
  verb->add_option("folder", flags->folder,
                   "One folder for each model, with conversations (.json, .csv, .txt) or recorded "
                   "runs (CSV with RiskSeverity_Model)")
      ->required();
  verb->add_option("--output", flags->output, "Folder for the report")->capture_default_str();
  verb->add_flag("--force", flags->force, "Overwrite files there that no evaluation wrote");
  verb->add_flag("--keep-going", flags->keep_going,
                 "Leave out files that cannot be read, and say so in the report");
  verb->add_flag("--no-texts", flags->no_texts, "Leave out of the report what was said");
  AddModelFlags(*verb, flags->model);
  AddProjectionFlag(*verb, *flags);
  AddFormulaFlags(*verb, *flags);
  verb->footer(
      "Examples:\n"
      "  garrison guard evaluate runs\n"
      "  garrison guard evaluate runs --output report --projection projection.json");
  verb->callback([flags, &context] { context.outcome = RunEvaluate(context, *flags); });
}

}  // namespace garrison
