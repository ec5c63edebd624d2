#include "guard/word_features.h"

#include <algorithm>
#include <cmath>

namespace garrison {
namespace {

constexpr std::size_t kBytesRead = std::size_t{64} << 10;
// FNV-1a.
constexpr std::uint64_t kSeed = 0xcbf29ce484222325;
constexpr std::uint64_t kPrime = 0x100000001b3;

// The sign that stands for a byte of a word; 0 between words.
char WordSign(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  if (c >= '0' && c <= '9') return '0';
  return (c >= 'a' && c <= 'z') || c == '\'' || static_cast<unsigned char>(c) >= 0x80 ? c : '\0';
}

std::uint32_t BucketOf(std::uint64_t hash) {
  // The low bits of FNV hardly depend on its high ones.
  return static_cast<std::uint32_t>((hash ^ (hash >> 29) ^ (hash >> 47)) % kWordBuckets);
}

}  // namespace

std::vector<SparseValue> WordFeatures(std::string_view text) {
  text = text.substr(0, kBytesRead);
  std::vector<std::uint32_t> buckets;
  buckets.reserve(text.size() / 2);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::uint64_t hash = kSeed;
    const std::size_t begin = i;
    for (; i < text.size() && WordSign(text[i]) != '\0'; ++i) {
      hash = (hash ^ static_cast<unsigned char>(WordSign(text[i]))) * kPrime;
    }
    if (i == begin) {
      ++i;
      continue;
    }
    buckets.push_back(BucketOf(hash));
    if (before != 0) buckets.push_back(BucketOf((hash ^ (before >> 7)) * kPrime + before));
    before = hash;
  }
  std::sort(buckets.begin(), buckets.end());
  buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
  const float value = 1 / std::sqrt(static_cast<float>(buckets.size()));
  std::vector<SparseValue> out;
  out.reserve(buckets.size());
  for (const std::uint32_t bucket : buckets) out.push_back({bucket, value});
  return out;
}

}  // namespace garrison
