// Replies of vendors: whatever comes, either a finite vector for every input or an error.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/check.h"
#include "wire/upstream_bedrock.h"
#include "wire/upstream_huggingface.h"
#include "wire/upstream_openai.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace garrison;
  if (size == 0) return 0;
  const std::size_t count = data[0] % 16;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  Result<UpstreamVectors> vectors = Fail(Code::kUnknown, "none");
  switch (data[0] >> 6) {
    case 0:
      vectors = DecodeUpstreamOpenAi(body, count);
      break;
    case 1:
      vectors = DecodeUpstreamHuggingFace(body, count);
      break;
    case 2:
      vectors = DecodeUpstreamTitan(body);
      break;
    default:
      for (const int status : {400, 429, 503}) {
        const UpstreamFailure failure = DecodeUpstreamOpenAiFailure(status, body, {});
        CHECK(failure.message.size() <= 203);
        CHECK(DecodeUpstreamHuggingFaceFailure(status, body, {}).message.size() <= 203);
        CHECK(DecodeUpstreamBedrockFailure(status, body, body, {}).message.size() <= 203);
      }
  }
  if (!vectors) return 0;
  for (const float value : vectors->values) CHECK(std::isfinite(value));
  return 0;
}
