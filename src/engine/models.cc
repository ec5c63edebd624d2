#include "engine/models.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/cpu_features.h"
#include "engine/cross_encoder.h"
#include "engine/lexical.h"
#include "engine/text_embedder.h"

// Set by builtin_table.S.
extern "C" const std::byte garrison_lexical_table[];
extern "C" const std::byte garrison_lexical_table_end[];

namespace garrison {
namespace {

constexpr std::size_t kNameShown = 100;  // of a name that may come from a client

// One model with what it can do; absent ports are null.
struct LocalModel {
  ModelInfo info;
  std::shared_ptr<const Embedder> embedder;
  std::shared_ptr<const Reranker> reranker;
  std::shared_ptr<const Classifier> classifier;

  std::string Abilities() const {
    std::vector<std::string_view> can;
    if (embedder != nullptr) can.push_back("embeds");
    if (reranker != nullptr) can.push_back("reranks");
    if (classifier != nullptr) can.push_back("classifies");
    return fmt::format("{}", fmt::join(can, " and "));
  }
};

class LocalModels final : public ModelCatalog {
 public:
  // The first one answers when no model is named.
  explicit LocalModels(std::vector<LocalModel> models) : models_(std::move(models)) {}

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override {
    return FindPort(name, &LocalModel::embedder, "embed");
  }
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const override {
    return FindPort(name, &LocalModel::reranker, "rerank");
  }
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const override {
    return FindPort(name, &LocalModel::classifier, "classify");
  }
  std::vector<ModelInfo> List() const override {
    std::vector<ModelInfo> infos;
    for (const LocalModel& model : models_) infos.push_back(model.info);
    return infos;
  }

 private:
  template <typename Port>
  Result<std::shared_ptr<const Port>> FindPort(std::string_view name,
                                               std::shared_ptr<const Port> LocalModel::* port,
                                               std::string_view job) const {
    std::vector<std::string_view> names;
    for (const LocalModel& model : models_) {
      names.push_back(model.info.id);
      if (!name.empty() && name != model.info.id) continue;
      if (model.*port != nullptr) return model.*port;
      return FailAt("model", Code::kFailedPrecondition, "{} does not {}; it {}", model.info.id, job,
                    model.Abilities());
    }
    return FailAt("model", Code::kNotFound, "there is no model \"{}\"; this machine has {}",
                  name.substr(0, kNameShown), fmt::join(names, ", "));
  }

  const std::vector<LocalModel> models_;
};

std::vector<std::string> SplitNames(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) names.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return names;
}

// `auto` never trades accuracy away unmeasured: int8 only where `garrison models verify --write`
// has passed it for this model.
ComputeType ChooseType(const std::string& dtype, const ModelFolder& folder) {
  const std::string& wanted = dtype == "auto" ? folder.verified_dtype : dtype;
  if (wanted == "int8") return ComputeType::kInt8;
  if (wanted == "bf16") return ComputeType::kBf16;
  return ComputeType::kF32;
}

// An environment variable's value, or null when it is empty.
const char* Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr || *value == '\0' ? nullptr : value;
}

// Made if it is not there. Empty where there is to be none. PERMISSION_DENIED when the one that was
// asked for cannot be made; of the default one a warning will come from who writes to it.
Result<std::filesystem::path> CacheFolder(const std::string& setting) {
  if (setting == "off") return std::filesystem::path();
  std::filesystem::path folder = setting;
  if (setting.empty()) {
    const char* cache = Variable("XDG_CACHE_HOME");
    const char* home = Variable("HOME");
    if (cache == nullptr && home == nullptr) return std::filesystem::path();
    folder =
        (cache != nullptr ? std::filesystem::path(cache) : std::filesystem::path(home) / ".cache") /
        "garrison";
  }
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (!failed || setting.empty()) return folder;
  return FailAt(
      "engine.cache", Code::kPermissionDenied,
      "expected a folder for packed weights, cannot make {}: {}; name another one, or off", setting,
      failed.message());
}

Result<> CheckLayerNames(const Encoder& encoder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (encoder.FindLinear(name) != nullptr) continue;
    return FailAt(
        "engine.bf16_layers", Code::kInvalidArgument,
        "there is no layer \"{}\"; names look like layer.0.qkv, layer.0.attention_output, "
        "layer.0.up, layer.0.down",
        name.substr(0, kNameShown));
  }
  return {};
}

Result<LocalModel> OpenFolder(const EngineSettings& engine) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> model, OpenSequenceModel(engine));
  LocalModel local;
  if (!model->folder().classifier) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const TextEmbedder> embedder, TextEmbedder::Load(model));
    local.info = embedder->info();
    local.embedder = embedder;
    return local;
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const CrossEncoder> encoder, CrossEncoder::Load(model));
  local.info = encoder->info();
  local.classifier = encoder;
  if (encoder->reranks()) local.reranker = encoder;
  return local;
}

}  // namespace

std::span<const std::byte> BuiltinLexicalTable() {
  return {garrison_lexical_table, garrison_lexical_table_end};
}

Result<Isa> ActiveIsa() {
  const char* forced = Variable("GARRISON_ISA");
  return ChooseIsa(forced == nullptr ? "" : forced, DetectIsa());
}

Result<std::shared_ptr<const SequenceModel>> OpenSequenceModel(const EngineSettings& engine) {
  ASSIGN_OR_RETURN(const Isa isa, ActiveIsa());
  ASSIGN_OR_RETURN(ModelFolder folder, ModelFolder::Read(engine.model));
  SequenceModel::Options options;
  options.compute.isa = isa;
  options.compute.type = ChooseType(engine.dtype, folder);
  options.compute.bf16_layers = folder.bf16_layers;
  const std::vector<std::string> asked = SplitNames(engine.bf16_layers);
  options.compute.bf16_layers.insert(options.compute.bf16_layers.end(), asked.begin(), asked.end());
  options.threads =
      engine.threads > 0 ? static_cast<std::size_t>(engine.threads) : ReadCpuBudget().threads;
  options.idle = std::chrono::milliseconds(engine.idle_ms);
  ASSIGN_OR_RETURN(options.cache, CacheFolder(engine.cache));
  options.cache_bytes = static_cast<std::uint64_t>(engine.cache_bytes);
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> model,
                   SequenceModel::Load(std::move(folder), options));
  RETURN_IF_ERROR(CheckLayerNames(model->encoder(), options.compute.bf16_layers));
  return model;
}

Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine) {
  std::vector<LocalModel> models;
  // Only the configuration may name a folder: a request must not probe the file system.
  std::error_code ignored;
  if (std::filesystem::is_directory(engine.model, ignored)) {
    ASSIGN_OR_RETURN(LocalModel folder, OpenFolder(engine));
    models.push_back(std::move(folder));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> lexical,
                   LexicalEmbedder::Load(BuiltinLexicalTable()));
  const bool is_known = !models.empty() || engine.model == lexical->info().id;
  models.push_back({.info = lexical->info(), .embedder = lexical});
  if (!is_known) {
    return FailAt("engine.model", Code::kNotFound,
                  "there is no model or folder \"{}\"; this machine has {}",
                  engine.model.substr(0, kNameShown), lexical->info().id);
  }
  return std::unique_ptr<ModelCatalog>(std::make_unique<LocalModels>(std::move(models)));
}

}  // namespace garrison
