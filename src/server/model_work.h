// From what a model answered to what replies, headers and metrics say of it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/embedder.h"
#include "gateway/gateway.h"
#include "server/metrics.h"

namespace garrison {

// Bytes of all texts.
template <typename Inputs>
std::size_t CharactersOf(const Inputs& inputs) {
  std::size_t bytes = 0;
  for (const auto& input : inputs) {
    std::visit(
        [&](const auto& value) {
          if constexpr (requires { value.text_pair; }) {
            bytes += value.text.size() + value.text_pair.size();
          } else if constexpr (requires { value.size(); }) {
            bytes += value.size();
          }
        },
        input);
  }
  return bytes;
}

// Errors of the gateway name "input"; some dialects call the field something else. Only
// text-embeddings-inference's requests name a prompt.
template <typename T>
Result<T> Renamed(Result<T> result, std::string_view name) {
  constexpr std::string_view kName = "input";
  if (result) return result;
  Error error = std::move(result).error();
  if (error.where == "prompt") error.where = "prompt_name";
  if (error.where.starts_with(kName)) {
    error.where = std::string(name) + error.where.substr(kName.size());
  }
  return tl::unexpected(std::move(error));
}

// `answer`: Embeddings, TokenVectors, Relevance, Classifications or SimilarityReply.
template <typename Answer>
void Record(const Answer& answer, const ModelInfo& model, ModelWork& work) {
  work.tokens = answer.tokens;
  for (std::size_t i = 0; i < answer.tokens.size(); ++i) {
    if (answer.tokens[i] < answer.total_tokens[i]) ++work.truncated;
  }
  work.times = answer.times;
  if constexpr (requires { answer.served; }) work.served = answer.served;
  work.compute = model.compute;
}

}  // namespace garrison
