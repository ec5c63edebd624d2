// Projection files. What is read writes the same file again and projects to finite numbers.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "guard/projection.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto projection = garrison::Projection::Parse(bytes);
  if (!projection) {
    CHECK(projection.error().code == garrison::Code::kInvalidArgument);
    return 0;
  }
  const auto again = garrison::Projection::Parse(projection->ToJson());
  CHECK(again.has_value());
  CHECK(again->data() == projection->data());
  CHECK(again->hash() == projection->hash());
  std::vector<float> x(projection->data().dimension, std::numeric_limits<float>::max());
  const std::vector<double> projected = projection->Apply(x);
  CHECK(projected.size() == projection->data().k());
  for (const double value : projected) CHECK(std::isfinite(value));
  return 0;
}
