// Bodies of every route, through the decoder of every dialect. What decodes stays within its
// contract; what does not has an error that can be sent in every dialect.
#include <cstdint>

#include "base/check.h"
#include "core/json.h"
#include "wire/cohere.h"
#include "wire/home.h"
#include "wire/ollama.h"
#include "wire/openai.h"
#include "wire/safety.h"
#include "wire/tei.h"

namespace {

using namespace garrison;

void CheckInputs(const std::vector<EmbedInput>& inputs) {
  CHECK(!inputs.empty());
  for (const EmbedInput& input : inputs) {
    const auto* tokens = std::get_if<TokenIds>(&input);
    if (tokens == nullptr) continue;
    for (const std::int32_t id : tokens->ids) CHECK(id >= 0);
  }
}

// Runs `check` on what was decoded.
template <typename Call, typename Check>
void Take(const Result<Call>& call, Check check) {
  if (call) return check(*call);
  const Error& error = call.error();
  for (const std::string& body :
       {EncodeOpenAiError(error, "x"), EncodeTeiError(error, "x"), EncodeCohereError(error),
        EncodeOllamaError(error), EncodeHomeError(error)}) {
    CHECK(ParseJson(body, 64).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto body = ParseJson({reinterpret_cast<const char*>(data), size}, 64);
  if (!body) return 0;
  const auto some = [](const auto& list) { CHECK(!list.empty()); };
  Take(DecodeOpenAiEmbeddings(*body), [](const auto& call) { CheckInputs(call.request.inputs); });
  Take(DecodeOpenAiModerations(*body), [&](const auto& call) { some(call.texts); });
  Take(DecodeSafetyRequest(*body), [](const auto&) {});
  Take(DecodeSafetyBatch(*body), [](const auto&) {});
  Take(DecodeTeiEmbed(*body), [](const auto& call) { CheckInputs(call.request.inputs); });
  Take(DecodeTeiRerank(*body), [&](const auto& call) { some(call.request.documents); });
  Take(DecodeTeiPredict(*body), [&](const auto& call) { some(call.inputs); });
  Take(DecodeTeiSimilarity(*body), [&](const auto& call) { some(call.sentences); });
  Take(DecodeTeiTokenize(*body), [&](const auto& call) { some(call.texts); });
  Take(DecodeTeiDecode(*body), [&](const auto& call) { some(call.ids); });
  Take(DecodeCohereRerank(*body), [&](const auto& call) {
    some(call.request.documents);
    CHECK(call.top_n >= 1 && call.top_n <= call.request.documents.size());
  });
  Take(DecodeClassify(*body), [&](const auto& call) { some(call.inputs); });
  Take(DecodeOllamaEmbed(*body), [](const auto& call) { CheckInputs(call.request.inputs); });
  Take(DecodeOllamaEmbeddings(*body), [](const auto& call) { CheckInputs(call.request.inputs); });
  Take(DecodeOllamaShow(*body), [](const auto&) {});
  Take(DecodeHomeEmbeddings(*body), [](const auto& request) { CheckInputs(request.inputs); });
  Take(DecodeHomeRerank(*body), [](const auto& call) {
    CHECK(call.candidates.size() == call.request.documents.size());
    CHECK(call.top_k >= 1 && call.top_k <= call.candidates.size());
  });
  Take(DecodeHomeInfer(*body),
       [](const auto& call) { CHECK(call.texts.empty() != call.documents.empty()); });
  Take(DecodeHomeLoad(*body), [](const auto&) {});
  return 0;
}
