#include "tensor/packed_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::string_view kMagic = "GARRPACK1\n";
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kLengthDigits = 12;
// "GARRPACK1\n", the SHA-256 of what follows, "\n", the header's length in bytes, "\n".
constexpr std::size_t kPrefix = kMagic.size() + kHashDigits + 1 + kLengthDigits + 1;
constexpr std::size_t kAlign = 64;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;
constexpr std::size_t kMaxDepth = 6;
constexpr std::chrono::hours kLongestWrite{1};

constexpr std::array kTypes = {ComputeType::kF32, ComputeType::kBf16, ComputeType::kInt8,
                               ComputeType::kInt8Fine};

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string HashOf(std::span<const std::string_view> parts) {
  Sha256 hash;
  for (const std::string_view part : parts) hash.Update(part);
  return hash.FinishHex();
}

auto Damaged(std::string_view what) { return Fail(Code::kDataLoss, "packed weights: {}", what); }

std::optional<ComputeType> TypeNamed(const std::string& name) {
  for (const ComputeType type : kTypes) {
    if (ComputeTypeName(type) == name) return type;
  }
  return std::nullopt;
}

// One entry of the header; the file's hash has been checked, so a wrong one is not our writing.
Result<PackedLinear> ViewLayer(const nlohmann::json& entry, const PanelLayout& layout,
                               const std::shared_ptr<const MappedFile>& file) {
  const auto number = [&](const char* name) -> std::uint64_t {
    const auto found = entry.find(name);
    return found != entry.end() && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                               : ~std::uint64_t{0};
  };
  const auto type_name = entry.find("type");
  if (type_name == entry.end() || !type_name->is_string()) return Damaged("a layer has no type");
  const std::optional<ComputeType> type = TypeNamed(type_name->get<std::string>());
  const std::uint64_t offset = number("offset");
  const std::uint64_t bytes = number("bytes");
  const std::uint64_t columns = number("columns");
  const std::uint64_t inputs = number("inputs");
  const std::uint64_t size = file->bytes().size();
  constexpr std::uint64_t kMostColumns = std::uint64_t{1} << 24;
  if (!type || offset > size || bytes > size - offset || columns > kMostColumns ||
      inputs > kMostColumns) {
    return Damaged("a layer lies outside the file");
  }
  return PackedLinear::View(layout, *type, columns, inputs, file->bytes().subspan(offset, bytes),
                            file);
}

}  // namespace

Result<PackedLayers> ReadPackedWeights(const std::filesystem::path& path, std::string_view key,
                                       const PanelLayout& layout) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path, kMaxFileBytes));
  const auto file = std::make_shared<const MappedFile>(std::move(mapped));
  const std::string_view all = TextOf(file->bytes());
  if (all.size() < kPrefix || !all.starts_with(kMagic)) return Damaged("it does not begin as one");
  const std::string_view sum = all.substr(kMagic.size(), kHashDigits);
  const std::string_view rest = all.substr(kMagic.size() + kHashDigits);
  if (HashOf({{rest}}) != sum) return Damaged("its SHA-256 does not match");
  const std::string_view digits = rest.substr(1, kLengthDigits);
  std::size_t header_bytes = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return Damaged("its length is not a number");
    header_bytes = 10 * header_bytes + static_cast<std::size_t>(digit - '0');
  }
  if (header_bytes > all.size() - kPrefix) return Damaged("it is too short");
  ASSIGN_OR_RETURN(const nlohmann::json header,
                   ParseJson(all.substr(kPrefix, header_bytes), kMaxDepth));
  const auto written_key = header.find("key");
  if (written_key == header.end() || *written_key != key) return Damaged("it has another key");
  const auto layers = header.find("layers");
  if (layers == header.end() || !layers->is_object()) return Damaged("it names no layers");
  PackedLayers read;
  for (const auto& [name, entry] : layers->items()) {
    ASSIGN_OR_RETURN(read[name], ViewLayer(entry, layout, file));
  }
  // Files used lately outlive the others (PrunePackedWeights); a read-only folder is no error.
  std::error_code ignored;
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), ignored);
  return read;
}

Result<> WritePackedWeights(const std::filesystem::path& path, std::string_view key,
                            const PackedLayers& layers) {
  // Offsets count from the file's beginning and depend on the header's length, which depends on
  // them: the header is padded to a length that they cannot change.
  const auto header_with = [&](std::size_t first) {
    nlohmann::ordered_json entries = nlohmann::ordered_json::object();
    std::size_t offset = first;
    for (const auto& [name, layer] : layers) {
      entries[name] = {{"type", ComputeTypeName(layer.type())},
                       {"columns", layer.columns()},
                       {"inputs", layer.inputs()},
                       {"offset", offset},
                       {"bytes", layer.block().size()}};
      offset += layer.block().size();
    }
    return nlohmann::ordered_json{{"key", key}, {"layers", std::move(entries)}}.dump();
  };
  constexpr std::size_t kMostDigits = 16;  // by which an offset may grow
  const std::size_t room = header_with(0).size() + kMostDigits * layers.size();
  const std::size_t first = (kPrefix + room + kAlign - 1) / kAlign * kAlign;
  std::string header = header_with(first);
  header.resize(first - kPrefix, ' ');

  const std::string length = fmt::format("\n{:0{}}\n", header.size(), kLengthDigits);
  std::vector<std::string_view> parts = {length, header};
  for (const auto& [name, layer] : layers) parts.push_back(TextOf(layer.block()));
  const std::string start = std::string(kMagic) + HashOf(parts);
  parts.insert(parts.begin(), start);
  return WriteFileAtomically(path, parts);
}

void PrunePackedWeights(const std::filesystem::path& folder, std::uint64_t bytes) {
  struct Entry {
    std::filesystem::path path;
    std::filesystem::file_time_type used;
    std::uint64_t bytes;
  };
  std::vector<Entry> entries;
  const auto now = std::filesystem::file_time_type::clock::now();
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = it->path().extension().string();
    if (extension != ".packed" && extension != ".hash" && extension != ".partial") continue;
    std::error_code gone;
    Entry entry{it->path(), it->last_write_time(gone), it->file_size(gone)};
    if (gone) continue;
    if (extension == ".partial" && entry.used < now - kLongestWrite) {
      std::filesystem::remove(entry.path, gone);
      continue;
    }
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used > b.used; });
  std::uint64_t total = 0;
  for (const Entry& entry : entries) {
    total += entry.bytes;
    if (total > bytes) std::filesystem::remove(entry.path, error);
  }
}

}  // namespace garrison
