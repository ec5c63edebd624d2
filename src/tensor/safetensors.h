// Model weights in the safetensors format, mapped and checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace garrison {

enum class TensorType : std::uint8_t { kF32, kF16, kBf16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };

// "F32", "BF16", ...
std::string_view TensorTypeName(TensorType type);

// A view into the mapped file; valid as long as its SafeTensors.
struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte>
      bytes;  // exactly the elements, row-major, little-endian, any alignment

  std::uint64_t elements() const;
  std::string ShapeText() const;  // "[30522, 384]"
};

// `count` elements from `first` as floats. REQUIRES: F32, F16 or BF16 and a range inside the
// tensor.
void ReadFloats(const Tensor& tensor, std::uint64_t first, std::span<float> out);

// One or several safetensors files as one set of tensors. Immutable; thread-safe.
class SafeTensors {
 public:
  // Parses one file's content, which must outlive the tensors. INVALID_ARGUMENT for a header that
  // is not what the format says: too long, not JSON, unknown types, sizes that disagree with
  // shapes, ranges that overlap, leave holes or end outside the file.
  static Result<std::map<std::string, Tensor, std::less<>>> Parse(std::span<const std::byte> file);

  // `folder`/model.safetensors, or the shards that model.safetensors.index.json names. NOT_FOUND
  // when there is neither, or a shard is missing; errors name the file.
  static Result<SafeTensors> Open(const std::filesystem::path& folder);

  // Null when there is none.
  const Tensor* Find(std::string_view name) const;
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }
  // SHA-256 (hex) of names, types, shapes and contents, large tensors by 64 blocks spread over
  // them: tells models apart, does not authenticate them.
  std::string Fingerprint() const;
  // As ReadFloats, by reads from the file: for tables of which only a part is ever used, whose
  // pages would pile up in this process's memory. DATA_LOSS when the file has become shorter.
  Result<> ReadRow(const Tensor& tensor, std::uint64_t first, std::span<float> out) const;
  const std::vector<std::filesystem::path>& paths() const { return paths_; }
  // Takes the pages read so far out of this process's resident memory.
  void DropPages() const;

 private:
  Result<> AddFile(const std::filesystem::path& path);

  std::vector<std::filesystem::path> paths_;
  std::vector<MappedFile> files_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace garrison
