#include "engine/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/mapped_file.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::size_t kMaxModulesBytes = 1 << 20;
constexpr std::size_t kMaxModules = 32;
constexpr const char* kOwnSettings = "garrison.json";
constexpr std::size_t kMaxLabels = 100'000;
// Tokenizers write this for "no limit".
constexpr double kNoLimit = 1e9;

// A path that a model folder names must stay inside it.
Result<std::filesystem::path> Inside(const std::filesystem::path& root, const std::string& path) {
  const std::filesystem::path relative(path);
  const bool leaves =
      relative.is_absolute() || std::find(relative.begin(), relative.end(), "..") != relative.end();
  if (leaves) {
    return FailAt((root / "modules.json").string(), Code::kInvalidArgument,
                  "expected a path inside the folder, got {}", path.substr(0, 200));
  }
  return path.empty() ? root : root / relative;
}

Result<DenseSpec> ReadDense(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const ModelConfig config, ModelConfig::Read(folder / "config.json"));
  DenseSpec dense{.folder = folder};
  ASSIGN_OR_RETURN(dense.inputs, config.Size("in_features", kMaxWidth * 8));
  ASSIGN_OR_RETURN(dense.outputs, config.Size("out_features", kMaxWidth * 8));
  ASSIGN_OR_RETURN(dense.bias, config.FlagOr("bias", true));
  ASSIGN_OR_RETURN(const std::string name,
                   config.TextOr("activation_function", "torch.nn.modules.activation.Tanh"));
  constexpr std::array<std::pair<std::string_view, Activation>, 4> kKnown = {{
      {"Tanh", Activation::kTanh},
      {"Identity", Activation::kNone},
      {"ReLU", Activation::kRelu},
      {"GELU", Activation::kGelu},
  }};
  const std::string last = name.substr(name.rfind('.') + 1);
  for (const auto& [known, activation] : kKnown) {
    if (last != known) continue;
    dense.activation = activation;
    return dense;
  }
  return FailAt(config.Place("activation_function"), Code::kUnimplemented,
                "the activation \"{}\" is not known; known are Tanh, Identity, ReLU, GELU",
                name.substr(0, 80));
}

// One entry of modules.json; `transformer` gets the folder of the encoder.
Result<> ReadModule(const ModelConfig& module, std::filesystem::path& transformer,
                    ModelFolder& folder) {
  ASSIGN_OR_RETURN(const std::string type, module.Text("type"));
  ASSIGN_OR_RETURN(const std::string path, module.TextOr("path", ""));
  ASSIGN_OR_RETURN(const std::filesystem::path at, Inside(folder.root, path));
  const std::string kind = type.substr(type.rfind('.') + 1);
  if (kind == "Transformer") {
    transformer = at;
  } else if (kind == "Pooling") {
    ASSIGN_OR_RETURN(const ModelConfig config, ModelConfig::Read(at / "config.json"));
    ASSIGN_OR_RETURN(folder.pooling, ReadPooling(config));
  } else if (kind == "Dense") {
    ASSIGN_OR_RETURN(DenseSpec dense, ReadDense(at));
    folder.dense.push_back(std::move(dense));
  } else if (kind == "Normalize") {
    folder.normalize = true;
  } else if (kind != "Dropout") {  // dropout does nothing at inference
    return FailAt(module.Place("type"), Code::kUnimplemented,
                  "the module \"{}\" is not known; known are Transformer, Pooling, Dense, "
                  "Normalize, Dropout",
                  type.substr(0, 120));
  }
  return {};
}

Result<std::filesystem::path> ReadModules(ModelFolder& folder) {
  const auto file = folder.root / "modules.json";
  std::filesystem::path transformer = folder.root;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return transformer;
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kMaxModulesBytes));
  Result<nlohmann::json> json = ParseJson(text, 8);
  if (!json) return tl::unexpected(At(file.string(), std::move(json).error()));
  if (!json->is_array() || json->empty() || json->size() > kMaxModules) {
    return FailAt(file.string(), Code::kInvalidArgument, "expected a list of 1 to {} modules",
                  kMaxModules);
  }
  for (std::size_t i = 0; i < json->size(); ++i) {
    ASSIGN_OR_RETURN(
        const ModelConfig module,
        ModelConfig::Parse((*json)[i].dump(), fmt::format("{}[{}]", file.string(), i)));
    RETURN_IF_ERROR(ReadModule(module, transformer, folder));
  }
  return transformer;
}

Result<> ReadPrompts(ModelFolder& folder) {
  ASSIGN_OR_RETURN(const auto config,
                   ModelConfig::ReadIfThere(folder.root / "config_sentence_transformers.json"));
  if (!config) return {};
  if (const nlohmann::json* prompts = config->Find("prompts")) {
    if (!prompts->is_object()) {
      return FailAt(config->Place("prompts"), Code::kInvalidArgument, "expected an object, got {}",
                    JsonTypeName(*prompts));
    }
    for (const auto& [name, text] : prompts->items()) {
      if (!text.is_string()) {
        return FailAt(config->Place("prompts"), Code::kInvalidArgument,
                      "{}: expected a string, got {}", name.substr(0, 80), JsonTypeName(text));
      }
      folder.prompts[name] = text.get<std::string>();
    }
  }
  ASSIGN_OR_RETURN(folder.default_prompt, config->TextOr("default_prompt_name", ""));
  if (!folder.default_prompt.empty() && !folder.prompts.contains(folder.default_prompt)) {
    return FailAt(config->Place("default_prompt_name"), Code::kInvalidArgument,
                  "there is no prompt \"{}\"", folder.default_prompt.substr(0, 80));
  }
  folder.matryoshka = folder.matryoshka || config->Find("truncate_dim") != nullptr;
  return {};
}

Result<ClassifierSpec> ReadClassifier(const ModelConfig& config) {
  ClassifierSpec spec;
  if (const nlohmann::json* labels = config.Find("id2label")) {
    if (!labels->is_object() || labels->empty() || labels->size() > kMaxLabels) {
      return FailAt(config.Place("id2label"), Code::kInvalidArgument,
                    "expected an object of 1 to {} labels", kMaxLabels);
    }
    for (std::size_t i = 0; i < labels->size(); ++i) {
      const auto label = labels->find(std::to_string(i));
      if (label == labels->end() || !label->is_string()) {
        return FailAt(config.Place("id2label"), Code::kInvalidArgument,
                      "expected a string for \"{}\" (labels count from 0)", i);
      }
      spec.labels.push_back(label->get<std::string>());
    }
  } else {
    ASSIGN_OR_RETURN(const std::size_t count, config.SizeOr("num_labels", kMaxLabels, 2));
    for (std::size_t i = 0; i < count; ++i) spec.labels.push_back(fmt::format("LABEL_{}", i));
  }
  ASSIGN_OR_RETURN(const std::string problem, config.TextOr("problem_type", ""));
  if (problem == "multi_label_classification") {
    spec.scores = ScoreFunction::kSigmoid;
  } else if (problem == "regression") {
    spec.scores = ScoreFunction::kIdentity;
  } else if (problem.empty() || problem == "single_label_classification") {
    spec.scores = spec.labels.size() == 1 ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax;
  } else {
    return FailAt(config.Place("problem_type"), Code::kUnimplemented,
                  "\"{}\" is not known; known are single_label_classification, "
                  "multi_label_classification, regression",
                  problem.substr(0, 80));
  }
  return spec;
}

bool HasClassifier(const ModelConfig& config) {
  const nlohmann::json* architectures = config.Find("architectures");
  if (architectures == nullptr || !architectures->is_array()) return false;
  return std::any_of(architectures->begin(), architectures->end(), [](const nlohmann::json& name) {
    return name.is_string() &&
           name.get_ref<const std::string&>().ends_with("ForSequenceClassification");
  });
}

// The longest text: what sentence-transformers says, else the tokenizer's own limit, and never more
// than the position table holds.
Result<std::size_t> ReadMaxTokens(const std::filesystem::path& transformer,
                                  const EncoderSpec& encoder) {
  double limit = static_cast<double>(encoder.max_tokens());
  ASSIGN_OR_RETURN(const auto sentence,
                   ModelConfig::ReadIfThere(transformer / "sentence_bert_config.json"));
  ASSIGN_OR_RETURN(const auto tokenizer,
                   ModelConfig::ReadIfThere(transformer / "tokenizer_config.json"));
  double wanted = kNoLimit;
  if (sentence) {
    ASSIGN_OR_RETURN(wanted, sentence->NumberOr("max_seq_length", kNoLimit));
  }
  if (wanted >= kNoLimit && tokenizer) {
    ASSIGN_OR_RETURN(wanted, tokenizer->NumberOr("model_max_length", kNoLimit));
  }
  if (wanted < 1) {
    return FailAt((transformer / "sentence_bert_config.json").string(), Code::kInvalidArgument,
                  "max_seq_length: expected 1 or more, got {}", wanted);
  }
  return static_cast<std::size_t>(std::min(limit, wanted));
}

Result<> CheckLowerCase(const std::filesystem::path& transformer, const ModelFolder& folder) {
  ASSIGN_OR_RETURN(const auto config,
                   ModelConfig::ReadIfThere(transformer / "sentence_bert_config.json"));
  if (!config || folder.tokenizer == nullptr) return {};
  ASSIGN_OR_RETURN(const bool lower, config->FlagOr("do_lower_case", false));
  if (!lower) return {};
  ASSIGN_OR_RETURN(const std::string normalized, folder.tokenizer->Normalize("A"));
  if (normalized == "a") return {};
  return FailAt(config->Place("do_lower_case"), Code::kUnimplemented,
                "lower-casing before a tokenizer that keeps case is not known; set it to false or "
                "add a Lowercase normalizer to tokenizer.json");
}

Result<> ReadOwnSettings(ModelFolder& folder) {
  ASSIGN_OR_RETURN(const auto config, ModelConfig::ReadIfThere(folder.root / kOwnSettings));
  if (!config) return {};
  ASSIGN_OR_RETURN(const std::string revision, config->Text("revision"));
  if (revision != folder.revision) return {};
  if (const nlohmann::json* layers = config->Find("bf16_layers")) {
    for (const nlohmann::json& layer : *layers) {
      if (!layer.is_string()) {
        return FailAt(config->Place("bf16_layers"), Code::kInvalidArgument,
                      "expected layer names, got {}", JsonTypeName(layer));
      }
      folder.bf16_layers.push_back(layer.get<std::string>());
    }
  }
  ASSIGN_OR_RETURN(folder.verified_dtype, config->TextOr("verified_dtype", ""));
  return {};
}

}  // namespace

Result<ModelFolder> ModelFolder::Read(const std::filesystem::path& root) {
  ModelFolder folder;
  folder.root = root;
  std::error_code ignored;
  const auto absolute = std::filesystem::weakly_canonical(root, ignored);
  folder.name = absolute.filename().string();
  if (!std::filesystem::is_directory(root, ignored)) {
    return FailAt(root.string(), Code::kNotFound, "expected a model folder, found none");
  }
  ASSIGN_OR_RETURN(const std::filesystem::path transformer, ReadModules(folder));
  ASSIGN_OR_RETURN(const ModelConfig config, ModelConfig::Read(transformer / "config.json"));
  ASSIGN_OR_RETURN(folder.encoder, ReadEncoderSpec(config));
  folder.matryoshka =
      config.Find("matryoshka_dimensions") != nullptr || config.Find("is_matryoshka") != nullptr;
  if (HasClassifier(config)) {
    ASSIGN_OR_RETURN(folder.classifier, ReadClassifier(config));
  }
  folder.encoder.first_token_only =
      folder.classifier || folder.pooling.modes == std::vector{PoolingMode::kCls};
  RETURN_IF_ERROR(ReadPrompts(folder));
  ASSIGN_OR_RETURN(SafeTensors weights, SafeTensors::Open(transformer));
  folder.revision = weights.Fingerprint();
  weights.DropPages();
  RETURN_IF_ERROR(ReadOwnSettings(folder));
  folder.weights = std::make_shared<const SafeTensors>(std::move(weights));
  Result<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Load(transformer);
  if (tokenizer) {
    folder.tokenizer = *std::move(tokenizer);
  } else if (tokenizer.error().code != Code::kNotFound) {
    return tl::unexpected(std::move(tokenizer).error());
  }
  ASSIGN_OR_RETURN(folder.max_text_tokens, ReadMaxTokens(transformer, folder.encoder));
  RETURN_IF_ERROR(CheckLowerCase(transformer, folder));
  if (folder.tokenizer != nullptr &&
      folder.tokenizer->vocabulary_size() > folder.encoder.vocabulary) {
    return FailAt(transformer.string(), Code::kInvalidArgument,
                  "the tokenizer has ids up to {}, config.json a vocabulary of {}; do the files "
                  "belong together?",
                  folder.tokenizer->vocabulary_size() - 1, folder.encoder.vocabulary);
  }
  return folder;
}

Result<std::string> ModelFolder::FindPrompt(const std::string& prompt) const {
  const std::string& wanted = prompt.empty() ? default_prompt : prompt;
  if (wanted.empty()) return std::string();
  const auto found = prompts.find(wanted);
  if (found != prompts.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [one, text] : prompts) known.push_back(one);
  return FailAt("prompt", Code::kInvalidArgument, "there is no prompt \"{}\"; {} has {}",
                wanted.substr(0, 80), name,
                known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

Result<std::vector<std::filesystem::path>> ContentFiles(const std::filesystem::path& root) {
  constexpr std::array kEndings = {".safetensors", ".json", ".txt", ".model"};
  std::vector<std::filesystem::path> files;
  std::error_code failed;
  for (std::filesystem::recursive_directory_iterator it(root, failed), end; !failed && it != end;
       it.increment(failed)) {
    std::error_code none;
    const std::filesystem::path& path = it->path();
    if (it.depth() > 0 || path.filename().string().starts_with(".")) it.disable_recursion_pending();
    // What `models verify` found shows in the way of computing.
    if (!it->is_regular_file(none) || path.filename() == kOwnSettings) continue;
    if (std::find(kEndings.begin(), kEndings.end(), path.extension()) != kEndings.end()) {
      files.push_back(path);
    }
  }
  if (failed) {
    return FailAt(root.string(), Code::kNotFound, "cannot read the folder: {}", failed.message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<FolderPromise> ReadFolderPromise(const std::filesystem::path& root) {
  ModelFolder folder;
  folder.root = root;
  ASSIGN_OR_RETURN(const std::filesystem::path transformer, ReadModules(folder));
  ASSIGN_OR_RETURN(const ModelConfig config, ModelConfig::Read(transformer / "config.json"));
  FolderPromise promise;
  promise.classifies = HasClassifier(config);
  promise.embeds = !promise.classifies;
  if (promise.classifies) {
    ASSIGN_OR_RETURN(const ClassifierSpec classifier, ReadClassifier(config));
    promise.reranks = classifier.labels.size() == 1;
  }
  return promise;
}

Result<> WriteVerification(const ModelFolder& folder, const std::string& dtype,
                           const std::vector<std::string>& bf16_layers) {
  const nlohmann::ordered_json json = {
      {"revision", folder.revision}, {"verified_dtype", dtype}, {"bf16_layers", bf16_layers}};
  return WriteFileAtomically(folder.root / kOwnSettings, json.dump(1) + "\n");
}

}  // namespace garrison
