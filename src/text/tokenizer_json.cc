// tokenizer.json as a whole.
#include <array>
#include <limits>

#include "text/json_fields.h"
#include "text/tokenizer_parts.h"

namespace garrison::tokenizers {
namespace {

constexpr std::uint64_t kLengthMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::array<std::string_view, 2> kSides = {"Right", "Left"};

Result<std::optional<Truncation>> ParseTruncation(const Fields& file) {
  const nlohmann::json* spec = file.Find("truncation");
  if (spec == nullptr) return std::nullopt;
  constexpr std::array<std::string_view, 3> kStrategies = {"LongestFirst", "OnlyFirst",
                                                           "OnlySecond"};
  const Fields fields(*spec, "truncation");
  RETURN_IF_ERROR(fields.Check());
  Truncation truncation;
  ASSIGN_OR_RETURN(truncation.max_length, fields.Whole("max_length", std::nullopt, kLengthMax));
  ASSIGN_OR_RETURN(truncation.stride, fields.Whole("stride", 0, kLengthMax));
  ASSIGN_OR_RETURN(const std::size_t strategy, fields.OneOf("strategy", kStrategies, 0));
  ASSIGN_OR_RETURN(const std::size_t side, fields.OneOf("direction", kSides, 0));
  truncation.strategy = static_cast<Truncation::Strategy>(strategy);
  truncation.side = static_cast<Truncation::Side>(side);
  return truncation;
}

Result<std::optional<Padding>> ParsePadding(const Fields& file) {
  const nlohmann::json* spec = file.Find("padding");
  if (spec == nullptr) return std::nullopt;
  const Fields fields(*spec, "padding");
  RETURN_IF_ERROR(fields.Check());
  Padding padding;
  const nlohmann::json* strategy = fields.Find("strategy");
  if (strategy != nullptr && strategy->is_object()) {
    const Fields fixed(*strategy, fields.At("strategy"));
    ASSIGN_OR_RETURN(padding.fixed, fixed.Whole("Fixed", std::nullopt, kLengthMax));
  } else {
    constexpr std::array<std::string_view, 1> kLongest = {"BatchLongest"};
    RETURN_IF_ERROR(fields.OneOf("strategy", kLongest, 0));
  }
  constexpr std::uint64_t kIdMax = std::numeric_limits<std::int32_t>::max();
  ASSIGN_OR_RETURN(padding.multiple_of, fields.Whole("pad_to_multiple_of", 0, kLengthMax));
  ASSIGN_OR_RETURN(const std::size_t side, fields.OneOf("direction", kSides, 0));
  ASSIGN_OR_RETURN(const std::uint64_t id, fields.Whole("pad_id", 0, kIdMax));
  ASSIGN_OR_RETURN(const std::uint64_t type_id, fields.Whole("pad_type_id", 0, kIdMax));
  ASSIGN_OR_RETURN(padding.token, fields.String("pad_token", padding.token));
  padding.side = static_cast<Truncation::Side>(side);
  padding.id = static_cast<std::int32_t>(id);
  padding.type_id = static_cast<std::int32_t>(type_id);
  return padding;
}

}  // namespace

Result<std::unique_ptr<const TokenizerParts>> ParseParts(const nlohmann::json& json) {
  const Fields file(json, "");
  RETURN_IF_ERROR(file.Check());
  static const nlohmann::json kNone;
  const auto part = [&](std::string_view key) -> const nlohmann::json& {
    const nlohmann::json* found = file.Find(key);
    return found == nullptr ? kNone : *found;
  };
  auto parts = std::make_unique<TokenizerParts>();
  ASSIGN_OR_RETURN(parts->normalizer, NormalizerChain::Parse(part("normalizer"), "normalizer"));
  ASSIGN_OR_RETURN(parts->pre_tokenizer,
                   PreTokenizerChain::Parse(part("pre_tokenizer"), "pre_tokenizer"));
  // A byte pair encoding reads bytes: their characters need not be written out.
  const bool bytes = parts->pre_tokenizer.ends_in_byte_chars() && Model::IsBytePair(part("model"));
  if (bytes) parts->pre_tokenizer.LeaveBytes();
  ASSIGN_OR_RETURN(parts->model, Model::Parse(part("model"), "model", bytes));
  ASSIGN_OR_RETURN(parts->added, AddedTokens::Parse(file.Find("added_tokens"), "added_tokens",
                                                    parts->model->vocabulary(), parts->normalizer));
  ASSIGN_OR_RETURN(parts->post, PostProcessor::Parse(part("post_processor"), "post_processor"));
  ASSIGN_OR_RETURN(parts->decoder, DecoderChain::Parse(part("decoder"), "decoder"));
  ASSIGN_OR_RETURN(parts->truncation, ParseTruncation(file));
  ASSIGN_OR_RETURN(parts->padding, ParsePadding(file));
  return parts;
}

}  // namespace garrison::tokenizers
