// A model folder's tokenizer as the port TextCodec.
#pragma once

#include <memory>

#include "core/text_codec.h"
#include "text/tokenizer.h"

namespace garrison {

// Null when `tokenizer` is.
std::shared_ptr<const TextCodec> MakeFolderCodec(std::shared_ptr<const Tokenizer> tokenizer);

}  // namespace garrison
