#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <string>

namespace garrison {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

std::string EscapeControls(std::string_view line) {
  std::string out;
  out.reserve(line.size());
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

class SpdlogLogger final : public Logger {
 public:
  explicit SpdlogLogger(LogLevel level)
      : logger_("garrison", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    SetLevel(level);
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc);
    logger_.flush_on(spdlog::level::debug);
  }

  bool Enabled(LogLevel level) const override { return logger_.should_log(ToSpdlog(level)); }
  void SetLevel(LogLevel level) final { logger_.set_level(ToSpdlog(level)); }
  void Write(LogLevel level, std::string_view line) override {
    logger_.log(ToSpdlog(level), "{}", EscapeControls(line));
  }

 private:
  spdlog::logger logger_;
};

class NullLogger final : public Logger {
 public:
  bool Enabled(LogLevel) const override { return false; }
  void SetLevel(LogLevel) override {}
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace

std::unique_ptr<Logger> MakeStderrLogger(LogLevel level) {
  return std::make_unique<SpdlogLogger>(level);
}
std::unique_ptr<Logger> MakeNullLogger() { return std::make_unique<NullLogger>(); }

}  // namespace garrison
