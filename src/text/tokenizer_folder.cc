// Model folders from before tokenizer.json: stub.
#include <nlohmann/json.hpp>

#include "text/tokenizer_parts.h"

namespace garrison::tokenizers {

Result<nlohmann::json> JsonOfFolder(const std::filesystem::path& folder) {
  return Fail(Code::kNotFound, "no tokenizer in {}", folder.string());
}

}  // namespace garrison::tokenizers
