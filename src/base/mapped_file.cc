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
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
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
bool WriteAll(int fd, std::span<const std::string_view> parts) {
  for (std::string_view part : parts) {
    while (!part.empty()) {
      const ssize_t wrote = write(fd, part.data(), part.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return false;
      part.remove_prefix(static_cast<std::size_t>(wrote));
    }
  }
  return true;
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path, std::uint64_t max_bytes) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused below.
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return SystemFailure(path, "open it");
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return SystemFailure(path, "read its size");
  if (!S_ISREG(status.st_mode)) {
    return FailAt(path.string(), Code::kFailedPrecondition, "expected a regular file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > max_bytes) return TooLarge(path, max_bytes);
  if (size == 0) return MappedFile({}, fd.Release());
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) return SystemFailure(path, "map it");
  return MappedFile({static_cast<const std::byte*>(address), size}, fd.Release());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), fd_(std::exchange(other.fd_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(fd_, other.fd_);
  return *this;
}

void MappedFile::DropPages() const {
  if (bytes_.empty()) return;
  madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

Result<> MappedFile::Read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return Fail(
          Code::kDataLoss, "expected {} more bytes at {}: {}", out.size(), offset,
          got == 0 ? "the file has become shorter" : std::generic_category().message(errno));
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<std::string> ReadTextFile(const std::filesystem::path& path, std::uint64_t max_bytes) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input", max_bytes);
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemFailure(path, "open it");
  return ReadAll(fd.get(), path, max_bytes);
}

Result<> WriteFileAtomically(const std::filesystem::path& path, std::string_view content) {
  return WriteFileAtomically(path, std::span(&content, 1));
}

Result<> WriteFileAtomically(const std::filesystem::path& path,
                             std::span<const std::string_view> parts) {
  std::error_code ignored;
  const bool exists = std::filesystem::exists(path, ignored);
  if (exists && !std::filesystem::is_regular_file(path, ignored)) {
    const FileDescriptor fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0 || !WriteAll(fd.get(), parts)) return SystemFailure(path, "write it");
    return {};
  }
  // A link stays a link: what it points to is replaced.
  const std::filesystem::path target = exists ? std::filesystem::canonical(path, ignored) : path;
  const std::filesystem::path temporary =
      target.string() + fmt::format(".{}.partial", static_cast<long>(getpid()));
  const FileDescriptor fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) return SystemFailure(path, "write it");
  if (!WriteAll(fd.get(), parts) || fsync(fd.get()) != 0 ||
      rename(temporary.c_str(), target.c_str()) != 0) {
    auto failure = SystemFailure(path, "write it");
    unlink(temporary.c_str());
    return failure;
  }
  return {};
}

}  // namespace garrison
