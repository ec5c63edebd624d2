#include "tensor/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr std::size_t kMaxIndexBytes = 64 << 20;
constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxShards = 1000;
constexpr std::size_t kLengthBytes = 8;

struct NamedType {
  TensorType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array kTypes = {
    NamedType{TensorType::kF32, "F32", 4},   NamedType{TensorType::kF16, "F16", 2},
    NamedType{TensorType::kBf16, "BF16", 2}, NamedType{TensorType::kF64, "F64", 8},
    NamedType{TensorType::kI64, "I64", 8},   NamedType{TensorType::kI32, "I32", 4},
    NamedType{TensorType::kI16, "I16", 2},   NamedType{TensorType::kI8, "I8", 1},
    NamedType{TensorType::kU8, "U8", 1},     NamedType{TensorType::kBool, "BOOL", 1},
};

const NamedType& Described(TensorType type) { return kTypes[static_cast<std::size_t>(type)]; }

float FromF16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 0xffu : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

// One field of the header that must be a list of numbers from 0 to 2^63.
Result<std::vector<std::uint64_t>> Numbers(const nlohmann::json& entry, const char* field) {
  const auto found = entry.find(field);
  if (found == entry.end() || !found->is_array()) {
    return Fail(Code::kInvalidArgument, "expected a list \"{}\"", field);
  }
  std::vector<std::uint64_t> numbers;
  for (const nlohmann::json& number : *found) {
    if (!number.is_number_unsigned() ||
        number.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return Fail(Code::kInvalidArgument, "expected whole numbers in \"{}\", got {}", field,
                  number.dump().substr(0, 40));
    }
    numbers.push_back(number.get<std::uint64_t>());
  }
  return numbers;
}

Result<Tensor> ParseEntry(const std::string& name, const nlohmann::json& entry,
                          std::span<const std::byte> data) {
  if (!entry.is_object()) return Fail(Code::kInvalidArgument, "expected an object");
  const auto type_name = entry.find("dtype");
  if (type_name == entry.end() || !type_name->is_string()) {
    return Fail(Code::kInvalidArgument, "expected a string \"dtype\"");
  }
  const auto type = std::find_if(kTypes.begin(), kTypes.end(), [&](const NamedType& known) {
    return known.name == type_name->get_ref<const std::string&>();
  });
  if (type == kTypes.end()) {
    return Fail(Code::kUnimplemented, "the dtype {} is not known", type_name->dump().substr(0, 40));
  }
  Tensor tensor{.name = name, .type = type->type};
  ASSIGN_OR_RETURN(tensor.shape, Numbers(entry, "shape"));
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> range, Numbers(entry, "data_offsets"));
  if (range.size() != 2 || range[0] > range[1] || range[1] > data.size()) {
    return Fail(Code::kInvalidArgument,
                "expected data_offsets [begin, end] inside the {} bytes of data, got [{}]; is the "
                "file cut off?",
                data.size(), fmt::join(range, ", "));
  }
  std::uint64_t bytes = type->bytes;
  for (const std::uint64_t size : tensor.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return Fail(Code::kInvalidArgument, "the shape {} is larger than memory", tensor.ShapeText());
    }
  }
  if (bytes != range[1] - range[0]) {
    return Fail(Code::kInvalidArgument, "a {} tensor of shape {} has {} bytes, the file gives {}",
                type->name, tensor.ShapeText(), bytes, range[1] - range[0]);
  }
  tensor.bytes = data.subspan(range[0], bytes);
  return tensor;
}

// The ranges must fill the data one after the other.
Result<> CheckTiling(const std::map<std::string, Tensor, std::less<>>& tensors,
                     std::span<const std::byte> data) {
  std::vector<const Tensor*> ordered;
  for (const auto& [name, tensor] : tensors) ordered.push_back(&tensor);
  std::sort(ordered.begin(), ordered.end(), [](const Tensor* a, const Tensor* b) {
    return std::pair(a->bytes.data(), a->bytes.size()) <
           std::pair(b->bytes.data(), b->bytes.size());
  });
  const std::byte* end = data.data();
  for (const Tensor* tensor : ordered) {
    if (tensor->bytes.data() != end) {
      return FailAt(tensor->name, Code::kInvalidArgument, "the data {} the tensor before it",
                    tensor->bytes.data() < end ? "overlaps" : "leaves a hole after");
    }
    end += tensor->bytes.size();
  }
  if (end != data.data() + data.size()) {
    return Fail(Code::kInvalidArgument, "{} bytes at the end belong to no tensor",
                data.data() + data.size() - end);
  }
  return {};
}

}  // namespace

std::string_view TensorTypeName(TensorType type) { return Described(type).name; }

std::uint64_t Tensor::elements() const { return bytes.size() / Described(type).bytes; }

std::string Tensor::ShapeText() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

namespace {

// Elements of two bytes, which may lie at the end of `out` itself.
void Widen(TensorType type, const std::byte* from, std::span<float> out) {
  for (float& value : out) {
    std::uint16_t half = 0;
    std::memcpy(&half, from, sizeof(half));
    from += sizeof(half);
    value = type == TensorType::kF16 ? FromF16(half)
                                     : std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  }
}

}  // namespace

void ReadFloats(const Tensor& tensor, std::uint64_t first, std::span<float> out) {
  if (out.empty()) return;  // its data may be null, which memcpy may not get
  const std::size_t size = Described(tensor.type).bytes;
  const std::byte* from = tensor.bytes.subspan(first * size, out.size() * size).data();
  if (tensor.type == TensorType::kF32) {
    std::memcpy(out.data(), from, out.size() * size);
  } else {
    Widen(tensor.type, from, out);
  }
}

Result<> SafeTensors::ReadRow(const Tensor& tensor, std::uint64_t first,
                              std::span<float> out) const {
  const std::size_t size = Described(tensor.type).bytes;
  const std::byte* from = tensor.bytes.subspan(first * size, out.size() * size).data();
  const auto file = std::find_if(files_.begin(), files_.end(), [&](const MappedFile& one) {
    const auto bytes = one.bytes();
    return std::less_equal<>()(bytes.data(), from) &&
           std::less<>()(from, bytes.data() + bytes.size());
  });
  CHECK(file != files_.end());
  // Narrow elements go to the end of their room and are widened from its beginning.
  const auto room = std::as_writable_bytes(out).last(out.size() * size);
  Result<> read = file->Read(static_cast<std::uint64_t>(from - file->bytes().data()), room);
  if (!read) return tl::unexpected(At(tensor.name, std::move(read).error()));
  if (tensor.type != TensorType::kF32) Widen(tensor.type, room.data(), out);
  return {};
}

Result<std::map<std::string, Tensor, std::less<>>> SafeTensors::Parse(
    std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return Fail(Code::kInvalidArgument, "expected a safetensors file, got {} bytes", file.size());
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    return Fail(Code::kInvalidArgument,
                "the header claims {} bytes, the file has {} (at most {} are allowed); is the file "
                "cut off, or not safetensors?",
                length, file.size() - kLengthBytes, kMaxHeaderBytes);
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const auto data = file.subspan(kLengthBytes + length);
  Result<nlohmann::json> json = ParseJson(header, kMaxDepth);
  if (!json) return tl::unexpected(At("header", std::move(json).error()));
  if (!json->is_object()) {
    return FailAt("header", Code::kInvalidArgument, "expected an object, got {}",
                  JsonTypeName(*json));
  }
  std::map<std::string, Tensor, std::less<>> tensors;
  for (const auto& [name, entry] : json->items()) {
    if (name == "__metadata__") continue;
    Result<Tensor> tensor = ParseEntry(name, entry, data);
    if (!tensor) return tl::unexpected(At(name.substr(0, 200), std::move(tensor).error()));
    tensors.emplace(name, *std::move(tensor));
  }
  RETURN_IF_ERROR(CheckTiling(tensors, data));
  return tensors;
}

Result<> SafeTensors::AddFile(const std::filesystem::path& path) {
  Result<MappedFile> file = MappedFile::Open(path, kMaxFileBytes);
  if (!file) return tl::unexpected(std::move(file).error());
  auto tensors = Parse(file->bytes());
  if (!tensors) return tl::unexpected(At(path.string(), std::move(tensors).error()));
  for (auto& [name, tensor] : *tensors) {
    if (!tensors_.emplace(name, std::move(tensor)).second) {
      return FailAt(path.string(), Code::kInvalidArgument, "the tensor {} is in two shards", name);
    }
  }
  paths_.push_back(path);
  files_.push_back(*std::move(file));
  return {};
}

Result<SafeTensors> SafeTensors::Open(const std::filesystem::path& folder) {
  SafeTensors weights;
  const auto single = folder / "model.safetensors";
  const auto index = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    RETURN_IF_ERROR(weights.AddFile(single));
    return weights;
  }
  if (!std::filesystem::exists(index, ignored)) {
    return FailAt(folder.string(), Code::kNotFound,
                  "expected model.safetensors or model.safetensors.index.json; weights in other "
                  "formats (pytorch_model.bin, ONNX, GGUF) are not read");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(index, kMaxIndexBytes));
  Result<nlohmann::json> json = ParseJson(text, kMaxDepth);
  if (!json) return tl::unexpected(At(index.string(), std::move(json).error()));
  const auto map = json->is_object() ? json->find("weight_map") : json->end();
  if (!json->is_object() || map == json->end() || !map->is_object()) {
    return FailAt(index.string(), Code::kInvalidArgument, "expected an object \"weight_map\"");
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    // A name with a folder in it could reach outside the model.
    if (!shard.is_string() || shard.get_ref<const std::string&>().find('/') != std::string::npos) {
      return FailAt(index.string(), Code::kInvalidArgument, "{}: expected a file name, got {}",
                    name, shard.dump().substr(0, 80));
    }
    shards.insert(shard.get<std::string>());
  }
  if (shards.empty() || shards.size() > kMaxShards) {
    return FailAt(index.string(), Code::kInvalidArgument, "expected 1 to {} shards, got {}",
                  kMaxShards, shards.size());
  }
  for (const std::string& shard : shards) RETURN_IF_ERROR(weights.AddFile(folder / shard));
  for (const auto& [name, shard] : map->items()) {
    if (weights.Find(name) == nullptr) {
      return FailAt(index.string(), Code::kInvalidArgument, "{} is in none of the shards", name);
    }
  }
  return weights;
}

const Tensor* SafeTensors::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void SafeTensors::DropPages() const {
  for (const MappedFile& file : files_) file.DropPages();
}

std::string SafeTensors::Fingerprint() const {
  // Large tensors are sampled: reading a gigabyte at every start would cost more than loading.
  constexpr std::size_t kBlock = 4096, kBlocks = 64;
  Sha256 hash;
  for (const auto& [name, tensor] : tensors_) {
    hash.Update(fmt::format("{} {} {}\n", name, TensorTypeName(tensor.type), tensor.ShapeText()));
    const auto bytes = tensor.bytes;
    if (bytes.size() <= kBlock * kBlocks) {
      hash.Update(bytes);
      continue;
    }
    for (std::size_t i = 0; i < kBlocks; ++i) {
      hash.Update(bytes.subspan((bytes.size() - kBlock) / (kBlocks - 1) * i, kBlock));
    }
  }
  return hash.FinishHex();
}

}  // namespace garrison
