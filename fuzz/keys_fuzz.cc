// Key files: what is read is written back the same, and an error never repeats what may be a key.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "gateway/keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ring = garrison::KeyRing::Parse({reinterpret_cast<const char*>(data), size}, "keys");
  if (!ring) return 0;
  std::string text;
  for (const garrison::ApiKey& key : ring->keys()) text += FormatKey(key) + "\n";
  const auto again = garrison::KeyRing::Parse(text, "keys");
  CHECK(again.has_value() && again->keys().size() == ring->keys().size());
  return 0;
}
