// Any bytes as a text for the built-in model: an error, or a vector of length 1 that its own tokens
// give again; and any bytes as the model's table.
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "engine/lexical.h"
#include "engine/models.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto model =
      garrison::LexicalEmbedder::Load(garrison::BuiltinLexicalTable()).value();
  (void)garrison::LexicalEmbedder::Load(std::as_bytes(std::span(data, size)));
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto embedded = model->Embed({.inputs = {text}}, {});
  if (!embedded) {
    CHECK(embedded.error().code == garrison::Code::kInvalidArgument);
    return 0;
  }
  double squares = 0;
  for (const float value : embedded->row(0)) squares += static_cast<double>(value) * value;
  CHECK(std::abs(squares - 1) < 1e-5);
  return 0;
}
