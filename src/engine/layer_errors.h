// What a dtype costs, layer by layer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/model_input.h"
#include "engine/sequence_model.h"

namespace garrison {

struct LayerError {
  std::string layer;    // "layer.3.down"
  ComputeType type;     // what the candidate computes it in
  double relative = 0;  // L2 norm of the output's error over that of the output
};

// Runs `inputs` through `exact` and gives every linear layer of `candidate` the very inputs that
// the layer has there, so that errors do not add up over layers. Texts are cut to the model's
// length; at most 4096 tokens are used. In the order of the layers.
// REQUIRES: both are the same folder. The errors of SequenceModel::Prepare.
Result<std::vector<LayerError>> MeasureLayerErrors(const SequenceModel& exact,
                                                   const SequenceModel& candidate,
                                                   std::span<const SequenceInput> inputs);

// The int8 layers whose error stands out (above 0.05, or more than four times the median), worst
// first; when none does, the worst eighth of them.
std::vector<std::string> LayersToKeepInBf16(std::vector<LayerError> errors);

}  // namespace garrison
