#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace garrison {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    default:
      return Code::kUnavailable;
  }
}

tl::unexpected<Error> SystemFailure(const std::filesystem::path& path, const char* action) {
  const int error = errno;
  return FailAt(path.string(), CodeOf(error), "cannot {}: {}", action,
                std::generic_category().message(error));
}

tl::unexpected<Error> TooLarge(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return FailAt(path.string(), Code::kResourceExhausted,
                "the file is larger than the {} bytes that are allowed here", max_bytes);
}

Result<std::string> ReadAll(int fd, const std::filesystem::path& name, std::uint64_t max_bytes) {
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0) {
      if (errno == EINTR) continue;
      return SystemFailure(name, "read it");
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > max_bytes) return TooLarge(name, max_bytes);
  }
}

// False with errno set when the bytes could not all be written.
bool WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t wrote = write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path, std::uint64_t max_bytes) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused below.
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return SystemFailure(path, "open it");
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return SystemFailure(path, "read its size");
  if (!S_ISREG(status.st_mode)) {
    return FailAt(path.string(), Code::kFailedPrecondition, "expected a regular file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > max_bytes) return TooLarge(path, max_bytes);
  if (size == 0) return MappedFile({});
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) return SystemFailure(path, "map it");
  return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> ReadTextFile(const std::filesystem::path& path, std::uint64_t max_bytes) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input", max_bytes);
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemFailure(path, "open it");
  return ReadAll(fd.get(), path, max_bytes);
}

Result<> WriteFileAtomically(const std::filesystem::path& path, std::string_view content) {
  std::error_code ignored;
  const bool exists = std::filesystem::exists(path, ignored);
  if (exists && !std::filesystem::is_regular_file(path, ignored)) {
    const FileDescriptor fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0 || !WriteAll(fd.get(), content)) return SystemFailure(path, "write it");
    return {};
  }
  // A link stays a link: what it points to is replaced.
  const std::filesystem::path target = exists ? std::filesystem::canonical(path, ignored) : path;
  const std::filesystem::path temporary =
      target.string() + fmt::format(".{}.partial", static_cast<long>(getpid()));
  const FileDescriptor fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) return SystemFailure(path, "write it");
  if (!WriteAll(fd.get(), content) || fsync(fd.get()) != 0 ||
      rename(temporary.c_str(), target.c_str()) != 0) {
    auto failure = SystemFailure(path, "write it");
    unlink(temporary.c_str());
    return failure;
  }
  return {};
}

}  // namespace garrison
