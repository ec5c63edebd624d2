#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace garrison {
namespace {

constexpr std::chrono::milliseconds kPause{200};
constexpr std::size_t kBar = 30;

std::string Duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(std::ostream& err, const Clock& clock, const Options& options)
    : err_(err), clock_(clock), options_(options) {}

void Progress::Update(std::size_t rows, std::uint64_t bytes) {
  if (!options_.enabled) return;
  const SteadyTime now = clock_.Now();
  if (!started_) {
    started_ = true;
    start_ = now;
    next_ = now + kPause;
    rows_before_ = rows;
    bytes_before_ = bytes;
  }
  if (now < next_) return;
  next_ = now + kPause;
  Draw(rows, bytes, now);
}

void Progress::Draw(std::size_t rows, std::uint64_t bytes, SteadyTime now) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string line = fmt::format("{} rows  {:.0f} rows/s", rows,
                                 static_cast<double>(rows - rows_before_) / seconds);
  if (options_.bytes_total > 0) {
    // The file may grow while it is read.
    const std::uint64_t read = std::min(bytes, options_.bytes_total);
    const double share = static_cast<double>(read) / static_cast<double>(options_.bytes_total);
    const auto full = static_cast<std::size_t>(share * kBar);
    line = fmt::format("[{}{}] {:3.0f} %  {}", std::string(full, '#'),
                       std::string(kBar - full, '.'), 100 * share, line);
    if (bytes > bytes_before_) {
      const double speed = static_cast<double>(bytes - bytes_before_) / seconds;
      line += "  ETA " + Duration(static_cast<double>(options_.bytes_total - read) / speed);
    }
  }
  err_ << "\r" << line << "\x1b[K" << std::flush;
  drawn_ = true;
}

void Progress::Finish() {
  if (drawn_) err_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace garrison
