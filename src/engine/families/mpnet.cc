// MPNet (Song et al. 2020): all-mpnet-base-v2. One relative attention bias serves all layers; no
// token types.
#include "engine/families/families.h"

namespace garrison {

Result<EncoderSpec> ReadMpnet(const ModelConfig& config) {
  ASSIGN_OR_RETURN(EncoderSpec spec, ReadBertFields(config));
  spec.family = "mpnet";
  spec.prefix = "mpnet.";
  spec.names = BertTensorNames();
  spec.names.query = "attention.attn.q";
  spec.names.key = "attention.attn.k";
  spec.names.value = "attention.attn.v";
  spec.names.attention_output = "attention.attn.o";
  spec.names.attention_norm = "attention.LayerNorm";
  spec.positions = PositionScheme::kAfterPad;
  spec.pad_id = 1;  // fixed in the model's code, whatever pad_token_id says
  ASSIGN_OR_RETURN(spec.relative_buckets,
                   config.SizeOr("relative_attention_num_buckets", kMaxWidth, 32));
  spec.classifier = ClassifierHead::kDenseTanh;
  return spec;
}

}  // namespace garrison
