// The cache of the service that Garrison replaces: a table embedding_cache(id, cache_key, text,
// embedding, model, created_at), of which only some rows can be believed.
//
// Its key was the SHA-256 of the text alone, so that rows of different models took each other's
// place, and its texts were cut after 500 characters.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

struct LegacyVector {
  std::string text;
  std::vector<float> values;
};

struct LegacyWanted {
  std::string model;  // as its rows call it
  std::size_t dimension = 0;
};

// Why rows were left where they are.
struct LegacyReport {
  std::uint64_t rows = 0;
  std::uint64_t good = 0;
  std::map<std::string, std::uint64_t> other_model;  // by what their rows call it
  std::uint64_t text_missing = 0;                    // none, or not the one that was hashed: cut
  std::uint64_t other_dimension = 0;
  std::uint64_t unreadable = 0;    // not a list of numbers
  std::uint64_t not_a_vector = 0;  // all zeros, or not finite: a failure that was kept
};

// Calls `take` with the good rows in groups. `place` as for OpenDatabase; nothing is written to it.
// NOT_FOUND when it has no such table; the errors of DbConnection and of `take`.
Result<LegacyReport> ReadLegacyTable(
    const std::string& place, const LegacyWanted& wanted,
    const std::function<Result<>(std::vector<LegacyVector>)>& take);

}  // namespace garrison
