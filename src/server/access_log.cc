#include "server/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/json.h"

namespace garrison {
namespace {

constexpr mode_t kMode = 0640;

Result<int> OpenToAppend(const std::string& file) {
  if (file == "-") return STDOUT_FILENO;
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kMode);
  if (fd >= 0) return fd;
  return FailAt("log.access_file", errno == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
                "cannot write {}: {}", file, std::generic_category().message(errno));
}

}  // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::Open(const std::string& file) {
  ASSIGN_OR_RETURN(const int fd, OpenToAppend(file));
  return std::unique_ptr<AccessLog>(new AccessLog(file, fd));
}

AccessLog::~AccessLog() {
  if (fd_ != STDOUT_FILENO) close(fd_);
}

void AccessLog::Write(const nlohmann::ordered_json& entry) {
  const std::string line = DumpJson(entry) + "\n";
  const std::lock_guard lock(mutex_);
  if (write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ++lost_;
}

Result<> AccessLog::Reopen() {
  ASSIGN_OR_RETURN(const int fd, OpenToAppend(file_));
  const std::lock_guard lock(mutex_);
  const int before = std::exchange(fd_, fd);
  if (before != STDOUT_FILENO) close(before);
  return {};
}

std::uint64_t AccessLog::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace garrison
