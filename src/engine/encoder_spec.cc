#include "engine/encoder_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "engine/families/families.h"

namespace garrison {
namespace {

struct Family {
  std::string_view model_type;
  Result<EncoderSpec> (*read)(const ModelConfig& config);
};
constexpr std::array kFamilies = {
    Family{"bert", &ReadBert},           Family{"distilbert", &ReadDistilBert},
    Family{"mpnet", &ReadMpnet},         Family{"roberta", &ReadRoberta},
    Family{"xlm-roberta", &ReadRoberta},
};

struct NamedActivation {
  std::string_view name;
  Activation activation;
};
constexpr std::array kActivations = {
    NamedActivation{"gelu", Activation::kGelu},
    NamedActivation{"gelu_new", Activation::kGeluTanh},
    NamedActivation{"gelu_pytorch_tanh", Activation::kGeluTanh},
    NamedActivation{"relu", Activation::kRelu},
    NamedActivation{"tanh", Activation::kTanh},
};

}  // namespace

Result<EncoderSpec> ReadEncoderSpec(const ModelConfig& config) {
  ASSIGN_OR_RETURN(const std::string type, config.Text("model_type"));
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const Family& known) { return known.model_type == type; });
  if (family == kFamilies.end()) {
    std::vector<std::string_view> known;
    for (const Family& one : kFamilies) known.push_back(one.model_type);
    const nlohmann::json* architectures = config.Find("architectures");
    return FailAt(config.Place("model_type"), Code::kUnimplemented,
                  "the architecture \"{}\" ({}) is not known; known are {}", type.substr(0, 80),
                  architectures == nullptr ? "" : architectures->dump().substr(0, 80),
                  fmt::join(known, ", "));
  }
  ASSIGN_OR_RETURN(EncoderSpec spec, family->read(config));
  if (spec.hidden % spec.heads != 0) {
    return FailAt(config.Place("model_type"), Code::kInvalidArgument,
                  "the hidden size {} is not a multiple of the {} attention heads", spec.hidden,
                  spec.heads);
  }
  if (spec.max_tokens() == 0) {
    return FailAt(config.Place("max_position_embeddings"), Code::kInvalidArgument,
                  "{} positions leave no room for a token", spec.position_rows);
  }
  return spec;
}

Result<Activation> ReadActivation(const ModelConfig& config, const char* field) {
  ASSIGN_OR_RETURN(const std::string name, config.TextOr(field, "gelu"));
  for (const NamedActivation& known : kActivations) {
    if (known.name == name) return known.activation;
  }
  return FailAt(config.Place(field), Code::kUnimplemented,
                "the activation \"{}\" is not known; known are gelu, gelu_new, gelu_pytorch_tanh, "
                "relu, tanh",
                name.substr(0, 80));
}

Result<EncoderSpec> ReadBertFields(const ModelConfig& config) {
  EncoderSpec spec;
  ASSIGN_OR_RETURN(spec.hidden, config.Size("hidden_size", kMaxWidth));
  ASSIGN_OR_RETURN(spec.layers, config.Size("num_hidden_layers", kMaxLayers));
  ASSIGN_OR_RETURN(spec.heads, config.Size("num_attention_heads", kMaxWidth));
  ASSIGN_OR_RETURN(spec.feed_forward, config.Size("intermediate_size", kMaxWidth * 4));
  ASSIGN_OR_RETURN(spec.vocabulary, config.Size("vocab_size", kMaxVocabulary));
  ASSIGN_OR_RETURN(spec.position_rows, config.Size("max_position_embeddings", kMaxPositions));
  ASSIGN_OR_RETURN(spec.activation, ReadActivation(config, "hidden_act"));
  ASSIGN_OR_RETURN(const double epsilon, config.NumberOr("layer_norm_eps", 1e-12));
  if (epsilon < 0 || epsilon > 1) {
    return FailAt(config.Place("layer_norm_eps"), Code::kInvalidArgument,
                  "expected a number from 0 to 1, got {}", epsilon);
  }
  spec.epsilon = static_cast<float>(epsilon);
  ASSIGN_OR_RETURN(const double pad, config.NumberOr("pad_token_id", 0));
  if (pad < 0 || pad >= static_cast<double>(spec.vocabulary)) {
    return FailAt(config.Place("pad_token_id"), Code::kInvalidArgument,
                  "expected an id of the vocabulary of {}, got {}", spec.vocabulary, pad);
  }
  spec.pad_id = static_cast<std::int32_t>(pad);
  ASSIGN_OR_RETURN(const std::string embedding,
                   config.TextOr("position_embedding_type", "absolute"));
  if (embedding != "absolute") {
    return FailAt(config.Place("position_embedding_type"), Code::kUnimplemented,
                  "expected \"absolute\", got \"{}\"", embedding.substr(0, 80));
  }
  return spec;
}

}  // namespace garrison
