// For tests: a reranker and a classifier with scores that one can predict, and a catalogue of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/model_catalog.h"
#include "core/reranker.h"
#include "core/test_embedder.h"

namespace garrison {

// Letters are tokens; at most kTestTokensMax are read.
inline constexpr std::size_t kTestTokensMax = 40;

// The letters of a text as 0..25, cut to what the models read. INVALID_ARGUMENT without a letter or
// when there are too many under LongInput::kError.
inline Result<std::vector<std::int32_t>> TestLetters(std::string_view text,
                                                     const LongInput& long_input,
                                                     std::size_t& total) {
  std::vector<std::int32_t> letters;
  for (const char c : text) {
    const std::int32_t letter = (c | 0x20) - 'a';
    if (letter >= 0 && letter < 26) letters.push_back(letter);
  }
  total = letters.size();
  if (total == 0) return Fail(Code::kInvalidArgument, "no letters");
  if (total <= kTestTokensMax) return letters;
  if (long_input.policy != LongInput::Policy::kTruncate) {
    return Fail(Code::kInvalidArgument, "{} letters are more than {}", total, kTestTokensMax);
  }
  if (long_input.side == LongInput::Side::kRight) {
    letters.resize(kTestTokensMax);
  } else {
    letters.erase(letters.begin(), letters.end() - static_cast<std::ptrdiff_t>(kTestTokensMax));
  }
  return letters;
}

// The logit of a document is the number of its letters that the query has too, less 3. Of ids it is
// their sum less 3.
class TestReranker final : public Reranker {
 public:
  const ModelInfo& info() const override { return info_; }

  Result<Relevance> Rerank(const RerankRequest& request, const RequestContext&) const override {
    Relevance out;
    for (std::size_t i = 0; i < request.documents.size(); ++i) {
      Result<> added = Add({request.query, request.documents[i]}, request.long_input, out);
      if (!added) {
        return tl::unexpected(At(fmt::format("documents[{}]", i), std::move(added).error()));
      }
    }
    return out;
  }

  Result<Relevance> Score(std::span<const SequenceInput> pairs, const LongInput& long_input,
                          const RequestContext&) const override {
    Relevance out;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      if (const auto* tokens = std::get_if<TokenIds>(&pairs[i])) {
        float sum = -3;
        for (const std::int32_t id : tokens->ids) sum += static_cast<float>(id);
        Push(sum, tokens->ids.size(), tokens->ids.size(), out);
        continue;
      }
      Result<> added = Add(std::get<TextPair>(pairs[i]), long_input, out);
      if (!added) return tl::unexpected(At(fmt::format("input[{}]", i), std::move(added).error()));
    }
    return out;
  }

 private:
  static void Push(float logit, std::size_t tokens, std::size_t total, Relevance& out) {
    out.logits.push_back(logit);
    out.scores.push_back(1 / (1 + std::exp(-logit)));
    out.tokens.push_back(tokens);
    out.total_tokens.push_back(total);
  }

  static Result<> Add(const TextPair& pair, const LongInput& long_input, Relevance& out) {
    std::size_t query_total = 0, total = 0;
    ASSIGN_OR_RETURN(const auto query, TestLetters(pair.text, long_input, query_total));
    ASSIGN_OR_RETURN(const auto document, TestLetters(pair.text_pair, long_input, total));
    const auto shared = std::count_if(document.begin(), document.end(), [&](std::int32_t letter) {
      return std::find(query.begin(), query.end(), letter) != query.end();
    });
    Push(static_cast<float>(shared) - 3, document.size(), total, out);
    return {};
  }

  const ModelInfo info_{.id = "test:overlap",
                        .revision = "r1",
                        .description = "counts shared letters",
                        .max_tokens = kTestTokensMax};
};

// The logits are the numbers of a, b and c in the input; of ids, the numbers of 0, 1 and 2.
class TestClassifier final : public Classifier {
 public:
  explicit TestClassifier(bool multi_label = false) : multi_label_(multi_label) {}

  const ModelInfo& info() const override { return info_; }
  const std::vector<std::string>& labels() const override { return labels_; }
  bool multi_label() const override { return multi_label_; }

  Result<Classifications> Classify(std::span<const SequenceInput> inputs,
                                   const LongInput& long_input,
                                   const RequestContext&) const override {
    Classifications out;
    out.labels = labels_.size();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      std::size_t total = 0;
      Result<std::vector<std::int32_t>> letters = Letters(inputs[i], long_input, total);
      if (!letters) {
        return tl::unexpected(At(fmt::format("input[{}]", i), std::move(letters).error()));
      }
      std::vector<float> logits;
      for (std::int32_t label = 0; label < 3; ++label) {
        logits.push_back(static_cast<float>(std::count(letters->begin(), letters->end(), label)));
      }
      float sum = 0;
      for (const float logit : logits) sum += std::exp(logit);
      for (const float logit : logits) {
        out.logits.push_back(logit);
        out.scores.push_back(multi_label_ ? 1 / (1 + std::exp(-logit)) : std::exp(logit) / sum);
      }
      out.tokens.push_back(letters->size());
      out.total_tokens.push_back(total);
    }
    return out;
  }

 private:
  static Result<std::vector<std::int32_t>> Letters(const SequenceInput& input,
                                                   const LongInput& long_input,
                                                   std::size_t& total) {
    if (const auto* tokens = std::get_if<TokenIds>(&input)) {
      total = tokens->ids.size();
      return tokens->ids;
    }
    if (const auto* pair = std::get_if<TextPair>(&input)) {
      return TestLetters(pair->text + pair->text_pair, long_input, total);
    }
    return TestLetters(std::get<std::string>(input), long_input, total);
  }

  const std::vector<std::string> labels_ = {"a", "b", "\"c\""};
  const bool multi_label_;
  const ModelInfo info_{
      .id = "test:abc", .revision = "r1", .description = "counts a, b and c", .max_tokens = 40};
};

// One model in one ability; the others are a FAILED_PRECONDITION.
class TestModels final : public ModelCatalog {
 public:
  explicit TestModels(std::shared_ptr<const Embedder> model) : embedder_(std::move(model)) {}
  explicit TestModels(std::shared_ptr<const Reranker> model) : reranker_(std::move(model)) {}
  explicit TestModels(std::shared_ptr<const Classifier> model) : classifier_(std::move(model)) {}

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view) const override {
    return Have(embedder_, "embed");
  }
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view) const override {
    return Have(reranker_, "rerank");
  }
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view) const override {
    return Have(classifier_, "classify");
  }
  Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view) const override {
    return FailAt("model", Code::kFailedPrecondition, "the model has no tokenizer");
  }
  std::vector<ModelStatus> List() const override {
    if (embedder_ != nullptr) return {{.info = embedder_->info(), .embeds = true}};
    if (reranker_ != nullptr) return {{.info = reranker_->info(), .reranks = true}};
    return {{.info = classifier_->info(), .classifies = true, .labels = classifier_->labels()}};
  }
  Result<bool> Load(std::string_view) const override { return false; }

 private:
  template <typename Port>
  static Result<std::shared_ptr<const Port>> Have(const std::shared_ptr<const Port>& model,
                                                  std::string_view ability) {
    if (model != nullptr) return model;
    return FailAt("model", Code::kFailedPrecondition, "the model does not {}", ability);
  }

  const std::shared_ptr<const Embedder> embedder_;
  const std::shared_ptr<const Reranker> reranker_;
  const std::shared_ptr<const Classifier> classifier_;
};

}  // namespace garrison
