#include "guard/guard_file.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/base64.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "core/json.h"
#include "guard/builtin_guard.h"
#include "guard/file_fields.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "garrison-guard";
constexpr int kVersion = 1;
constexpr std::size_t kDepthMax = 12;
constexpr double kLarge = 1e6;  // no score, slope or threshold of a sound training is larger
constexpr std::size_t kQuantilesMax = 1000;
constexpr std::size_t kAnchorSetsMax = 16;
constexpr std::size_t kAnchorTextsMax = 256;

// ---- writing
// ---------------------------------------------------------------------------------------

std::string Floats(const Eigen::VectorXf& values) {
  return EncodeFloats(values.data(), static_cast<std::size_t>(values.size()));
}

ordered_json ProbeJson(const Probe& probe) {
  ordered_json out = {{"user", Floats(probe.user)}, {"user_words", Floats(probe.user_words)}};
  if (probe.of_pair()) {
    out["reply_words"] = Floats(probe.reply_words);
    out["reply"] = Floats(probe.reply);
    out["difference"] = Floats(probe.difference);
    out["product"] = Floats(probe.product);
  }
  out["bias"] = probe.bias;
  out["calibration"] = {{"slope", probe.calibration.slope},
                        {"offset", probe.calibration.offset},
                        {"prior", probe.calibration.prior}};
  return out;
}

ordered_json AlarmJson(const MeasuredModel& model) {
  const AlarmRule& rule = model.alarm;
  return {{"user_level", rule.user_level},
          {"reply_level", rule.reply_level},
          {"drift", rule.drift},
          {"threshold", rule.threshold},
          {"release", rule.release},
          {"evidence_max", rule.evidence_max},
          {"slope_sigma", rule.slope_sigma},
          {"turn_threshold", model.turn_threshold},
          {"turn_false_alarms", model.turn_false_alarms},
          {"conversation_false_alarms", model.conversation_false_alarms},
          {"baseline", model.baseline},
          {"conversations", model.calibration_conversations}};
}

ordered_json LanguageJson(const MeasuredModel& model) {
  const LanguageProfile::Data& data = model.language.data();
  return {
      {"name", model.language_name}, {"steps", EncodeBase64(std::as_bytes(std::span(data.steps)))},
      {"mean", data.mean},           {"deviation", data.deviation},
      {"spread", data.spread},       {"threshold", data.threshold}};
}

// ---- reading
// ---------------------------------------------------------------------------------------

Result<Eigen::VectorXf> ReadVector(FileFields& fields, const char* key, std::size_t size) {
  ASSIGN_OR_RETURN(const std::vector<float> values, fields.Floats(key, size));
  return Eigen::VectorXf(
      Eigen::Map<const Eigen::VectorXf>(values.data(), static_cast<Eigen::Index>(size)));
}

Result<Calibration> ReadCalibration(FileFields fields) {
  Calibration out;
  ASSIGN_OR_RETURN(out.slope, fields.Number("slope", 0, kLarge));
  ASSIGN_OR_RETURN(out.offset, fields.Number("offset", -kLarge, kLarge));
  ASSIGN_OR_RETURN(out.prior, fields.Number("prior", 1e-9, 1 - 1e-9));
  RETURN_IF_ERROR(fields.CheckNoOthers({"slope", "offset", "prior"}));
  return out;
}

Result<Probe> ReadProbe(FileFields fields, std::size_t dimension) {
  Probe probe;
  ASSIGN_OR_RETURN(probe.user, ReadVector(fields, "user", dimension));
  ASSIGN_OR_RETURN(probe.user_words, ReadVector(fields, "user_words", kWordBuckets));
  if (fields.Has("reply")) {
    ASSIGN_OR_RETURN(probe.reply, ReadVector(fields, "reply", dimension));
    ASSIGN_OR_RETURN(probe.difference, ReadVector(fields, "difference", dimension));
    ASSIGN_OR_RETURN(probe.product, ReadVector(fields, "product", dimension));
    ASSIGN_OR_RETURN(probe.reply_words, ReadVector(fields, "reply_words", kWordBuckets));
  }
  ASSIGN_OR_RETURN(const double bias, fields.Number("bias", -kLarge, kLarge));
  probe.bias = static_cast<float>(bias);
  ASSIGN_OR_RETURN(FileFields calibration, fields.Object("calibration"));
  ASSIGN_OR_RETURN(probe.calibration, ReadCalibration(std::move(calibration)));
  RETURN_IF_ERROR(fields.CheckNoOthers({"user", "reply", "difference", "product", "user_words",
                                        "reply_words", "bias", "calibration"}));
  return probe;
}

Result<> ReadAlarm(FileFields fields, MeasuredModel& model) {
  AlarmRule& rule = model.alarm;
  ASSIGN_OR_RETURN(rule.user_level, fields.Number("user_level", -kLarge, kLarge));
  ASSIGN_OR_RETURN(rule.reply_level, fields.Number("reply_level", -kLarge, kLarge));
  ASSIGN_OR_RETURN(rule.drift, fields.Number("drift", -kLarge, kLarge));
  ASSIGN_OR_RETURN(rule.threshold, fields.Number("threshold", 0, kLarge));
  ASSIGN_OR_RETURN(rule.release, fields.Number("release", 0, rule.threshold));
  ASSIGN_OR_RETURN(rule.evidence_max, fields.Number("evidence_max", 1e-6, kLarge));
  ASSIGN_OR_RETURN(rule.slope_sigma, fields.Number("slope_sigma", 1e-9, kLarge));
  ASSIGN_OR_RETURN(model.turn_threshold, fields.Number("turn_threshold", -kLarge, kLarge));
  ASSIGN_OR_RETURN(model.turn_false_alarms, fields.Number("turn_false_alarms", 1e-9, 1));
  ASSIGN_OR_RETURN(model.conversation_false_alarms,
                   fields.Number("conversation_false_alarms", 1e-9, 1));
  ASSIGN_OR_RETURN(model.baseline, fields.Number("baseline", 1e-9, 1 - 1e-9));
  ASSIGN_OR_RETURN(model.calibration_conversations, fields.Count("conversations", 1'000'000'000));
  return fields.CheckNoOthers({"user_level", "reply_level", "drift", "threshold", "release",
                               "evidence_max", "slope_sigma", "turn_threshold", "turn_false_alarms",
                               "conversation_false_alarms", "baseline", "conversations"});
}

Result<> ReadLanguage(FileFields fields, MeasuredModel& model) {
  LanguageProfile::Data data;
  ASSIGN_OR_RETURN(model.language_name, fields.Text("name"));
  RETURN_IF_ERROR(CheckFileName(model.language_name, fields.At("name")));
  ASSIGN_OR_RETURN(const std::string steps, fields.Text("steps"));
  const std::optional<std::string> bytes = DecodeBase64(steps);
  if (!bytes) return BadFile(fields.At("steps"), "expected base64");
  data.steps.assign(bytes->begin(), bytes->end());
  ASSIGN_OR_RETURN(data.mean, fields.Number("mean", -kLarge, kLarge));
  ASSIGN_OR_RETURN(data.deviation, fields.Number("deviation", 1e-9, kLarge));
  ASSIGN_OR_RETURN(data.spread, fields.Number("spread", 0, kLarge));
  ASSIGN_OR_RETURN(data.threshold, fields.Number("threshold", -kLarge, kLarge));
  RETURN_IF_ERROR(
      fields.CheckNoOthers({"name", "steps", "mean", "deviation", "spread", "threshold"}));
  Result<LanguageProfile> profile = LanguageProfile::Restore(std::move(data));
  if (!profile) return tl::unexpected(At(fields.At("steps"), std::move(profile).error()));
  model.language = *std::move(profile);
  return {};
}

Result<std::vector<AnchorSet>> ReadAnchors(FileFields& root) {
  ASSIGN_OR_RETURN(const json* value, root.Get("anchors"));
  if (!value->is_object() || value->size() > kAnchorSetsMax) {
    return BadFile("anchors", "expected an object of at most {} lists", kAnchorSetsMax);
  }
  std::vector<AnchorSet> sets;
  for (const auto& [name, texts] : value->items()) {
    const std::string where = "anchors." + Excerpt(name);
    RETURN_IF_ERROR(CheckFileName(name, where));
    if (!texts.is_array() || texts.empty() || texts.size() > kAnchorTextsMax) {
      return BadFile(where, "expected a list of 1 to {} texts", kAnchorTextsMax);
    }
    AnchorSet set{name, {}};
    for (const json& text : texts) {
      if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
        return BadFile(where, "expected texts that are not empty");
      }
      set.texts.push_back(text.get<std::string>());
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

Result<> CheckModelFields(const MeasuredModel& model) {
  RETURN_IF_ERROR(CheckFileName(model.model_id, "model.id"));
  RETURN_IF_ERROR(CheckFileName(model.model_revision, "model.revision"));
  const Eigen::Index d = model.mean.size();
  if (d < 1 || d > static_cast<Eigen::Index>(kGuardDimensionMax)) {
    return BadFile("model.dimension", "expected 1 to {}, got {}", kGuardDimensionMax, d);
  }
  RETURN_IF_ERROR(CheckFileNumbers(model.evidence_quantiles, model.evidence_quantiles.size(),
                                   -kLarge, kLarge, "evidence_quantiles"));
  if (model.evidence_quantiles.size() < 2 ||
      !std::is_sorted(model.evidence_quantiles.begin(), model.evidence_quantiles.end())) {
    return BadFile("evidence_quantiles", "expected 2 to {} numbers, smallest first", kQuantilesMax);
  }
  return {};
}

}  // namespace

GuardFile::GuardFile(MeasuredModel model) : model_(std::move(model)) {
  hash_ = Sha256Hex(ToJson());
}

Result<GuardFile> GuardFile::Create(MeasuredModel model) {
  // The order in which a JSON object gives them back.
  std::sort(model.anchors.begin(), model.anchors.end(),
            [](const AnchorSet& a, const AnchorSet& b) { return a.name < b.name; });
  RETURN_IF_ERROR(CheckModelFields(model));
  return GuardFile(std::move(model));
}

Result<GuardFile> GuardFile::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const json value, ParseJson(WithoutBom(text), kDepthMax));
  ASSIGN_OR_RETURN(FileFields root, FileFields::Of(value, ""));
  ASSIGN_OR_RETURN(const std::string format, root.Text("format"));
  if (format != kFormat) {
    return BadFile("format", "expected \"{}\", got \"{}\"", kFormat, Excerpt(format));
  }
  ASSIGN_OR_RETURN(const std::size_t version, root.Count("version", 1'000'000));
  if (version != kVersion) return BadFile("version", "expected {}, got {}", kVersion, version);

  MeasuredModel model;
  ASSIGN_OR_RETURN(FileFields embedder, root.Object("model"));
  ASSIGN_OR_RETURN(model.model_id, embedder.Text("id"));
  ASSIGN_OR_RETURN(model.model_revision, embedder.Text("revision"));
  ASSIGN_OR_RETURN(const std::size_t dimension, embedder.Count("dimension", kGuardDimensionMax));
  if (dimension == 0) return BadFile("model.dimension", "expected at least 1, got 0");
  RETURN_IF_ERROR(embedder.CheckNoOthers({"id", "revision", "dimension"}));
  ASSIGN_OR_RETURN(model.mean, ReadVector(root, "mean", dimension));
  ASSIGN_OR_RETURN(FileFields probes, root.Object("probes"));
  for (std::size_t i = 0; i < kGuardHeads; ++i) {
    const std::string name(GuardHeadName(static_cast<GuardHead>(i)));
    ASSIGN_OR_RETURN(FileFields probe, probes.Object(name.c_str()));
    ASSIGN_OR_RETURN(model.probes[i], ReadProbe(std::move(probe), dimension));
    if (model.probes[i].of_pair() != (static_cast<GuardHead>(i) != GuardHead::kUserHarmful)) {
      return BadFile("probes." + name, "expected weights of {}",
                     i == 0 ? "the user's message alone" : "message and reply");
    }
  }
  RETURN_IF_ERROR(probes.CheckNoOthers({"user_harmful", "reply_risky", "reply_complies"}));
  ASSIGN_OR_RETURN(FileFields alarm, root.Object("alarm"));
  RETURN_IF_ERROR(ReadAlarm(std::move(alarm), model));
  ASSIGN_OR_RETURN(FileFields language, root.Object("language"));
  RETURN_IF_ERROR(ReadLanguage(std::move(language), model));
  ASSIGN_OR_RETURN(model.evidence_quantiles, root.Numbers("evidence_quantiles", kQuantilesMax));
  ASSIGN_OR_RETURN(model.anchors, ReadAnchors(root));
  ASSIGN_OR_RETURN(const json* evidence, root.Get("evidence"));
  if (!evidence->is_object()) return BadFile("evidence", "expected an object");
  model.evidence = evidence->dump();
  RETURN_IF_ERROR(root.CheckNoOthers({"format", "version", "model", "mean", "probes", "alarm",
                                      "language", "evidence_quantiles", "anchors", "evidence"}));
  return Create(std::move(model));
}

std::string GuardFile::ToJson() const {
  ordered_json probes;
  for (std::size_t i = 0; i < kGuardHeads; ++i) {
    probes[std::string(GuardHeadName(static_cast<GuardHead>(i)))] = ProbeJson(model_.probes[i]);
  }
  ordered_json anchors = ordered_json::object();
  for (const AnchorSet& set : model_.anchors) anchors[set.name] = set.texts;
  const ordered_json root = {
      {"format", kFormat},
      {"version", kVersion},
      {"model",
       {{"id", model_.model_id},
        {"revision", model_.model_revision},
        {"dimension", model_.mean.size()}}},
      {"evidence", json::parse(model_.evidence.empty() ? "{}" : model_.evidence)},
      {"alarm", AlarmJson(model_)},
      {"anchors", std::move(anchors)},
      {"evidence_quantiles", model_.evidence_quantiles},
      {"probes", std::move(probes)},
      {"language", LanguageJson(model_)},
      {"mean", Floats(model_.mean)}};
  return root.dump(1) + "\n";
}

Result<> GuardFile::CheckModel(const ModelInfo& model) const {
  const auto refuse = [&](std::string_view what, const auto& trained, const auto& running) {
    return FailAt("guard.file", Code::kFailedPrecondition,
                  "the guard was trained on {} {}, but the running model has {}; train one with "
                  "garrison guard train --mode measured --model {}",
                  what, trained, running, model.id);
  };
  const auto dimension = static_cast<std::size_t>(model_.mean.size());
  if (model_.model_id != model.id) return refuse("the model", model_.model_id, model.id);
  if (dimension != model.dimension) return refuse("dimension", dimension, model.dimension);
  if (model_.model_revision != model.revision) {
    return refuse("revision", model_.model_revision, model.revision);
  }
  return {};
}

Result<GuardFile> OpenGuardFile(const std::string& path) {
  if (path.empty()) return GuardFile::Parse(BuiltinGuard());
  // A model of the largest dimension takes about 1 MiB.
  constexpr std::uint64_t kBytesMax = std::uint64_t{16} << 20;
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kBytesMax));
  Result<GuardFile> file = GuardFile::Parse(text);
  if (!file) return tl::unexpected(At(path, std::move(file).error()));
  return file;
}

}  // namespace garrison
