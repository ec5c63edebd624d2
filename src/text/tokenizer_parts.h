// What a Tokenizer is made of, and how tokenizer.json is read into it.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace garrison::tokenizers {

struct TokenizerParts {
  NormalizerChain normalizer;
  PreTokenizerChain pre_tokenizer;
  std::unique_ptr<const Model> model;
  AddedTokens added;
  PostProcessor post;
  DecoderChain decoder;
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
};

// The parsed tokenizer.json.
Result<std::unique_ptr<const TokenizerParts>> ParseParts(const nlohmann::json& json);

// tokenizer.json as the files of an older folder mean it; see tokenizer_folder.cc.
Result<nlohmann::json> JsonOfFolder(const std::filesystem::path& folder);

}  // namespace garrison::tokenizers
