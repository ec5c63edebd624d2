#include "storage/legacy_table.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "core/json.h"
#include "db/database.h"

namespace garrison {
namespace {

constexpr std::int64_t kRowsTogether = 256;
constexpr std::size_t kJsonDepth = 2;

constexpr std::string_view kPage =
    "SELECT CAST(id AS BIGINT), CAST(cache_key AS TEXT), CAST(text AS TEXT),"
    " CAST(embedding AS TEXT), CAST(model AS TEXT) FROM embedding_cache WHERE id > $1"
    " ORDER BY id LIMIT $2";

std::string TextOr(const DbRow& row, std::size_t column) {
  return TextAt(row, column).value_or("");
}

std::optional<std::vector<float>> ReadValues(const std::string& json) {
  const Result<nlohmann::json> parsed = ParseJson(json, kJsonDepth);
  if (!parsed || !parsed->is_array()) return std::nullopt;
  std::vector<float> values;
  values.reserve(parsed->size());
  for (const nlohmann::json& value : *parsed) {
    if (!value.is_number()) return std::nullopt;
    values.push_back(value.get<float>());
  }
  return values;
}

bool IsVector(const std::vector<float>& values) {
  const auto finite = [](float x) { return std::isfinite(x); };
  const auto nonzero = [](float x) { return x != 0; };
  return std::all_of(values.begin(), values.end(), finite) &&
         std::any_of(values.begin(), values.end(), nonzero);
}

std::optional<LegacyVector> Judge(const DbRow& row, const LegacyWanted& wanted,
                                  LegacyReport& report) {
  ++report.rows;
  const std::string model = TextOr(row, 4);
  if (model != wanted.model) {
    ++report.other_model[model];
    return std::nullopt;
  }
  LegacyVector vector{.text = TextOr(row, 2)};
  if (vector.text.empty() || Sha256Hex(vector.text) != TextOr(row, 1)) {
    ++report.text_missing;
    return std::nullopt;
  }
  std::optional<std::vector<float>> values = ReadValues(TextOr(row, 3));
  if (!values) {
    ++report.unreadable;
    return std::nullopt;
  }
  vector.values = *std::move(values);
  if (vector.values.size() != wanted.dimension) {
    ++report.other_dimension;
    return std::nullopt;
  }
  if (!IsVector(vector.values)) {
    ++report.not_a_vector;
    return std::nullopt;
  }
  ++report.good;
  return vector;
}

}  // namespace

Result<LegacyReport> ReadLegacyTable(
    const std::string& place, const LegacyWanted& wanted,
    const std::function<Result<>(std::vector<LegacyVector>)>& take) {
  const DbOptions options{.read_only = true, .statement_time = std::chrono::milliseconds(0)};
  ASSIGN_OR_RETURN(const std::unique_ptr<DbConnection> connection, OpenDatabase(place, options));
  LegacyReport report;
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  while (true) {
    const DbParameters from = {last, kRowsTogether};
    Result<DbResult> page = connection->Execute(kPage, from);
    if (!page && page.error().code == Code::kInternal) {
      return FailAt("--from", Code::kNotFound,
                    "expected a table embedding_cache(id, cache_key, text, embedding, model, "
                    "created_at): {}",
                    page.error().message);
    }
    RETURN_IF_ERROR(page);
    if (page->rows.empty()) return report;
    std::vector<LegacyVector> good;
    for (const DbRow& row : page->rows) {
      ASSIGN_OR_RETURN(const std::int64_t id, IntegerAt(row, 0));
      if (id <= last) return Fail(Code::kDataLoss, "expected ascending ids");
      last = id;
      if (std::optional<LegacyVector> vector = Judge(row, wanted, report)) {
        good.push_back(*std::move(vector));
      }
    }
    if (!good.empty()) RETURN_IF_ERROR(take(std::move(good)));
  }
}

}  // namespace garrison
