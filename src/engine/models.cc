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

class LocalModels final : public ModelCatalog {
 public:
  LocalModels(std::string default_model, std::shared_ptr<const Embedder> lexical)
      : default_model_(std::move(default_model)), lexical_(std::move(lexical)) {}

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override {
    const std::string_view wanted = name.empty() ? std::string_view(default_model_) : name;
    if (wanted == lexical_->info().id) return lexical_;
    std::error_code ignored;
    if (std::filesystem::is_directory(wanted, ignored)) {
      return FailAt("model", Code::kUnimplemented,
                    "model folders cannot be run yet; this version has {} only",
                    lexical_->info().id);
    }
    return FailAt("model", Code::kNotFound, "there is no model \"{}\"; this machine has {}", wanted,
                  lexical_->info().id);
  }

  std::vector<ModelInfo> List() const override { return {lexical_->info()}; }

 private:
  const std::string default_model_;
  const std::shared_ptr<const Embedder> lexical_;
};

}  // namespace

std::span<const std::byte> BuiltinLexicalTable() {
  return {garrison_lexical_table, garrison_lexical_table_end};
}

Result<std::unique_ptr<ModelCatalog>> OpenLocalModels(const EngineSettings& engine) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> lexical,
                   LexicalEmbedder::Load(BuiltinLexicalTable()));
  std::unique_ptr<ModelCatalog> models =
      std::make_unique<LocalModels>(engine.model, std::move(lexical));
  RETURN_IF_ERROR(models->FindEmbedder(""));
  return models;
}

}  // namespace garrison
