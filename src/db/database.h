// SQLite and PostgreSQL behind one small interface: statements with parameters, transactions,
// migrations.
//
// Statements are written in what both understand: parameters $1, $2, ... and types BIGINT, DOUBLE
// PRECISION, TEXT; bytes are BLOB in one and BYTEA in the other. Sums of integers are cast to
// BIGINT, because PostgreSQL gives them another type.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace garrison {

// Texts and bytes must stay where they are until the call returns.
using DbParameter = std::variant<std::monostate, std::int64_t, double, std::string_view,
                                 std::span<const std::byte>>;
using DbParameters = std::vector<DbParameter>;
using DbValue =
    std::variant<std::monostate, std::int64_t, double, std::string, std::vector<std::byte>>;
using DbRow = std::vector<DbValue>;

struct DbResult {
  std::vector<DbRow> rows;
  // Rows that were inserted, changed or deleted.
  std::int64_t changed = 0;
};

// The column of a row in the type it was declared with. DATA_LOSS for another one: SQLite keeps no
// promise about types when its file was damaged.
Result<std::int64_t> IntegerAt(const DbRow& row, std::size_t column);
Result<std::string> TextAt(const DbRow& row, std::size_t column);
Result<std::vector<std::byte>> BytesAt(const DbRow& row, std::size_t column);

struct DbOptions {
  // A commit survives a power cut. Without it the last moments may be lost; the rest is never
  // damaged.
  bool durable = false;
  // Nothing is written, and a file that is not there is an error.
  bool read_only = false;
  // How long another process may hold what we need.
  std::chrono::milliseconds lock_time{2'000};
  // How long a statement may run; zero: as long as it takes.
  std::chrono::milliseconds statement_time{10'000};
  // PostgreSQL only.
  std::chrono::milliseconds connect_time{3'000};
};

enum class DbKind { kSqlite, kPostgres };

// One connection. For one thread at a time; may wander between threads.
//
// Errors: UNAVAILABLE (away, locked, no file), DEADLINE_EXCEEDED (took longer than the options
// allow), RESOURCE_EXHAUSTED (disk full), PERMISSION_DENIED (read-only, wrong password), DATA_LOSS
// (the file is damaged, or no database), ABORTED (lost against another transaction: do it again),
// ALREADY_EXISTS (a unique key is taken), NOT_FOUND (no such database), INTERNAL (a wrong
// statement). Messages name the database, never its password and no values.
class DbConnection {
 public:
  virtual ~DbConnection() = default;
  virtual DbKind kind() const = 0;

  virtual Result<DbResult> Execute(std::string_view sql,
                                   std::span<const DbParameter> parameters) = 0;
  // The statement once for every list of parameters, in one round trip. The first error ends it;
  // outside of a transaction what came before may or may not have been done.
  virtual Result<std::vector<DbResult>> ExecuteEach(std::string_view sql,
                                                    std::span<const DbParameters> calls) = 0;
  // Several statements without parameters, separated by semicolons.
  virtual Result<> ExecuteScript(std::string_view sql) = 0;

  // False once the connection is lost, or leads to a file that has been moved away: open another.
  virtual bool usable() const = 0;

 private:
  friend class DbTransaction;
  virtual Result<> Begin() = 0;
  virtual Result<> Commit() = 0;
  virtual void Rollback() = 0;
};

// Undone when it is destroyed without a commit. On SQLite it is the only writer from the beginning,
// so that it never has to be done again; on PostgreSQL it reads what is committed at each
// statement.
class DbTransaction {
 public:
  static Result<DbTransaction> Begin(DbConnection& connection);
  DbTransaction(DbTransaction&& other) noexcept;
  DbTransaction& operator=(DbTransaction&& other) = delete;
  ~DbTransaction();

  // After an error nothing of it was done, unless the connection was lost: then it is unknown.
  Result<> Commit();

 private:
  explicit DbTransaction(DbConnection& connection) : connection_(&connection) {}
  DbConnection* connection_;  // null: over
};

// The file is made if it is not there, readable by its owner alone; its folder must be there.
Result<std::unique_ptr<DbConnection>> OpenSqlite(const std::string& file, const DbOptions& options);
// `url`: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Needs PostgreSQL's client library (libpq) on
// the machine: FAILED_PRECONDITION without it.
Result<std::unique_ptr<DbConnection>> OpenPostgres(const std::string& url,
                                                   const DbOptions& options);
// By what `place` looks like: a postgres:// URL, or a file.
Result<std::unique_ptr<DbConnection>> OpenDatabase(const std::string& place,
                                                   const DbOptions& options);

// One step of a module's tables from one version to the next: a script for each database.
struct DbMigration {
  std::string_view sqlite;
  std::string_view postgres;
};

// Brings the tables of `module` to the version after the last of `steps`, in one transaction; the
// version is kept in the table garrison_schema. Several processes may do it at once.
// FAILED_PRECONDITION when a newer Garrison has been there.
Result<> Migrate(DbConnection& connection, std::string_view module,
                 std::span<const DbMigration> steps);

}  // namespace garrison
