#include "engine/models.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/lexical.h"

// Set by builtin_table.S.
extern "C" const std::byte garrison_lexical_table[];
extern "C" const std::byte garrison_lexical_table_end[];

namespace garrison {
namespace {

constexpr std::size_t kNameShown = 100;  // of a name that may come from a client

class LocalModels final : public ModelCatalog {
 public:
  explicit LocalModels(std::shared_ptr<const Embedder> lexical) : lexical_(std::move(lexical)) {}

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override {
    if (name.empty() || name == lexical_->info().id) return lexical_;
    return FailAt("model", Code::kNotFound, "there is no model \"{}\"; this machine has {}",
                  name.substr(0, kNameShown), lexical_->info().id);
  }

  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const override {
    RETURN_IF_ERROR(FindEmbedder(name));
    return FailAt("model", Code::kFailedPrecondition, "{} does not rerank; it embeds",
                  lexical_->info().id);
  }
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const override {
    RETURN_IF_ERROR(FindEmbedder(name));
    return FailAt("model", Code::kFailedPrecondition, "{} does not classify; it embeds",
                  lexical_->info().id);
  }

  std::vector<ModelInfo> List() const override { return {lexical_->info()}; }

 private:
  const std::shared_ptr<const Embedder> lexical_;
};

}  // namespace

std::span<const std::byte> BuiltinLexicalTable() {
  return {garrison_lexical_table, garrison_lexical_table_end};
}

Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> lexical,
                   LexicalEmbedder::Load(BuiltinLexicalTable()));
  // Only the configuration may name a folder: a request must not probe the file system.
  std::error_code ignored;
  if (engine.model != lexical->info().id && std::filesystem::is_directory(engine.model, ignored)) {
    return FailAt("engine.model", Code::kUnimplemented,
                  "model folders cannot be run yet; this version has {} only", lexical->info().id);
  }
  std::unique_ptr<ModelCatalog> models = std::make_unique<LocalModels>(std::move(lexical));
  RETURN_IF_ERROR(models->FindEmbedder(engine.model));
  return models;
}

}  // namespace garrison
