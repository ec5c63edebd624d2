#include "engine/models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/cpu_features.h"
#include "engine/cross_encoder.h"
#include "engine/folder_codec.h"
#include "engine/lexical.h"
#include "engine/text_embedder.h"

// Set by builtin_table.S.
extern "C" const std::byte garrison_lexical_table[];
extern "C" const std::byte garrison_lexical_table_end[];

namespace garrison {
namespace {

constexpr std::size_t kNameShown = 100;
constexpr std::size_t kMostModels = 1000;  // in engine.models_folder

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

Result<LocalModel> OpenFolder(const EngineSettings& engine, const std::string& id,
                              const PassListener& on_pass) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> model,
                   OpenSequenceModel(engine, id, on_pass));
  LocalModel local;
  local.codec = MakeFolderCodec(model);
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

Result<ModelSource> FolderSource(const EngineSettings& engine, const std::filesystem::path& folder,
                                 std::string id, const PassListener& on_pass) {
  ASSIGN_OR_RETURN(const FolderPromise promise, ReadFolderPromise(folder));
  ModelSource source{.id = std::move(id),
                     .embeds = promise.embeds,
                     .reranks = promise.reranks,
                     .classifies = promise.classifies};
  EngineSettings own = engine;
  own.model = folder.string();
  source.open = [own = std::move(own), id = source.id, on_pass] {
    return OpenFolder(own, id, on_pass);
  };
  return source;
}

// Folders that hold a model, one or two levels down: NAME or ORGANISATION/NAME.
Result<std::vector<std::string>> ListFolders(const std::filesystem::path& root) {
  const auto is_model = [](const std::filesystem::path& folder) {
    std::error_code none;
    return std::filesystem::exists(folder / "config.json", none) ||
           std::filesystem::exists(folder / "modules.json", none);
  };
  std::vector<std::string> names;
  std::error_code failed;
  for (const int depth : {0, 1}) {
    for (std::filesystem::recursive_directory_iterator
             it(root, std::filesystem::directory_options::follow_directory_symlink, failed),
         end;
         !failed && it != end; it.increment(failed)) {
      std::error_code none;
      const bool model = it->is_directory(none) && is_model(it->path());
      if (it.depth() == 1 || model || !it->is_directory(none)) it.disable_recursion_pending();
      if (model && it.depth() == depth) {
        names.push_back(std::filesystem::relative(it->path(), root, none).generic_string());
      }
      if (names.size() > kMostModels) break;
    }
  }
  if (failed) {
    return FailAt("engine.models_folder", Code::kNotFound, "cannot read the folder {}: {}",
                  root.string(), failed.message());
  }
  if (names.size() > kMostModels) {
    return FailAt("engine.models_folder", Code::kInvalidArgument,
                  "expected at most {} models in {}, found more", kMostModels, root.string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::map<std::string, std::string, std::less<>>> ReadAliases(
    const std::string& setting, const std::vector<ModelSource>& sources) {
  std::map<std::string, std::string, std::less<>> aliases;
  for (const std::string& pair : SplitNames(setting)) {
    const std::size_t equals = pair.find('=');
    const std::string alias = pair.substr(0, equals);
    const std::string id = equals == std::string::npos ? "" : pair.substr(equals + 1);
    const auto is_id = [](const std::string& name) {
      return [&name](const ModelSource& source) { return source.id == name; };
    };
    if (alias.empty() || id.empty() || std::any_of(sources.begin(), sources.end(), is_id(alias)) ||
        std::none_of(sources.begin(), sources.end(), is_id(id)) || aliases.contains(alias)) {
      return FailAt("engine.aliases", Code::kInvalidArgument,
                    "expected OTHERNAME=MODEL,... with names that are not taken and models that "
                    "are there, got \"{}\"",
                    pair.substr(0, kNameShown));
    }
    aliases.emplace(alias, id);
  }
  return aliases;
}

}  // namespace

std::span<const std::byte> BuiltinLexicalTable() {
  return {garrison_lexical_table, garrison_lexical_table_end};
}

Result<Isa> ActiveIsa() {
  const char* forced = Variable("GARRISON_ISA");
  return ChooseIsa(forced == nullptr ? "" : forced, DetectIsa());
}

Result<std::shared_ptr<const SequenceModel>> OpenSequenceModel(const EngineSettings& engine,
                                                               const std::string& id,
                                                               const PassListener& on_pass) {
  ASSIGN_OR_RETURN(const Isa isa, ActiveIsa());
  ASSIGN_OR_RETURN(ModelFolder folder, ModelFolder::Read(engine.model));
  if (!id.empty()) folder.name = id;
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
  options.on_pass = on_pass;
  ASSIGN_OR_RETURN(const std::shared_ptr<const SequenceModel> model,
                   SequenceModel::Load(std::move(folder), options));
  RETURN_IF_ERROR(CheckLayerNames(model->encoder(), options.compute.bf16_layers));
  return model;
}

Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine,
                                                      UnnamedModel unnamed,
                                                      const PassListener& on_pass) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> lexical,
                   LexicalEmbedder::Load(BuiltinLexicalTable()));
  const std::string builtin = lexical->info().id;
  std::vector<ModelSource> sources;
  std::string first = engine.model;
  std::string named_folder;
  // Only the configuration may name a folder: a request must not probe the file system.
  std::error_code ignored;
  if (engine.model != builtin && std::filesystem::is_directory(engine.model, ignored)) {
    ASSIGN_OR_RETURN(
        ModelSource source,
        FolderSource(engine, engine.model,
                     std::filesystem::weakly_canonical(engine.model, ignored).filename().string(),
                     on_pass));
    first = named_folder = source.id;
    sources.push_back(std::move(source));
  }
  if (!engine.models_folder.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFolders(engine.models_folder));
    for (const std::string& name : names) {
      if (name == named_folder) continue;  // engine.model comes before
      ASSIGN_OR_RETURN(
          ModelSource source,
          FolderSource(engine, std::filesystem::path(engine.models_folder) / name, name, on_pass));
      sources.push_back(std::move(source));
    }
  }
  sources.push_back({.id = builtin, .embeds = true, .open = [lexical]() -> Result<LocalModel> {
                       LocalModel local{.info = lexical->info(), .embedder = lexical};
                       local.info.file_bytes = BuiltinLexicalTable().size();
                       return local;
                     }});
  const auto is_first = [&](const ModelSource& source) { return source.id == first; };
  const auto found = std::find_if(sources.begin(), sources.end(), is_first);
  if (found == sources.end()) {
    std::vector<std::string_view> names;
    for (const ModelSource& source : sources) names.push_back(source.id);
    return FailAt("engine.model", Code::kNotFound,
                  "there is no model or folder \"{}\"; this machine has {}",
                  engine.model.substr(0, kNameShown), fmt::join(names, ", "));
  }
  std::rotate(sources.begin(), found, found + 1);
  ASSIGN_OR_RETURN(auto aliases, ReadAliases(engine.aliases, sources));
  auto models = std::make_unique<LocalModels>(std::move(sources), std::move(aliases), unnamed);
  RETURN_IF_ERROR(models->Load(first));
  RETURN_IF_ERROR(models->Load(builtin));
  return std::unique_ptr<ModelCatalog>(std::move(models));
}

}  // namespace garrison
