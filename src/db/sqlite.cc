#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "db/database.h"

namespace garrison {
namespace {

constexpr std::size_t kStatementsKept = 64;
constexpr int kStepsBetweenLooks = 20'000;
constexpr int kBusyPauseMs = 5;
constexpr mode_t kOwnerOnly = 0600;

Code CodeOf(int status) {
  switch (status & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
      return Code::kDataLoss;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return Code::kResourceExhausted;
    case SQLITE_CONSTRAINT:
      return status == SQLITE_CONSTRAINT_PRIMARYKEY || status == SQLITE_CONSTRAINT_UNIQUE
                 ? Code::kAlreadyExists
                 : Code::kFailedPrecondition;
    case SQLITE_INTERRUPT:
      return Code::kDeadlineExceeded;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return Code::kInternal;
    default:  // busy, locked, no file, input and output
      return Code::kUnavailable;
  }
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

int Bind(sqlite3_stmt* statement, int place, const DbParameter& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return sqlite3_bind_int64(statement, place, *integer);
  }
  if (const auto* real = std::get_if<double>(&value)) {
    return sqlite3_bind_double(statement, place, *real);
  }
  // The values outlive the statement's run, so that SQLite need not copy them.
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return sqlite3_bind_text64(statement, place, text->empty() ? "" : text->data(), text->size(),
                               SQLITE_STATIC, SQLITE_UTF8);
  }
  if (const auto* bytes = std::get_if<std::span<const std::byte>>(&value)) {
    if (bytes->empty()) return sqlite3_bind_zeroblob(statement, place, 0);
    return sqlite3_bind_blob64(statement, place, bytes->data(), bytes->size(), SQLITE_STATIC);
  }
  return sqlite3_bind_null(statement, place);
}

DbValue ColumnOf(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
      return std::string(text == nullptr ? "" : text, text == nullptr ? 0 : size);
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, column));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
      if (bytes == nullptr) return std::vector<std::byte>();
      return std::vector<std::byte>(bytes, bytes + size);
    }
    default:
      return std::monostate();
  }
}

class SqliteConnection final : public DbConnection {
 public:
  SqliteConnection(std::string file, const DbOptions& options)
      : file_(std::move(file)), options_(options) {}

  Result<> Open() {
    if (!options_.read_only) CreateForOwner();
    sqlite3* opened = nullptr;
    const int access = options_.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    const int status = sqlite3_open_v2(
        file_.c_str(), &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    database_.reset(opened);
    if (status != SQLITE_OK) return Failure(status);
    sqlite3_busy_timeout(opened, static_cast<int>(options_.lock_time.count()));
    if (options_.statement_time.count() > 0) {
      sqlite3_progress_handler(opened, kStepsBetweenLooks, &TookTooLong, this);
    }
    // What a damaged or hostile file says about its own structure is not to be trusted.
    sqlite3_db_config(opened, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    if (options_.read_only) return {};
    RETURN_IF_ERROR(WaitForWal());
    return ExecuteScript(options_.durable ? "PRAGMA synchronous=FULL"
                                          : "PRAGMA synchronous=NORMAL");
  }

  DbKind kind() const override { return DbKind::kSqlite; }
  bool usable() const override { return usable_; }

  Result<DbResult> Execute(std::string_view sql, std::span<const DbParameter> parameters) override {
    RETURN_IF_ERROR(CheckPlace());
    ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepare(sql));
    return Run(statement, parameters);
  }

  Result<std::vector<DbResult>> ExecuteEach(std::string_view sql,
                                            std::span<const DbParameters> calls) override {
    RETURN_IF_ERROR(CheckPlace());
    ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepare(sql));
    std::vector<DbResult> results;
    results.reserve(calls.size());
    for (const DbParameters& parameters : calls) {
      ASSIGN_OR_RETURN(results.emplace_back(), Run(statement, parameters));
    }
    return results;
  }

  Result<> ExecuteScript(std::string_view sql) override {
    RETURN_IF_ERROR(CheckPlace());
    StartClock();
    const int status =
        sqlite3_exec(database_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) return Failure(status);
    return {};
  }

 private:
  // SQLite would make it readable by everybody. Only a file that is new may be closed here: closing
  // any descriptor of a file takes all the locks away that this process has on it, those of its
  // other connections too (https://www.sqlite.org/howtocorrupt.html, 2.2).
  void CreateForOwner() const {
    static std::mutex creating;
    const std::lock_guard lock(creating);
    const int fd = open(file_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, kOwnerOnly);
    if (fd >= 0) close(fd);
  }

  Result<> Begin() override { return ExecuteScript("BEGIN IMMEDIATE"); }
  Result<> Commit() override { return ExecuteScript("COMMIT"); }
  void Rollback() override {
    // Some errors have rolled back already.
    if (sqlite3_get_autocommit(database_.get()) == 0) {
      sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
  }

  // Of two that open a new file at once, SQLite lets one wait for nothing and fail.
  Result<> WaitForWal() {
    const SteadyTime end = clock_.Now() + options_.lock_time;
    while (true) {
      Result<> done = ExecuteScript(
          "PRAGMA page_size=8192; PRAGMA cell_size_check=ON; PRAGMA journal_mode=WAL;"
          "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864; PRAGMA foreign_keys=ON");
      const int status = sqlite3_errcode(database_.get()) & 0xff;
      if (done || status != SQLITE_BUSY || clock_.Now() >= end) return done;
      sqlite3_sleep(kBusyPauseMs);
    }
  }

  // Whoever moves the file away or deletes it means that another begins; writing on into what has
  // no name any more would lose everything.
  Result<> CheckPlace() {
    if (sqlite3_get_autocommit(database_.get()) == 0) return {};
    int moved = 0;
    if (sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
            SQLITE_OK &&
        moved != 0) {
      usable_ = false;
      return FailAt(file_, Code::kUnavailable, "the file was moved or deleted while it was open");
    }
    return {};
  }

  Result<sqlite3_stmt*> Prepare(std::string_view sql) {
    if (const auto found = statements_.find(sql); found != statements_.end()) {
      return found->second.get();
    }
    sqlite3_stmt* prepared = nullptr;
    const int status = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    Statement owned(prepared);
    if (status != SQLITE_OK) return Failure(status);
    CHECK(prepared != nullptr);
    if (statements_.size() >= kStatementsKept) statements_.clear();
    statements_.emplace(sql, std::move(owned));
    return prepared;
  }

  Result<DbResult> Run(sqlite3_stmt* statement, std::span<const DbParameter> parameters) {
    StartClock();
    CHECK(static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) <= parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string name = "$" + std::to_string(i + 1);
      const int place = sqlite3_bind_parameter_index(statement, name.c_str());
      if (place == 0) continue;
      if (const int status = Bind(statement, place, parameters[i]); status != SQLITE_OK) {
        return End(statement, status);
      }
    }
    DbResult result;
    int status = SQLITE_ROW;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
      DbRow& row = result.rows.emplace_back();
      const int columns = sqlite3_column_count(statement);
      row.reserve(static_cast<std::size_t>(columns));
      for (int column = 0; column < columns; ++column) row.push_back(ColumnOf(statement, column));
    }
    if (status != SQLITE_DONE) return End(statement, status);
    if (sqlite3_stmt_readonly(statement) == 0) result.changed = sqlite3_changes64(database_.get());
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
  }

  tl::unexpected<Error> End(sqlite3_stmt* statement, int status) {
    auto failure = Failure(status);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return failure;
  }

  tl::unexpected<Error> Failure(int status) {
    const Code code = CodeOf(status);
    if (code == Code::kDeadlineExceeded) {
      return FailAt(file_, code, "a statement took longer than {} ms",
                    options_.statement_time.count());
    }
    const char* text =
        database_ == nullptr ? sqlite3_errstr(status) : sqlite3_errmsg(database_.get());
    return FailAt(file_, code, "SQLite: {}", text);
  }

  void StartClock() { end_ = clock_.Now() + options_.statement_time; }
  static int TookTooLong(void* self) {
    const auto& connection = *static_cast<SqliteConnection*>(self);
    return connection.clock_.Now() > connection.end_ ? 1 : 0;
  }

  const std::string file_;
  const DbOptions options_;
  const SystemClock clock_;
  SteadyTime end_;  // of the statement that runs
  bool usable_ = true;
  std::unique_ptr<sqlite3, CloseDatabase> database_;
  std::map<std::string, Statement, std::less<>> statements_;  // closed before the database
};

}  // namespace

Result<std::unique_ptr<DbConnection>> OpenSqlite(const std::string& file,
                                                 const DbOptions& options) {
  auto connection = std::make_unique<SqliteConnection>(file, options);
  RETURN_IF_ERROR(connection->Open());
  return std::unique_ptr<DbConnection>(std::move(connection));
}

}  // namespace garrison
