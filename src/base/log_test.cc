#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace garrison {
namespace {

TEST(Log, WritesOneLinePerCallWithControlCharactersEscaped) {
  testing::internal::CaptureStderr();
  MakeStderrLogger(LogLevel::kInfo)->Warning("path {}", "a\nb\x1b[31m");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("Z warning path a\\x0ab\\x1b[31m\n"), std::string::npos) << text;
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  testing::internal::CaptureStderr();
  const auto logger = MakeStderrLogger(LogLevel::kWarning);
  logger->Info("quiet");
  EXPECT_FALSE(logger->Enabled(LogLevel::kInfo));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace garrison
