#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace garrison {
namespace {

tl::unexpected<Error> SystemFailure(const std::string& path, const char* action) {
  const int error = errno;
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM || error == EROFS) code = Code::kPermissionDenied;
  return FailAt(path, code, "cannot {}: {}", action, std::generic_category().message(error));
}

}  // namespace

OutputFile::OutputFile(std::string path, int fd, bool is_regular, std::uint64_t size)
    : path_(std::move(path)), fd_(fd), is_regular_(is_regular), size_(size) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      is_regular_(other.is_regular_),
      size_(other.size_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(is_regular_, other.is_regular_);
  std::swap(size_, other.size_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) close(fd_);
}

Result<OutputFile> OutputFile::Create(const std::string& path, Readers readers) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                      readers == Readers::kOwner ? 0600 : 0644);
  if (fd < 0) return SystemFailure(path, "write it");
  struct stat status{};
  const bool is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  return OutputFile(path, fd, is_regular, 0);
}

Result<OutputFile> OutputFile::Continue(const std::string& path, std::uint64_t size) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return SystemFailure(path, "continue it");
  OutputFile file(path, fd, true, size);
  struct stat status{};
  if (fstat(fd, &status) != 0) return SystemFailure(path, "read its size");
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) < size) {
    return FailAt(path, Code::kDataLoss,
                  "expected a file of at least {} bytes, got {}; it was changed since, so start "
                  "over without --resume",
                  size, status.st_size);
  }
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) return SystemFailure(path, "shorten it");
  return file;
}

Result<> OutputFile::WriteAt(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = is_regular_
                              ? pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset))
                              : write(fd_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return SystemFailure(path_, "write it");
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return {};
}

Result<> OutputFile::Append(std::string_view bytes) {
  RETURN_IF_ERROR(WriteAt(size_, bytes));
  size_ += bytes.size();
  return {};
}

Result<> OutputFile::Overwrite(std::uint64_t offset, std::string_view bytes) {
  return WriteAt(offset, bytes);
}

Result<> OutputFile::Sync() {
  if (!is_regular_ || fdatasync(fd_) == 0) return {};
  return SystemFailure(path_, "write it to the disk");
}

}  // namespace garrison
