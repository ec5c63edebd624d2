// The "model" of tokenizer.json.
#include <array>
#include <limits>

#include "text/json_fields.h"
#include "text/model.h"

namespace garrison::tokenizers {
namespace {

constexpr std::array<std::string_view, 4> kTypes = {"BPE", "WordPiece", "WordLevel", "Unigram"};
enum Type { kBpe, kWordPiece, kWordLevel, kUnigram };

// Old files do not say; the reference library takes the first type that the fields fit.
Result<Type> TypeOf(const Fields& fields) {
  RETURN_IF_ERROR(fields.Check());
  if (fields.Find("type") != nullptr) {
    ASSIGN_OR_RETURN(const std::size_t type, fields.OneOf("type", kTypes, std::nullopt));
    return static_cast<Type>(type);
  }
  if (fields.Find("merges") != nullptr) return kBpe;
  const nlohmann::json* vocabulary = fields.Find("vocab");
  if (vocabulary != nullptr && vocabulary->is_array()) return kUnigram;
  if (fields.Find("max_input_chars_per_word") != nullptr ||
      fields.Find("continuing_subword_prefix") != nullptr) {
    return kWordPiece;
  }
  return kWordLevel;
}

Result<Vocabulary> ParseVocabulary(const Fields& fields) {
  const nlohmann::json* object = fields.Find("vocab");
  if (object == nullptr || !object->is_object()) {
    return FailAt(fields.At("vocab"), Code::kInvalidArgument,
                  "expected an object from tokens to ids, got {}",
                  object == nullptr ? "nothing" : JsonTypeName(*object));
  }
  Vocabulary vocabulary;
  std::size_t bytes = 0;
  for (const auto& item : object->items()) bytes += item.key().size();
  vocabulary.Reserve(object->size(), bytes);
  for (auto item = object->begin(); item != object->end(); ++item) {
    const auto where = [&] { return fields.At(fmt::format("vocab[\"{}\"]", item.key())); };
    if (!item->is_number_unsigned()) {
      return FailAt(where(), Code::kInvalidArgument, "expected an id (a whole number), got {}",
                    item->is_number() ? item->dump() : std::string(JsonTypeName(*item)));
    }
    const auto added = vocabulary.Add(item.key(), item->get<std::uint64_t>());
    if (!added) return tl::unexpected(At(where(), added.error()));
  }
  const auto dense = vocabulary.CheckDensity();
  if (!dense) return tl::unexpected(At(fields.At("vocab"), dense.error()));
  return vocabulary;
}

Result<std::unique_ptr<const Model>> ParseUnigram(const Fields& fields) {
  ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("vocab"));
  Vocabulary vocabulary;
  std::vector<double> scores;
  vocabulary.Reserve(list->size(), 8 * list->size());
  scores.reserve(list->size());
  for (const nlohmann::json& item : *list) {
    const auto where = [&] { return fields.At(fmt::format("vocab[{}]", scores.size())); };
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      return FailAt(where(), Code::kInvalidArgument, "expected [piece, score]");
    }
    const auto added = vocabulary.Add(item[0].get_ref<const std::string&>(), scores.size());
    if (!added) return tl::unexpected(At(where(), added.error()));
    scores.push_back(item[1].get<double>());
  }
  UnigramOptions options;
  if (fields.Find("unk_id") != nullptr) {
    ASSIGN_OR_RETURN(const std::uint64_t unk,
                     fields.Whole("unk_id", std::nullopt, std::numeric_limits<int>::max()));
    if (unk >= scores.size()) {
      return FailAt(fields.At("unk_id"), Code::kInvalidArgument,
                    "expected an id of the vocabulary, which has {} pieces, got {}", scores.size(),
                    unk);
    }
    options.unk_id = static_cast<std::int32_t>(unk);
  }
  ASSIGN_OR_RETURN(options.byte_fallback, fields.Bool("byte_fallback", false));
  return MakeUnigram(std::move(vocabulary), std::move(scores), options);
}

// "a b" or ["a", "b"].
Result<std::vector<MergePair>> ParseMerges(const Fields& fields) {
  ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("merges"));
  std::vector<MergePair> merges;
  merges.reserve(list->size());
  const auto expected = [&] {
    return FailAt(fields.At(fmt::format("merges[{}]", merges.size())), Code::kInvalidArgument,
                  "expected \"a b\" or [\"a\", \"b\"]");
  };
  for (const nlohmann::json& item : *list) {
    if (item.is_string()) {
      const std::string_view text = item.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return expected();
      }
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      merges.emplace_back(item[0].get_ref<const std::string&>(),
                          item[1].get_ref<const std::string&>());
    } else {
      return expected();
    }
  }
  return merges;
}

Result<std::unique_ptr<const Model>> ParseBpe(const Fields& fields, bool bytes) {
  BpeOptions options;
  options.bytes = bytes;
  const nlohmann::json* dropout = fields.Find("dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0)) {
    return FailAt(fields.At("dropout"), Code::kUnimplemented,
                  "dropout makes ids random; only null and 0 are supported");
  }
  ASSIGN_OR_RETURN(options.unk_token, fields.String("unk_token", ""));
  ASSIGN_OR_RETURN(options.prefix, fields.String("continuing_subword_prefix", ""));
  ASSIGN_OR_RETURN(options.suffix, fields.String("end_of_word_suffix", ""));
  ASSIGN_OR_RETURN(options.fuse_unk, fields.Bool("fuse_unk", false));
  ASSIGN_OR_RETURN(options.byte_fallback, fields.Bool("byte_fallback", false));
  ASSIGN_OR_RETURN(options.ignore_merges, fields.Bool("ignore_merges", false));
  ASSIGN_OR_RETURN(const std::vector<MergePair> merges, ParseMerges(fields));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ParseVocabulary(fields));
  auto model = MakeBpe(std::move(vocabulary), merges, options);
  if (!model) {
    Error error = model.error();
    error.where = fields.At("merges") + error.where;
    return tl::unexpected(std::move(error));
  }
  return model;
}

Result<std::unique_ptr<const Model>> ParseWordPiece(const Fields& fields) {
  WordPieceOptions options;
  ASSIGN_OR_RETURN(options.unk_token, fields.String("unk_token", options.unk_token));
  ASSIGN_OR_RETURN(options.prefix, fields.String("continuing_subword_prefix", options.prefix));
  ASSIGN_OR_RETURN(options.max_chars, fields.Whole("max_input_chars_per_word", options.max_chars,
                                                   std::numeric_limits<int>::max()));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ParseVocabulary(fields));
  return MakeWordPiece(std::move(vocabulary), options);
}

}  // namespace

bool Model::IsBytePair(const nlohmann::json& spec) {
  const auto type = TypeOf(Fields(spec, ""));
  return type && *type == kBpe;
}

Result<std::unique_ptr<const Model>> Model::Parse(const nlohmann::json& spec,
                                                  const std::string& where, bool bytes) {
  const Fields fields(spec, where);
  ASSIGN_OR_RETURN(const Type type, TypeOf(fields));
  switch (type) {
    case kBpe:
      return ParseBpe(fields, bytes);
    case kWordPiece:
      return ParseWordPiece(fields);
    case kUnigram:
      return ParseUnigram(fields);
    case kWordLevel:
      break;
  }
  ASSIGN_OR_RETURN(std::string unk_token, fields.String("unk_token", "<unk>"));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ParseVocabulary(fields));
  return MakeWordLevel(std::move(vocabulary), std::move(unk_token));
}

}  // namespace garrison::tokenizers
