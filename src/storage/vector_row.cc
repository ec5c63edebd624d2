#include "storage/vector_row.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace garrison {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs are copied as they are");

constexpr std::string_view kChecksumVersion = "garrison vector row 1";
// Key, checksum, numbers, and the indexes' share.
constexpr std::uint64_t kRowOverhead = 250;
constexpr float kLargestHalf = 65504;

void UpdateNumber(Sha256& hash, std::uint64_t number) {
  hash.Update(std::as_bytes(std::span(&number, 1)));
}

}  // namespace

std::string_view PrecisionName(VectorPrecision precision) {
  return precision == VectorPrecision::kFloat16 ? "f16" : "f32";
}

RowChecksum VectorRow::Checksum() const {
  Sha256 hash;
  hash.Update(kChecksumVersion);
  hash.Update(std::span<const std::byte>(key));
  UpdateNumber(hash, model.size());
  hash.Update(model);
  for (const std::uint64_t number :
       {static_cast<std::uint64_t>(precision), dimension, tokens, total_tokens,
        static_cast<std::uint64_t>(created_at), static_cast<std::uint64_t>(expires_at)}) {
    UpdateNumber(hash, number);
  }
  hash.Update(std::span<const std::byte>(blob));
  const Sha256Digest digest = hash.Finish();
  RowChecksum checksum;
  std::copy_n(digest.begin(), checksum.size(), checksum.begin());
  return checksum;
}

std::uint64_t VectorRow::Bytes() const {
  return kRowOverhead + model.size() + blob.size() + (text ? text->size() : 0);
}

std::optional<StoredVector> VectorRow::Decode() const {
  const std::size_t width = precision == VectorPrecision::kFloat16 ? 2 : 4;
  if (dimension == 0 || blob.size() % width != 0 || blob.size() / width != dimension) {
    return std::nullopt;
  }
  StoredVector stored;
  stored.vector.tokens = tokens;
  stored.vector.total_tokens = total_tokens;
  stored.expires_at = expires_at;
  stored.vector.values.resize(dimension);
  if (precision == VectorPrecision::kFloat32) {
    std::memcpy(stored.vector.values.data(), blob.data(), blob.size());
    return stored;
  }
  for (std::size_t i = 0; i < dimension; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, blob.data() + 2 * i, sizeof(half));
    stored.vector.values[i] = FloatOfHalf(half);
  }
  return stored;
}

VectorRow MakeRow(const NewVector& from, VectorPrecision wanted, bool keep_text) {
  const std::vector<float>& values = from.vector.values;
  VectorRow row{.key = from.key,
                .model = from.model,
                .dimension = values.size(),
                .tokens = from.vector.tokens,
                .total_tokens = from.vector.total_tokens};
  // PostgreSQL has no texts with a zero byte.
  const bool can_keep = !from.text.empty() && from.text.find('\0') == std::string::npos;
  if (keep_text && can_keep) row.text = from.text;
  const bool fits = std::all_of(values.begin(), values.end(),
                                [](float x) { return std::abs(x) <= kLargestHalf; });
  if (wanted == VectorPrecision::kFloat16 && fits) {
    row.precision = VectorPrecision::kFloat16;
    row.blob.resize(2 * values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t half = HalfOf(values[i]);
      std::memcpy(row.blob.data() + 2 * i, &half, sizeof(half));
    }
    return row;
  }
  row.blob.resize(4 * values.size());
  if (!values.empty()) std::memcpy(row.blob.data(), values.data(), row.blob.size());
  return row;
}

}  // namespace garrison
