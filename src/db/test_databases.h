// For tests that hold on both databases: a parameter, and a place for each.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "db/database.h"
#include "db/test_postgres.h"

namespace garrison {

class DatabaseTest : public testing::TestWithParam<DbKind> {
 protected:
  DatabaseTest() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "garrison-db-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    if (GetParam() == DbKind::kSqlite) {
      place_ = (folder_ / "test.db").string();
      return;
    }
    TestPostgres* const postgres = SharedPostgres();
    if (postgres == nullptr) GTEST_SKIP() << "PostgreSQL 15 is not installed";
    place_ = postgres->url();
    const auto connection = OpenDatabase(place_, {}).value();
    ASSERT_TRUE(connection->ExecuteScript("DROP SCHEMA public CASCADE; CREATE SCHEMA public"));
  }

  std::filesystem::path folder_;
  std::string place_;
};

inline std::string DatabaseName(const testing::TestParamInfo<DbKind>& info) {
  return info.param == DbKind::kSqlite ? "Sqlite" : "Postgres";
}

#define GARRISON_BOTH_DATABASES(suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(Both, suite, testing::Values(DbKind::kSqlite, DbKind::kPostgres), \
                           DatabaseName)

}  // namespace garrison
