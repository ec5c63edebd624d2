// A record of an export file of cached vectors: any bytes are refused, or are a row that is written
// as the same bytes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "storage/vector_export.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  if (const auto row = garrison::DecodeRecord(payload)) {
    CHECK(garrison::EncodeRecord(*row) == payload);
  }
  return 0;
}
