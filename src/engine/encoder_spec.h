// What tells one family of encoders from another. A family is one file in families/ that fills this
// from config.json; docs/adding-a-model.md is the recipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/model_config.h"
#include "kernels/kernels.h"

namespace garrison {

// Where a checkpoint keeps the parts of layer {}; every part has a weight and a bias.
struct EncoderTensorNames {
  std::string layer;  // "encoder.layer.{}."
  std::string query, key, value, attention_output, attention_norm;
  std::string up, down, output_norm;
};

enum class PositionScheme : std::uint8_t {
  kFromZero,  // 0, 1, 2, ...
  // Tokens other than `pad_id` count from pad_id + 1; a token that is pad_id stands at pad_id.
  kAfterPad,
};

enum class ClassifierHead : std::uint8_t {
  kPooler,     // tanh(pooler.dense(first token)) -> classifier
  kDenseTanh,  // tanh(classifier.dense(first token)) -> classifier.out_proj
  kPreRelu,    // relu(pre_classifier(first token)) -> classifier
};

// Post-norm encoders: x = LN(x + attention(x)); x = LN(x + down(activation(up(x)))).
struct EncoderSpec {
  std::string family;  // "bert"
  std::string prefix;  // of tensor names in checkpoints that have a head: "bert."
  EncoderTensorNames names;

  std::size_t hidden = 0;
  std::size_t layers = 0;
  std::size_t heads = 0;
  std::size_t feed_forward = 0;
  std::size_t vocabulary = 0;
  std::size_t position_rows = 0;
  std::size_t token_types = 0;  // 0: no token type table
  Activation activation = Activation::kGelu;
  float epsilon = 1e-12F;
  PositionScheme positions = PositionScheme::kFromZero;
  std::int32_t pad_id = 0;
  std::size_t relative_buckets = 0;  // rows of a relative attention bias table; 0: none
  ClassifierHead classifier = ClassifierHead::kPooler;
  // What stands on the encoder (a classifier, CLS pooling) reads a sequence's first token only.
  bool first_token_only = false;

  std::size_t head_size() const { return hidden / heads; }
  // The longest sequence that the position table allows.
  std::size_t max_tokens() const {
    const std::size_t skipped =
        positions == PositionScheme::kAfterPad ? static_cast<std::size_t>(pad_id) + 1 : 0;
    return position_rows > skipped ? position_rows - skipped : 0;
  }
};

// Bounds on what a config.json may ask for.
inline constexpr std::size_t kMaxWidth = 16'384;
inline constexpr std::size_t kMaxLayers = 512;
inline constexpr std::size_t kMaxVocabulary = 4'000'000;
inline constexpr std::size_t kMaxPositions = 1'000'000;

// By config.json's model_type. UNIMPLEMENTED names the type and lists the known ones;
// INVALID_ARGUMENT names the field that makes no sense.
Result<EncoderSpec> ReadEncoderSpec(const ModelConfig& config);

// Shared by the families: the fields with BERT's names, checked.
Result<EncoderSpec> ReadBertFields(const ModelConfig& config);
// "gelu", "gelu_new", "relu", ...; UNIMPLEMENTED otherwise.
Result<Activation> ReadActivation(const ModelConfig& config, const char* field);

}  // namespace garrison
