#include "server/access_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace garrison {
namespace {

std::string ReadAll(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST(AccessLog, AppendsLinesAndFollowsRotation) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "garrison_access_log_test.jsonl";
  const std::filesystem::path rotated = file.string() + ".1";
  std::filesystem::remove(file);
  const auto log = AccessLog::Open(file.string()).value();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) log->Write({{"text", "with a\nline break"}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::filesystem::rename(file, rotated);
  ASSERT_TRUE(log->Reopen());
  log->Write({{"status", 200}});
  EXPECT_EQ(ReadAll(file), "{\"status\":200}\n");
  std::istringstream lines(ReadAll(rotated));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(line, R"({"text":"with a\nline break"})");
  }
  EXPECT_EQ(count, 400);
  EXPECT_EQ(log->lost(), 0U);
  std::filesystem::remove(file);
  std::filesystem::remove(rotated);
}

TEST(AccessLog, SaysWhatCannotBeOpened) {
  const auto log = AccessLog::Open("/no/such/folder/access.jsonl");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, Code::kNotFound);
  EXPECT_EQ(log.error().where, "log.access_file");
}

TEST(AccessLog, CountsLinesThatAFullDiskTook) {
  const auto log = AccessLog::Open("/dev/full").value();
  log->Write({{"status", 200}});
  EXPECT_EQ(log->lost(), 1U);
}

}  // namespace
}  // namespace garrison
