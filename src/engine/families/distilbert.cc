// DistilBERT (Sanh et al. 2019): distilbert-base-uncased-finetuned-sst-2-english. BERT with its own
// names, no token types and a fixed epsilon.
#include "engine/families/families.h"

namespace garrison {

Result<EncoderSpec> ReadDistilBert(const ModelConfig& config) {
  EncoderSpec spec;
  spec.family = "distilbert";
  spec.prefix = "distilbert.";
  spec.names = {.layer = "transformer.layer.{}.",
                .query = "attention.q_lin",
                .key = "attention.k_lin",
                .value = "attention.v_lin",
                .attention_output = "attention.out_lin",
                .attention_norm = "sa_layer_norm",
                .up = "ffn.lin1",
                .down = "ffn.lin2",
                .output_norm = "output_layer_norm"};
  ASSIGN_OR_RETURN(spec.hidden, config.Size("dim", kMaxWidth));
  ASSIGN_OR_RETURN(spec.layers, config.Size("n_layers", kMaxLayers));
  ASSIGN_OR_RETURN(spec.heads, config.Size("n_heads", kMaxWidth));
  ASSIGN_OR_RETURN(spec.feed_forward, config.Size("hidden_dim", kMaxWidth * 4));
  ASSIGN_OR_RETURN(spec.vocabulary, config.Size("vocab_size", kMaxVocabulary));
  ASSIGN_OR_RETURN(spec.position_rows, config.Size("max_position_embeddings", kMaxPositions));
  ASSIGN_OR_RETURN(spec.activation, ReadActivation(config, "activation"));
  spec.classifier = ClassifierHead::kPreRelu;
  return spec;
}

}  // namespace garrison
