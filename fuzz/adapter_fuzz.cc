// Files of adapters, fingerprints and AWS credentials.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "providers/adapter.h"
#include "providers/aws_credentials.h"
#include "providers/fingerprint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace garrison;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(ParseFingerprints(text));
  static_cast<void>(ParseCredentialsFile(text, "default"));
  static_cast<void>(ParseCredentialsJson(text));
  const Result<Adapter> adapter = Adapter::Parse(text);
  if (!adapter) return 0;
  const std::vector<float> row(adapter->data().from.dimension, 1.0F);
  CHECK(adapter->Apply(row).size() == adapter->data().to.dimension);
  CHECK(Adapter::Parse(adapter->ToJson()).has_value());
  return 0;
}
