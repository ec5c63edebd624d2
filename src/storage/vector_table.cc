#include "storage/vector_table.h"

#include <algorithm>
#include <array>
#include <utility>

namespace garrison {
namespace {

constexpr std::string_view kModule = "vectors";

// The second index answers Totals() and Shrink() without the rows themselves.
constexpr std::string_view kSqlite = R"(
  CREATE TABLE garrison_vectors (
    key BLOB NOT NULL PRIMARY KEY, model TEXT NOT NULL, dimension BIGINT NOT NULL,
    precision TEXT NOT NULL, vector BLOB NOT NULL, checksum BLOB NOT NULL, tokens BIGINT NOT NULL,
    total_tokens BIGINT NOT NULL, text TEXT, created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, last_used BIGINT NOT NULL, hits BIGINT NOT NULL,
    bytes BIGINT NOT NULL);
  CREATE INDEX garrison_vectors_used ON garrison_vectors (last_used, bytes);
  CREATE INDEX garrison_vectors_expiry ON garrison_vectors (expires_at) WHERE expires_at > 0;
)";
constexpr std::string_view kPostgres = R"(
  CREATE TABLE garrison_vectors (
    key BYTEA NOT NULL PRIMARY KEY, model TEXT NOT NULL, dimension BIGINT NOT NULL,
    precision TEXT NOT NULL, vector BYTEA NOT NULL, checksum BYTEA NOT NULL, tokens BIGINT NOT NULL,
    total_tokens BIGINT NOT NULL, text TEXT, created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, last_used BIGINT NOT NULL, hits BIGINT NOT NULL,
    bytes BIGINT NOT NULL);
  ALTER TABLE garrison_vectors ALTER COLUMN vector SET STORAGE EXTERNAL;
  CREATE INDEX garrison_vectors_used ON garrison_vectors (last_used, bytes);
  CREATE INDEX garrison_vectors_expiry ON garrison_vectors (expires_at) WHERE expires_at > 0;
)";
constexpr std::array kSteps = {DbMigration{kSqlite, kPostgres}};

constexpr std::string_view kFind =
    "SELECT key, model, dimension, precision, vector, checksum, tokens, total_tokens, created_at,"
    " expires_at FROM garrison_vectors WHERE key = $1";
constexpr std::string_view kPage =
    "SELECT key, model, dimension, precision, vector, checksum, tokens, total_tokens, created_at,"
    " expires_at, text FROM garrison_vectors WHERE key > $1 ORDER BY key LIMIT $2";
constexpr std::string_view kWrite =
    "INSERT INTO garrison_vectors (key, model, dimension, precision, vector, checksum, tokens,"
    " total_tokens, text, created_at, expires_at, last_used, hits, bytes)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13)"
    " ON CONFLICT (key) DO UPDATE SET model = excluded.model, dimension = excluded.dimension,"
    " precision = excluded.precision, vector = excluded.vector, checksum = excluded.checksum,"
    " tokens = excluded.tokens, total_tokens = excluded.total_tokens, text = excluded.text,"
    " created_at = excluded.created_at, expires_at = excluded.expires_at,"
    " last_used = excluded.last_used, bytes = excluded.bytes";
constexpr std::string_view kUse =
    "UPDATE garrison_vectors SET hits = hits + $2,"
    " last_used = CASE WHEN last_used < $3 THEN $3 ELSE last_used END WHERE key = $1";
constexpr std::string_view kRemove = "DELETE FROM garrison_vectors WHERE key = $1";
constexpr std::string_view kRemoveExpired =
    "DELETE FROM garrison_vectors WHERE key IN (SELECT key FROM garrison_vectors"
    " WHERE expires_at > 0 AND expires_at <= $1 ORDER BY expires_at LIMIT 1000)";
constexpr std::string_view kTotals =
    "SELECT count(*), CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM garrison_vectors";
constexpr std::string_view kOldest =
    "SELECT key, bytes FROM garrison_vectors ORDER BY last_used LIMIT 1000";
constexpr std::string_view kModels =
    "SELECT model, count(*), CAST(sum(bytes) AS BIGINT), CAST(sum(hits) AS BIGINT),"
    " CAST(sum(hits * tokens) AS BIGINT), min(created_at), max(last_used) FROM garrison_vectors"
    " GROUP BY model ORDER BY model";

std::span<const std::byte> BytesOf(const VectorKey& key) { return key; }

Result<std::uint64_t> CountAt(const DbRow& row, std::size_t column) {
  ASSIGN_OR_RETURN(const std::int64_t value, IntegerAt(row, column));
  if (value < 0) return Fail(Code::kDataLoss, "expected a count, got {}", value);
  return static_cast<std::uint64_t>(value);
}

Result<VectorKey> KeyAt(const DbRow& row, std::size_t column) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, BytesAt(row, column));
  VectorKey key;
  if (bytes.size() != key.size()) return Fail(Code::kDataLoss, "expected a key of 32 bytes");
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

// The columns of kFind, and the text where it was asked for. DATA_LOSS unless the checksum is that
// of exactly these values.
Result<VectorRow> ReadRow(const DbRow& from) {
  VectorRow row;
  ASSIGN_OR_RETURN(row.key, KeyAt(from, 0));
  ASSIGN_OR_RETURN(row.model, TextAt(from, 1));
  ASSIGN_OR_RETURN(row.dimension, CountAt(from, 2));
  ASSIGN_OR_RETURN(const std::string precision, TextAt(from, 3));
  if (precision == PrecisionName(VectorPrecision::kFloat16)) {
    row.precision = VectorPrecision::kFloat16;
  } else if (precision != PrecisionName(VectorPrecision::kFloat32)) {
    return Fail(Code::kDataLoss, "expected f32 or f16");
  }
  ASSIGN_OR_RETURN(row.blob, BytesAt(from, 4));
  ASSIGN_OR_RETURN(const std::vector<std::byte> checksum, BytesAt(from, 5));
  ASSIGN_OR_RETURN(row.tokens, CountAt(from, 6));
  ASSIGN_OR_RETURN(row.total_tokens, CountAt(from, 7));
  ASSIGN_OR_RETURN(row.created_at, IntegerAt(from, 8));
  ASSIGN_OR_RETURN(row.expires_at, IntegerAt(from, 9));
  if (from.size() > 10 && !std::holds_alternative<std::monostate>(from[10])) {
    ASSIGN_OR_RETURN(row.text, TextAt(from, 10));
  }
  const RowChecksum expected = row.Checksum();
  if (!std::equal(checksum.begin(), checksum.end(), expected.begin(), expected.end())) {
    return Fail(Code::kDataLoss, "the checksum does not match");
  }
  return row;
}

DbParameters ParametersOf(const VectorRow& row, const RowChecksum& checksum, UnixMs last_used) {
  const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  DbParameter text;
  if (row.text) text = std::string_view(*row.text);
  return {BytesOf(row.key),
          std::string_view(row.model),
          number(row.dimension),
          PrecisionName(row.precision),
          std::span<const std::byte>(row.blob),
          std::span<const std::byte>(checksum),
          number(row.tokens),
          number(row.total_tokens),
          text,
          row.created_at,
          row.expires_at,
          last_used,
          number(row.Bytes())};
}

}  // namespace

Result<VectorTable> VectorTable::Open(const std::string& place, const DbOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<DbConnection> connection, OpenDatabase(place, options));
  RETURN_IF_ERROR(Migrate(*connection, kModule, kSteps));
  return VectorTable(std::move(connection));
}

Result<FoundRows> VectorTable::Find(std::span<const VectorKey> keys) {
  std::vector<DbParameters> calls;
  calls.reserve(keys.size());
  for (const VectorKey& key : keys) calls.push_back({BytesOf(key)});
  ASSIGN_OR_RETURN(const std::vector<DbResult> results, connection_->ExecuteEach(kFind, calls));
  FoundRows found;
  found.rows.resize(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (results[i].rows.empty()) continue;
    Result<VectorRow> row = ReadRow(results[i].rows.front());
    // A damaged index can lead to the row of another key.
    if (row && row->key == keys[i]) {
      found.rows[i] = *std::move(row);
    } else {
      found.damaged.push_back(keys[i]);
    }
  }
  return found;
}

Result<> VectorTable::Write(std::vector<VectorRow>& rows, UnixMs last_used) {
  // In one order, so that two processes never wait for one another in a circle.
  std::sort(rows.begin(), rows.end(),
            [](const VectorRow& a, const VectorRow& b) { return a.key < b.key; });
  std::vector<RowChecksum> checksums;
  checksums.reserve(rows.size());
  std::vector<DbParameters> calls;
  calls.reserve(rows.size());
  for (const VectorRow& row : rows) {
    calls.push_back(ParametersOf(row, checksums.emplace_back(row.Checksum()), last_used));
  }
  ASSIGN_OR_RETURN(DbTransaction transaction, DbTransaction::Begin(*connection_));
  RETURN_IF_ERROR(connection_->ExecuteEach(kWrite, calls));
  return transaction.Commit();
}

Result<> VectorTable::CountUses(std::vector<VectorUse> uses) {
  std::sort(uses.begin(), uses.end(),
            [](const VectorUse& a, const VectorUse& b) { return a.key < b.key; });
  std::vector<DbParameters> calls;
  calls.reserve(uses.size());
  for (const VectorUse& use : uses) {
    calls.push_back({BytesOf(use.key), static_cast<std::int64_t>(use.hits), use.last_used});
  }
  ASSIGN_OR_RETURN(DbTransaction transaction, DbTransaction::Begin(*connection_));
  RETURN_IF_ERROR(connection_->ExecuteEach(kUse, calls));
  return transaction.Commit();
}

Result<std::uint64_t> VectorTable::Remove(std::vector<VectorKey> keys) {
  std::sort(keys.begin(), keys.end());
  std::vector<DbParameters> calls;
  calls.reserve(keys.size());
  for (const VectorKey& key : keys) calls.push_back({BytesOf(key)});
  ASSIGN_OR_RETURN(DbTransaction transaction, DbTransaction::Begin(*connection_));
  ASSIGN_OR_RETURN(const std::vector<DbResult> results, connection_->ExecuteEach(kRemove, calls));
  RETURN_IF_ERROR(transaction.Commit());
  std::uint64_t removed = 0;
  for (const DbResult& result : results) removed += static_cast<std::uint64_t>(result.changed);
  return removed;
}

Result<VectorTotals> VectorTable::Totals() {
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kTotals, {}));
  if (result.rows.empty()) return Fail(Code::kDataLoss, "expected a row of totals, got none");
  VectorTotals totals;
  ASSIGN_OR_RETURN(totals.entries, CountAt(result.rows[0], 0));
  ASSIGN_OR_RETURN(totals.bytes, CountAt(result.rows[0], 1));
  return totals;
}

Result<std::uint64_t> VectorTable::Shrink(std::uint64_t bytes) {
  ASSIGN_OR_RETURN(const VectorTotals totals, Totals());
  std::uint64_t left = totals.bytes, removed = 0;
  while (left > bytes) {
    ASSIGN_OR_RETURN(const DbResult oldest, connection_->Execute(kOldest, {}));
    std::vector<VectorKey> keys;
    for (const DbRow& row : oldest.rows) {
      if (left <= bytes) break;
      ASSIGN_OR_RETURN(keys.emplace_back(), KeyAt(row, 0));
      ASSIGN_OR_RETURN(const std::uint64_t size, CountAt(row, 1));
      left -= std::min(left, size);
    }
    ASSIGN_OR_RETURN(const std::uint64_t gone, Remove(std::move(keys)));
    // Another process was first, or the file is damaged: no reason to go on for ever.
    if (gone == 0) break;
    removed += gone;
  }
  return removed;
}

Result<std::uint64_t> VectorTable::RemoveExpired(UnixMs now) {
  const DbParameters until = {now};
  std::uint64_t removed = 0;
  while (true) {
    ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kRemoveExpired, until));
    removed += static_cast<std::uint64_t>(result.changed);
    if (result.changed == 0) return removed;
  }
}

Result<std::uint64_t> VectorTable::RemoveModel(const std::string& model) {
  const DbParameters which = {std::string_view(model)};
  ASSIGN_OR_RETURN(const DbResult result,
                   connection_->Execute("DELETE FROM garrison_vectors WHERE model = $1", which));
  return static_cast<std::uint64_t>(result.changed);
}

Result<std::vector<VectorModelStats>> VectorTable::Models() {
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kModels, {}));
  std::vector<VectorModelStats> models;
  for (const DbRow& row : result.rows) {
    VectorModelStats& stats = models.emplace_back();
    ASSIGN_OR_RETURN(stats.model, TextAt(row, 0));
    ASSIGN_OR_RETURN(stats.totals.entries, CountAt(row, 1));
    ASSIGN_OR_RETURN(stats.totals.bytes, CountAt(row, 2));
    ASSIGN_OR_RETURN(stats.hits, CountAt(row, 3));
    ASSIGN_OR_RETURN(stats.saved_tokens, CountAt(row, 4));
    ASSIGN_OR_RETURN(stats.oldest, IntegerAt(row, 5));
    ASSIGN_OR_RETURN(stats.last_used, IntegerAt(row, 6));
  }
  return models;
}

Result<RowPage> VectorTable::ReadPage(const std::optional<VectorKey>& after, std::size_t most) {
  const DbParameters from = {after ? BytesOf(*after) : std::span<const std::byte>(),
                             static_cast<std::int64_t>(most)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kPage, from));
  RowPage page;
  for (const DbRow& row : result.rows) {
    ASSIGN_OR_RETURN(const VectorKey key, KeyAt(row, 0));
    const std::optional<VectorKey>& before = page.last ? page.last : after;
    if (before && key <= *before) {
      return Fail(Code::kDataLoss, "expected keys in ascending order; the database is damaged");
    }
    page.last = key;
    if (Result<VectorRow> read = ReadRow(row)) {
      page.rows.push_back(*std::move(read));
    } else {
      page.damaged.push_back(key);
    }
  }
  return page;
}

Result<> VectorTable::Compact() {
  if (connection_->kind() != DbKind::kSqlite) return {};
  return connection_->ExecuteScript("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace garrison
