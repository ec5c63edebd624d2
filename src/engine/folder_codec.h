// A model folder's tokenizer as the port TextCodec.
#pragma once

#include <memory>

#include "core/text_codec.h"
#include "engine/sequence_model.h"

namespace garrison {

// Null when the folder has no tokenizer.
std::shared_ptr<const TextCodec> MakeFolderCodec(std::shared_ptr<const SequenceModel> model);

}  // namespace garrison
