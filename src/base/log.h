// Lines for the operator, on stderr. Never text of users, never secrets.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string_view>
#include <utility>

namespace garrison {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// Thread-safe. Cheap when the level is off: arguments are not formatted.
class Logger {
 public:
  virtual ~Logger() = default;

  template <typename... Args>
  void Debug(fmt::format_string<Args...> format, Args&&... args) {
    Log(LogLevel::kDebug, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Info(fmt::format_string<Args...> format, Args&&... args) {
    Log(LogLevel::kInfo, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Warning(fmt::format_string<Args...> format, Args&&... args) {
    Log(LogLevel::kWarning, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Error(fmt::format_string<Args...> format, Args&&... args) {
    Log(LogLevel::kError, format, std::forward<Args>(args)...);
  }

  virtual bool Enabled(LogLevel level) const = 0;
  virtual void SetLevel(LogLevel level) = 0;
  // Control characters in `line` are escaped: one call is one line, whatever came from outside.
  virtual void Write(LogLevel level, std::string_view line) = 0;

 private:
  template <typename... Args>
  void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (Enabled(level)) Write(level, fmt::format(format, std::forward<Args>(args)...));
  }
};

// To stderr: "2026-11-21T10:00:00.000Z info  message".
std::unique_ptr<Logger> MakeStderrLogger(LogLevel level);
// Drops everything.
std::unique_ptr<Logger> MakeNullLogger();

}  // namespace garrison
