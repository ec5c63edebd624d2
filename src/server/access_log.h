// One JSON line for each request: who, what, how it ended and how long it took. Never its text.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace garrison {

// Thread-safe.
class AccessLog {
 public:
  // Appends to `file`; "-" is standard output. PERMISSION_DENIED or NOT_FOUND when it cannot be
  // opened.
  static Result<std::unique_ptr<AccessLog>> Open(const std::string& file);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // A whole line at once; one that cannot be written is counted, since requests come first.
  void Write(const nlohmann::ordered_json& entry);
  // Opens the file by its name again: after rotation, lines go to the new one.
  Result<> Reopen();

  std::uint64_t lost() const;

 private:
  AccessLog(std::string file, int fd) : file_(std::move(file)), fd_(fd) {}

  const std::string file_;
  mutable std::mutex mutex_;
  int fd_;  // guarded by mutex_; owned unless it is standard output
  std::uint64_t lost_ = 0;
};

}  // namespace garrison
