// BERT (Devlin et al. 2018): all-MiniLM-L6-v2, bge-small-en, ms-marco-MiniLM, toxic-bert.
#include "engine/families/families.h"

namespace garrison {

EncoderTensorNames BertTensorNames() {
  return {.layer = "encoder.layer.{}.",
          .query = "attention.self.query",
          .key = "attention.self.key",
          .value = "attention.self.value",
          .attention_output = "attention.output.dense",
          .attention_norm = "attention.output.LayerNorm",
          .up = "intermediate.dense",
          .down = "output.dense",
          .output_norm = "output.LayerNorm"};
}

Result<EncoderSpec> ReadBert(const ModelConfig& config) {
  ASSIGN_OR_RETURN(EncoderSpec spec, ReadBertFields(config));
  spec.family = "bert";
  spec.prefix = "bert.";
  spec.names = BertTensorNames();
  ASSIGN_OR_RETURN(spec.token_types, config.SizeOr("type_vocab_size", kMaxWidth, 2));
  spec.classifier = ClassifierHead::kPooler;
  return spec;
}

}  // namespace garrison
