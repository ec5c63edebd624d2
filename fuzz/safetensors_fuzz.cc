// Any bytes as a safetensors file. What is accepted tiles its data, and its tensors can be read.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "tensor/safetensors.h"

namespace {

using garrison::Tensor;
using garrison::TensorType;

constexpr std::uint64_t kMostElements = 1 << 16;  // of a tensor that is read in full

bool IsFloat(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBf16;
}

void CheckTensor(const Tensor& tensor, std::span<const std::byte> file) {
  std::uint64_t elements = 1;
  for (const std::uint64_t size : tensor.shape) elements *= size;
  CHECK(tensor.elements() == elements);
  CHECK(tensor.bytes.data() >= file.data());
  CHECK(tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
  CHECK(!TensorTypeName(tensor.type).empty());
  CHECK(tensor.ShapeText().size() >= 2);
  if (!IsFloat(tensor.type) || elements > kMostElements) return;
  std::vector<float> all(elements);
  ReadFloats(tensor, 0, all);
  if (elements == 0) return;
  std::vector<float> last(1);  // also from the middle of a tensor, at any alignment
  ReadFloats(tensor, elements - 1, last);
  CHECK(last[0] == all.back() || (last[0] != last[0] && all.back() != all.back()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto tensors = garrison::SafeTensors::Parse(file);
  if (!tensors) {
    CHECK(tensors.error().code == garrison::Code::kInvalidArgument ||
          tensors.error().code == garrison::Code::kUnimplemented);
    CHECK(!tensors.error().message.empty());
    return 0;
  }
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : *tensors) {
    CHECK(name == tensor.name);
    CheckTensor(tensor, file);
    bytes += tensor.bytes.size();
  }
  CHECK(bytes + sizeof(std::uint64_t) <= size);
  return 0;
}
