// For tests: a small embedder with vectors that one can predict.
#pragma once

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/embedder.h"
#include "core/model_catalog.h"

namespace garrison {

// Counts letters: 26 dimensions, "test:letters". Token ids count as letters. A text that starts
// with "fail" fails as INTERNAL; one without a letter is an INVALID_ARGUMENT.
class TestEmbedder final : public Embedder {
 public:
  const ModelInfo& info() const override { return info_; }

  Result<Embeddings> Embed(const EmbedRequest& request, const RequestContext&) const override {
    Embeddings out;
    out.dimension = request.dimensions.value_or(info_.dimension);
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
      std::array<float, 26> row{};
      std::size_t tokens = 0;
      const auto count = [&](int letter) {
        if (letter < 0 || letter >= 26) return;
        row[static_cast<std::size_t>(letter)] += 1;
        ++tokens;
      };
      if (const auto* text = std::get_if<std::string>(&request.inputs[i])) {
        if (text->starts_with("fail")) return Fail(Code::kInternal, "asked to fail");
        for (const char c : *text) count((c | 0x20) - 'a');
      } else {
        for (const std::int32_t id : std::get<TokenIds>(request.inputs[i]).ids) count(id);
      }
      if (tokens == 0) {
        return FailAt("input[" + std::to_string(i) + "]", Code::kInvalidArgument, "no letters");
      }
      float squares = 0;
      for (std::size_t d = 0; d < out.dimension; ++d) squares += row[d] * row[d];
      for (std::size_t d = 0; d < out.dimension; ++d)
        out.values.push_back(row[d] / std::sqrt(squares));
      out.tokens.push_back(tokens);
    }
    out.total_tokens = out.tokens;
    return out;
  }

 private:
  const ModelInfo info_{
      .id = "test:letters", .revision = "r1", .dimension = 26, .description = "counts letters"};
};

class TestCatalog final : public ModelCatalog {
 public:
  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override {
    if (name.empty() || name == embedder_->info().id) return embedder_;
    return FailAt("model", Code::kNotFound, "there is no model \"{}\"", name);
  }
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view) const override {
    return Fail(Code::kFailedPrecondition, "test:letters does not rerank");
  }
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view) const override {
    return Fail(Code::kFailedPrecondition, "test:letters does not classify");
  }
  Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view) const override {
    return Fail(Code::kFailedPrecondition, "test:letters has no tokenizer");
  }
  std::vector<ModelStatus> List() const override {
    return {{.info = embedder_->info(), .embeds = true}};
  }
  Result<bool> Load(std::string_view) const override { return false; }
  const Embedder& embedder() const { return *embedder_; }

 private:
  const std::shared_ptr<const Embedder> embedder_ = std::make_shared<TestEmbedder>();
};

}  // namespace garrison
