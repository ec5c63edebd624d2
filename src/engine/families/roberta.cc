// RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): bge-reranker-base,
// paraphrase-multilingual-mpnet-base-v2. BERT whose positions start after the padding id.
#include "engine/families/families.h"

namespace garrison {

Result<EncoderSpec> ReadRoberta(const ModelConfig& config) {
  ASSIGN_OR_RETURN(EncoderSpec spec, ReadBertFields(config));
  spec.family = "roberta";
  spec.prefix = "roberta.";
  spec.names = BertTensorNames();
  ASSIGN_OR_RETURN(spec.token_types, config.SizeOr("type_vocab_size", kMaxWidth, 1));
  spec.positions = PositionScheme::kAfterPad;
  spec.classifier = ClassifierHead::kDenseTanh;
  return spec;
}

}  // namespace garrison
