#include "db/database.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <limits>
#include <thread>

#include "db/test_databases.h"

namespace garrison {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

class Database : public DatabaseTest {
 protected:
  std::unique_ptr<DbConnection> Open(const DbOptions& options = {}) const {
    Result<std::unique_ptr<DbConnection>> opened = OpenDatabase(place_, options);
    EXPECT_TRUE(opened) << opened.error().ToString();
    return *std::move(opened);
  }
  static std::int64_t Count(DbConnection& connection) {
    return IntegerAt(connection.Execute("SELECT count(*) FROM t", {}).value().rows[0], 0).value();
  }
  bool postgres() const { return GetParam() == DbKind::kPostgres; }
  std::string blob() const { return postgres() ? "BYTEA" : "BLOB"; }
};
GARRISON_BOTH_DATABASES(Database);

TEST_P(Database, EveryValueComesBackAsItWas) {
  const auto connection = Open();
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT, d DOUBLE PRECISION, s TEXT, b " +
                                        blob() + ")"));
  const bool held = rc::check([&](std::int64_t integer, double real) {
    const auto text = *rc::gen::string<std::string>();
    std::string ascii;
    for (const char c : text) ascii += static_cast<char>(c & 0x7f);
    std::erase(ascii, '\0');
    const DbParameters in = {integer, real, std::string_view(ascii), Bytes(text)};
    RC_ASSERT(connection->Execute("DELETE FROM t", {}).has_value());
    RC_ASSERT(connection->Execute("INSERT INTO t VALUES ($1, $2, $3, $4)", in).value().changed ==
              1);
    const DbResult out = connection->Execute("SELECT i, d, s, b FROM t", {}).value();
    RC_ASSERT(out.rows.size() == 1U);
    RC_ASSERT(IntegerAt(out.rows[0], 0).value() == integer);
    RC_ASSERT(std::get<double>(out.rows[0][1]) == real);
    RC_ASSERT(TextAt(out.rows[0], 2).value() == ascii);
    const auto bytes = BytesAt(out.rows[0], 3).value();
    RC_ASSERT(std::equal(bytes.begin(), bytes.end(), Bytes(text).begin(), Bytes(text).end()));
  });
  EXPECT_TRUE(held);
}

TEST_P(Database, NothingIsNothingAndNotOfAnotherType) {
  const auto connection = Open();
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT, s TEXT)"));
  const DbParameters in = {std::monostate(), std::string_view("x")};
  ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES ($1, $2)", in));
  const DbRow row = connection->Execute("SELECT i, s FROM t", {}).value().rows[0];
  EXPECT_TRUE(std::holds_alternative<std::monostate>(row[0]));
  EXPECT_EQ(IntegerAt(row, 0).error().code, Code::kDataLoss);
  EXPECT_EQ(IntegerAt(row, 1).error().code, Code::kDataLoss);
  EXPECT_EQ(IntegerAt(row, 9).error().code, Code::kDataLoss);
}

TEST_P(Database, OneStatementForManyParametersGivesTheirResultsInOrder) {
  const auto connection = Open();
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT PRIMARY KEY, s TEXT)"));
  std::vector<DbParameters> calls;
  const std::string long_text(2000, 'x');  // more than the sockets hold together
  for (std::int64_t i = 0; i < 3000; ++i) calls.push_back({i, std::string_view(long_text)});
  const auto written = connection->ExecuteEach("INSERT INTO t VALUES ($1, $2)", calls).value();
  ASSERT_EQ(written.size(), calls.size());
  std::vector<DbParameters> asked;
  for (std::int64_t i = 2999; i >= -1; --i) asked.push_back({i});
  const auto read = connection->ExecuteEach("SELECT i, s FROM t WHERE i = $1", asked).value();
  ASSERT_EQ(read.size(), 3001U);
  for (std::int64_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(IntegerAt(read[static_cast<std::size_t>(2999 - i)].rows[0], 0).value(), i);
  }
  EXPECT_TRUE(read.back().rows.empty());
}

TEST_P(Database, TheFirstErrorOfManyIsToldAndTheConnectionGoesOn) {
  const auto connection = Open();
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT PRIMARY KEY)"));
  const std::vector<DbParameters> calls = {{std::int64_t{1}}, {std::int64_t{1}}, {std::int64_t{2}}};
  EXPECT_EQ(connection->ExecuteEach("INSERT INTO t VALUES ($1)", calls).error().code,
            Code::kAlreadyExists);
  EXPECT_TRUE(connection->usable());
  EXPECT_TRUE(connection->Execute("SELECT 1", {}));
  EXPECT_EQ(connection->Execute("SELEKT 1", {}).error().code, Code::kInternal);
  EXPECT_TRUE(connection->Execute("SELECT 1", {}));
}

TEST_P(Database, ATransactionIsWholeOrNothing) {
  const auto connection = Open();
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT PRIMARY KEY)"));
  {
    DbTransaction dropped = DbTransaction::Begin(*connection).value();
    ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES (1)", {}));
  }
  EXPECT_EQ(Count(*connection), 0);
  {
    DbTransaction failed = DbTransaction::Begin(*connection).value();
    ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES (1)", {}));
    ASSERT_FALSE(connection->Execute("INSERT INTO t VALUES (1)", {}));
  }
  EXPECT_EQ(Count(*connection), 0);
  DbTransaction kept = DbTransaction::Begin(*connection).value();
  ASSERT_TRUE(connection->Execute("INSERT INTO t VALUES (1)", {}));
  EXPECT_TRUE(kept.Commit());
  EXPECT_EQ(Count(*Open()), 1);
}

TEST_P(Database, AConditionalUpdateNeverOvershootsWhoeverComesFirst) {
  // What the ledger will do: reserve from a budget, from several connections at once.
  ASSERT_TRUE(Open()->ExecuteScript("CREATE TABLE t (i BIGINT); INSERT INTO t VALUES (100)"));
  std::atomic<int> reserved = 0, refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int n = 0; n < 4; ++n) {
      threads.emplace_back([&] {
        const auto connection = Open({.durable = true, .lock_time = std::chrono::seconds(20)});
        for (int k = 0; k < 20; ++k) {
          DbTransaction transaction = DbTransaction::Begin(*connection).value();
          const DbParameters amount = {std::int64_t{3}};
          const DbResult row =
              connection->Execute("UPDATE t SET i = i - $1 WHERE i >= $1 RETURNING i", amount)
                  .value();
          ASSERT_TRUE(transaction.Commit());
          ++(row.rows.empty() ? refused : reserved);
        }
      });
    }
  }
  EXPECT_EQ(reserved, 33);
  EXPECT_EQ(refused, 47);
  EXPECT_EQ(IntegerAt(Open()->Execute("SELECT i FROM t", {}).value().rows[0], 0).value(), 1);
}

TEST_P(Database, MigrationsRunOnceInOrderAndSeveralMayTryAtOnce) {
  constexpr std::array kSteps = {
      DbMigration{"CREATE TABLE t (i BIGINT)", "CREATE TABLE t (i BIGINT)"},
      DbMigration{"INSERT INTO t VALUES (7)", "INSERT INTO t VALUES (7)"}};
  ASSERT_TRUE(Migrate(*Open(), "test", std::span(kSteps).first(1)));
  std::vector<std::unique_ptr<DbConnection>> connections;
  for (int n = 0; n < 4; ++n) connections.push_back(Open({.lock_time = std::chrono::seconds(20)}));
  {
    std::vector<std::jthread> threads;
    for (const auto& connection : connections) {
      threads.emplace_back([&] { EXPECT_TRUE(Migrate(*connection, "test", kSteps)); });
    }
  }
  EXPECT_EQ(Count(*connections[0]), 1);
  const Result<> older = Migrate(*connections[0], "test", std::span(kSteps).first(1));
  EXPECT_EQ(older.error().code, Code::kFailedPrecondition);
  EXPECT_NE(older.error().message.find("newer"), std::string::npos);
}

TEST_P(Database, AMigrationThatFailsLeavesNothing) {
  constexpr std::array kSteps = {
      DbMigration{"CREATE TABLE t (i BIGINT)", "CREATE TABLE t (i BIGINT)"},
      DbMigration{"INSERT INTO u VALUES (7)", "INSERT INTO u VALUES (7)"}};
  const auto connection = Open();
  EXPECT_FALSE(Migrate(*connection, "test", kSteps));
  EXPECT_FALSE(connection->Execute("SELECT * FROM t", {}));
  EXPECT_TRUE(Migrate(*connection, "test", std::span(kSteps).first(1)));
}

TEST_P(Database, AStatementThatTakesTooLongIsStopped) {
  const auto connection = Open({.statement_time = std::chrono::milliseconds(200)});
  const auto begin = std::chrono::steady_clock::now();
  const Result<DbResult> result = connection->Execute(
      postgres() ? "SELECT CAST(pg_sleep(30) AS TEXT)"
                 : "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "
                   "count(*) FROM n",
      {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_TRUE(connection->Execute("SELECT 1", {}));
}

TEST_P(Database, WhoOnlyReadsCannotWrite) {
  ASSERT_TRUE(Open()->ExecuteScript("CREATE TABLE t (i BIGINT)"));
  const auto reader = Open({.read_only = true});
  EXPECT_EQ(Count(*reader), 0);
  EXPECT_EQ(reader->Execute("INSERT INTO t VALUES (1)", {}).error().code, Code::kPermissionDenied);
}

class Sqlite : public testing::Test {
 protected:
  Sqlite() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "garrison-db-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    file_ = (folder_ / "a.db").string();
  }
  ~Sqlite() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  std::string file_;
};

TEST_F(Sqlite, OneThatIsLockedIsWaitedForAndThenUnavailable) {
  const auto first = OpenSqlite(file_, {}).value();
  ASSERT_TRUE(first->ExecuteScript("CREATE TABLE t (i BIGINT)"));
  const auto second = OpenSqlite(file_, {.lock_time = std::chrono::milliseconds(50)}).value();
  DbTransaction held = DbTransaction::Begin(*first).value();
  EXPECT_EQ(DbTransaction::Begin(*second).error().code, Code::kUnavailable);
  EXPECT_TRUE(second->Execute("SELECT * FROM t", {})) << "readers do not wait for a writer";
  ASSERT_TRUE(held.Commit());
  EXPECT_TRUE(DbTransaction::Begin(*second));
}

TEST_F(Sqlite, WhatIsNoDatabaseIsDataLossAndStaysAsItWas) {
  std::ofstream(file_) << std::string(5000, 'x');
  const auto opened = OpenSqlite(file_, {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kDataLoss);
  EXPECT_EQ(opened.error().where, file_);
  EXPECT_EQ(std::filesystem::file_size(file_), 5000U);
  EXPECT_EQ(OpenSqlite((folder_ / "no" / "a.db").string(), {}).error().code, Code::kUnavailable);
}

TEST_F(Sqlite, AFileThatIsDeletedUnderneathIsNoticedAndItsOwnerAloneMayRead) {
  const auto connection = OpenSqlite(file_, {}).value();
  EXPECT_EQ(std::filesystem::status(file_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (i BIGINT)"));
  std::filesystem::remove(file_);
  EXPECT_EQ(connection->Execute("SELECT * FROM t", {}).error().code, Code::kUnavailable);
  EXPECT_FALSE(connection->usable());
}

// The other process of the next test.
TEST_F(Sqlite, DISABLED_ReadsAndGoes) {
  const char* const file = getenv("GARRISON_TEST_DATABASE");
  ASSERT_NE(file, nullptr);
  const auto connection = OpenSqlite(file, {}).value();
  EXPECT_TRUE(connection->Execute("SELECT i FROM t", {}));
}

TEST_F(Sqlite, AnotherProcessThatComesAndGoesTakesNothingAwayFromThisOnesConnections) {
  const auto first = OpenSqlite(file_, {}).value();
  ASSERT_TRUE(first->ExecuteScript("CREATE TABLE t (i BIGINT)"));
  const auto second = OpenSqlite(file_, {}).value();
  ASSERT_TRUE(second->ExecuteScript("INSERT INTO t VALUES (1)"));
  const pid_t child = fork();
  if (child == 0) {
    // A new program: after fork() alone SQLite would believe our connections to be its own.
    setenv("GARRISON_TEST_DATABASE", file_.c_str(), 1);
    execl("/proc/self/exe", "db_test", "--gtest_also_run_disabled_tests",
          "--gtest_filter=Sqlite.DISABLED_ReadsAndGoes", nullptr);
    _exit(1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  // Had it believed to be the last one, it would have removed what we still write to.
  EXPECT_TRUE(std::filesystem::exists(file_ + "-wal"));
  ASSERT_TRUE(first->ExecuteScript("INSERT INTO t VALUES (2)"));
  const auto third = OpenSqlite(file_, {}).value();
  EXPECT_EQ(third->Execute("SELECT i FROM t", {}).value().rows.size(), 2U);
}

TEST(Postgres, UrlsThatCannotBeUsedAreRefusedWithoutTheirPassword) {
  if (SharedPostgres() == nullptr) GTEST_SKIP() << "PostgreSQL 15 is not installed";
  const int port = SharedPostgres()->port();
  for (const auto& [url, code] : std::initializer_list<std::pair<std::string, Code>>{
           {"postgres://u:hunter2@h:port/x?nonsense=hunter2", Code::kInvalidArgument},
           {fmt::format("postgres://garrison:hunter2@127.0.0.1:{}/nothere", port),
            Code::kUnavailable},
           {"postgres://garrison:hunter2@127.0.0.1:1/postgres", Code::kUnavailable}}) {
    const auto opened = OpenDatabase(url, {.connect_time = std::chrono::milliseconds(2000)});
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().code, code) << opened.error().ToString();
    EXPECT_EQ(opened.error().ToString().find("hunter2"), std::string::npos);
  }
}

TEST(Postgres, AConnectionThatIsLostSaysSo) {
  if (SharedPostgres() == nullptr) GTEST_SKIP() << "PostgreSQL 15 is not installed";
  const auto connection = OpenDatabase(SharedPostgres()->url(), {}).value();
  const auto other = OpenDatabase(SharedPostgres()->url(), {}).value();
  ASSERT_TRUE(
      other->ExecuteScript("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                           "pid <> pg_backend_pid() AND application_name = 'garrison'"));
  const Result<DbResult> lost = connection->Execute("SELECT 1", {});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Code::kUnavailable) << lost.error().ToString();
  EXPECT_FALSE(connection->usable());
}

}  // namespace
}  // namespace garrison
