// For tests: vectors that one can tell apart.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "base/hash.h"
#include "storage/vector_row.h"

namespace garrison {

inline VectorKey KeyOfText(const std::string& text) {
  Sha256 hash;
  hash.Update(text);
  return hash.Finish();
}

// Follows from the text alone, so that any vector can be checked against its text.
inline CachedVector VectorOfText(const std::string& text, std::size_t dimension = 48) {
  const VectorKey key = KeyOfText(text);
  std::seed_seq seed(reinterpret_cast<const unsigned char*>(key.data()),
                     reinterpret_cast<const unsigned char*>(key.data() + key.size()));
  std::mt19937 random(seed);
  CachedVector vector;
  for (std::size_t i = 0; i < dimension; ++i) {
    vector.values.push_back(static_cast<float>(random()) * 0x1p-31F - 1.0F);
  }
  vector.tokens = text.size() + 2;
  vector.total_tokens = text.size() + 5;
  return vector;
}

inline NewVector NewOfText(const std::string& text, std::size_t dimension = 48,
                           const std::string& model = "local/test/r1") {
  return {KeyOfText(text), model, text, VectorOfText(text, dimension)};
}

inline VectorRow RowOfText(const std::string& text, UnixMs expires_at = 0,
                           VectorPrecision precision = VectorPrecision::kFloat32,
                           bool keep_text = false) {
  VectorRow row = MakeRow(NewOfText(text), precision, keep_text);
  row.created_at = 1'700'000'000'000;
  row.expires_at = expires_at;
  return row;
}

}  // namespace garrison
