// One function per family of encoders.
#pragma once

#include "engine/encoder_spec.h"

namespace garrison {

Result<EncoderSpec> ReadBert(const ModelConfig& config);
Result<EncoderSpec> ReadDistilBert(const ModelConfig& config);
Result<EncoderSpec> ReadMpnet(const ModelConfig& config);
Result<EncoderSpec> ReadRoberta(const ModelConfig& config);

// Names of BERT's tensors, which RoBERTa keeps.
EncoderTensorNames BertTensorNames();

}  // namespace garrison
