// Any bytes as tokenizer.json. What loads must tokenise a fixed text within its contract.
#include <cstdint>

#include "base/check.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tokenizer = garrison::Tokenizer::Parse({reinterpret_cast<const char*>(data), size});
  if (!tokenizer) {
    CHECK(!tokenizer.error().message.empty());
    return 0;
  }
  constexpr std::string_view kText =
      " The caf\u00e9's \u4f60\u597d <mask>[SEP]\n\u0301 a\u0323\u0307 12\u00bd "
      "\U0001F468\u200d\U0001F469 ab";
  garrison::Tokenizer::Scratch scratch;
  garrison::Pieces pieces;
  // A model without its unknown token, or a hostile expression, may fail; that is all.
  if (!(*tokenizer)->TokenizeInFull(kText, scratch, pieces)) return 0;
  garrison::Encoding encoding;
  (void)(*tokenizer)->Assemble(pieces, &pieces, true, (*tokenizer)->truncation(), encoding);
  (void)(*tokenizer)->Decode(encoding.ids, true);
  for (const std::int32_t id : pieces.ids) {
    CHECK(id >= 0 && static_cast<std::size_t>(id) < (*tokenizer)->vocabulary_size());
  }
  return 0;
}
