// Bodies of POST /v1/embeddings and /check-safety. What decodes stays within its contract.
#include <cstdint>

#include "base/check.h"
#include "core/json.h"
#include "wire/openai.h"
#include "wire/safety.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto body = garrison::ParseJson(bytes, 64);
  if (!body) return 0;
  if (const auto call = garrison::DecodeOpenAiEmbeddings(*body)) {
    CHECK(!call->request.inputs.empty());
    for (const garrison::EmbedInput& input : call->request.inputs) {
      if (const auto* tokens = std::get_if<garrison::TokenIds>(&input)) {
        for (const std::int32_t id : tokens->ids) CHECK(id >= 0);
      }
    }
  } else {
    // The message must be one that can be sent.
    CHECK(garrison::ParseJson(garrison::EncodeOpenAiError(call.error(), "x"), 64).has_value());
  }
  (void)garrison::DecodeSafetyRequest(*body);
  return 0;
}
