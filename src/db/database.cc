#include "db/database.h"

#include <utility>

namespace garrison {
namespace {

constexpr std::string_view kVersions =
    "CREATE TABLE IF NOT EXISTS garrison_schema"
    " (module TEXT PRIMARY KEY, version BIGINT NOT NULL)";
// Any number, the same for every Garrison: two that create the same table at once would fail.
constexpr std::string_view kOneAtATime = "SELECT pg_advisory_xact_lock(5228113379407253871)";

Result<std::int64_t> ReadVersion(DbConnection& connection, std::string_view module) {
  const DbParameters which = {module};
  ASSIGN_OR_RETURN(
      const DbResult found,
      connection.Execute("SELECT version FROM garrison_schema WHERE module = $1", which));
  if (found.rows.empty()) return 0;
  return IntegerAt(found.rows[0], 0);
}

template <typename T>
Result<T> ValueAt(const DbRow& row, std::size_t column, std::string_view expected) {
  if (column < row.size()) {
    if (const T* value = std::get_if<T>(&row[column])) return *value;
  }
  return Fail(Code::kDataLoss, "expected {} in column {} of a row; the database is damaged",
              expected, column + 1);
}

}  // namespace

Result<std::int64_t> IntegerAt(const DbRow& row, std::size_t column) {
  return ValueAt<std::int64_t>(row, column, "a whole number");
}

Result<std::string> TextAt(const DbRow& row, std::size_t column) {
  return ValueAt<std::string>(row, column, "a text");
}

Result<std::vector<std::byte>> BytesAt(const DbRow& row, std::size_t column) {
  return ValueAt<std::vector<std::byte>>(row, column, "bytes");
}

Result<DbTransaction> DbTransaction::Begin(DbConnection& connection) {
  RETURN_IF_ERROR(connection.Begin());
  return DbTransaction(connection);
}

DbTransaction::DbTransaction(DbTransaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

DbTransaction::~DbTransaction() {
  if (connection_ != nullptr) connection_->Rollback();
}

Result<> DbTransaction::Commit() {
  Result<> done = connection_->Commit();
  if (done) connection_ = nullptr;
  return done;
}

Result<std::unique_ptr<DbConnection>> OpenDatabase(const std::string& place,
                                                   const DbOptions& options) {
  if (place.starts_with("postgres://") || place.starts_with("postgresql://")) {
    return OpenPostgres(place, options);
  }
  return OpenSqlite(place, options);
}

Result<> Migrate(DbConnection& connection, std::string_view module,
                 std::span<const DbMigration> steps) {
  const auto newest = static_cast<std::int64_t>(steps.size());
  // Mostly there is nothing to do, and nobody to wait for.
  if (const Result<std::int64_t> known = ReadVersion(connection, module);
      known && *known == newest) {
    return {};
  }
  ASSIGN_OR_RETURN(DbTransaction transaction, DbTransaction::Begin(connection));
  const bool postgres = connection.kind() == DbKind::kPostgres;
  if (postgres) RETURN_IF_ERROR(connection.ExecuteScript(kOneAtATime));
  RETURN_IF_ERROR(connection.ExecuteScript(kVersions));
  ASSIGN_OR_RETURN(const std::int64_t version, ReadVersion(connection, module));
  if (version < 0 || version > newest) {
    return Fail(
        Code::kFailedPrecondition,
        "its tables of \"{}\" have version {}, this program knows {}: a newer Garrison made "
        "them; use that one, or another database",
        module, version, newest);
  }
  for (std::int64_t step = version; step < newest; ++step) {
    const DbMigration& migration = steps[static_cast<std::size_t>(step)];
    RETURN_IF_ERROR(connection.ExecuteScript(postgres ? migration.postgres : migration.sqlite));
  }
  if (version < newest) {
    const DbParameters row = {module, newest};
    RETURN_IF_ERROR(
        connection.Execute("INSERT INTO garrison_schema (module, version) VALUES ($1, $2)"
                           " ON CONFLICT (module) DO UPDATE SET version = excluded.version",
                           row));
  }
  return transaction.Commit();
}

}  // namespace garrison
