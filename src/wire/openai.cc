#include "wire/openai.h"

#include <fmt/format.h>

#include <bit>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "core/json.h"
#include "wire/base64.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

tl::unexpected<Error> WrongType(std::string where, std::string_view expected, const Json& got) {
  return FailAt(std::move(where), Code::kInvalidArgument, "expected {}, got {}", expected,
                JsonTypeName(got));
}

Result<EmbedInput> DecodeInput(const Json& input, const std::string& where) {
  if (input.is_string()) return EmbedInput(input.get<std::string>());
  if (input.is_array()) {
    TokenIds tokens;
    ASSIGN_OR_RETURN(tokens.ids, JsonTokenIds(input, where));
    return EmbedInput(std::move(tokens));
  }
  return WrongType(where, "a string or a list of token ids", input);
}

Result<std::vector<EmbedInput>> DecodeInputs(const Json& input) {
  std::vector<EmbedInput> inputs;
  if (!input.is_array()) {
    if (!input.is_string()) {
      return WrongType("input", "a string, a list of strings or a list of token ids", input);
    }
    inputs.emplace_back(input.get<std::string>());
    return inputs;
  }
  if (input.empty()) {
    return FailAt("input", Code::kInvalidArgument, "expected at least one text, got an empty list");
  }
  if (input.front().is_number()) {
    TokenIds tokens;
    ASSIGN_OR_RETURN(tokens.ids, JsonTokenIds(input, "input"));
    inputs.emplace_back(std::move(tokens));
    return inputs;
  }
  inputs.reserve(input.size());
  for (std::size_t i = 0; i < input.size(); ++i) {
    ASSIGN_OR_RETURN(EmbedInput one, DecodeInput(input[i], fmt::format("input[{}]", i)));
    inputs.push_back(std::move(one));
  }
  return inputs;
}

Result<std::optional<std::size_t>> DecodeDimensions(const Json& body) {
  const auto field = body.find("dimensions");
  if (field == body.end() || field->is_null()) return std::nullopt;
  if (!field->is_number_integer()) return WrongType("dimensions", "a whole number", *field);
  if (!field->is_number_unsigned() || field->get<std::uint64_t>() == 0) {
    return FailAt("dimensions", Code::kInvalidArgument, "expected at least 1, got {}",
                  field->dump());
  }
  return static_cast<std::size_t>(field->get<std::uint64_t>());
}

OrderedJson ModelEntry(const ModelInfo& model, std::int64_t created) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", created},
          {"owned_by", "garrison"},
          {"revision", model.revision},
          {"dimension", model.dimension},
          {"capabilities", {"embed"}},
          {"description", model.description}};
}

}  // namespace

Result<OpenAiEmbeddingsCall> DecodeOpenAiEmbeddings(const Json& body) {
  if (!body.is_object()) return WrongType("", "a JSON object", body);
  OpenAiEmbeddingsCall call;
  if (const auto model = body.find("model"); model != body.end() && !model->is_null()) {
    if (!model->is_string()) return WrongType("model", "a string", *model);
    call.model = model->get<std::string>();
  }
  const auto input = body.find("input");
  if (input == body.end()) {
    return FailAt("input", Code::kInvalidArgument, "the field is missing; give the text to embed");
  }
  ASSIGN_OR_RETURN(call.request.inputs, DecodeInputs(*input));
  ASSIGN_OR_RETURN(call.request.dimensions, DecodeDimensions(body));
  if (const auto format = body.find("encoding_format");
      format != body.end() && !format->is_null()) {
    if (!format->is_string()) return WrongType("encoding_format", "a string", *format);
    const auto& name = format->get_ref<const std::string&>();
    if (name != "float" && name != "base64") {
      return FailAt("encoding_format", Code::kInvalidArgument,
                    "expected \"float\" or \"base64\", got \"{}\"", name);
    }
    call.encoding = name == "base64" ? EmbeddingEncoding::kBase64 : EmbeddingEncoding::kFloat;
  }
  return call;
}

std::string EncodeOpenAiEmbeddings(const Embeddings& embeddings, const ModelInfo& model,
                                   EmbeddingEncoding encoding) {
  static_assert(std::endian::native == std::endian::little, "base64 carries little-endian floats");
  // Written by hand: a tree of a million JSON numbers costs more than the embedding itself.
  std::string text = R"({"object":"list","data":[)";
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    fmt::format_to(std::back_inserter(text), R"({}{{"object":"embedding","index":{},"embedding":)",
                   i == 0 ? "" : ",", i);
    const std::span<const float> row = embeddings.row(i);
    if (encoding == EmbeddingEncoding::kBase64) {
      text += '"';
      text += EncodeBase64(std::as_bytes(row));
      text += '"';
    } else {
      // Shortest digits that read back as the same float.
      fmt::format_to(std::back_inserter(text), "[{}]", fmt::join(row, ","));
    }
    text += '}';
    tokens += embeddings.tokens[i];
  }
  fmt::format_to(std::back_inserter(text),
                 R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                 DumpJson(model.id), tokens, tokens);
  return text;
}

std::string EncodeOpenAiModels(std::span<const ModelInfo> models, std::int64_t created) {
  OrderedJson data = OrderedJson::array();
  for (const ModelInfo& model : models) data.push_back(ModelEntry(model, created));
  return DumpJson({{"object", "list"}, {"data", std::move(data)}});
}

std::string EncodeOpenAiModel(const ModelInfo& model, std::int64_t created) {
  return DumpJson(ModelEntry(model, created));
}

std::string EncodeOpenAiError(const Error& error, std::string_view type) {
  OrderedJson body = {
      {"message",
       error.where.empty() ? error.message : fmt::format("{}: {}", error.where, error.message)},
      {"type", type},
      {"param", nullptr},
      {"code", CodeName(error.code)}};
  if (!error.where.empty()) body["param"] = error.where;
  return DumpJson({{"error", std::move(body)}});
}

}  // namespace garrison
