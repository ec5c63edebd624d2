#include "tensor/content_hash.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <vector>

#include "base/hash.h"
#include "base/mapped_file.h"

namespace garrison {
namespace {

constexpr std::size_t kMaxMemoBytes = 1 << 20;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::int64_t kTickSeconds = 2;

class File {
 public:
  explicit File(const std::filesystem::path& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

auto ReadFailure(const std::filesystem::path& path) {
  const Code code = errno == ENOENT ? Code::kNotFound
                                    : (errno == EACCES ? Code::kPermissionDenied : Code::kDataLoss);
  return FailAt(path.string(), code, "cannot read it: {}", std::generic_category().message(errno));
}

struct Stamp {
  std::string text;             // all that changes when the file does
  std::int64_t changed_at = 0;  // seconds since the epoch
};

Result<Stamp> StampOf(const std::filesystem::path& path) {
  struct stat s{};
  if (stat(path.c_str(), &s) != 0) return ReadFailure(path);
  return Stamp{
      fmt::format("{} {}:{} {} {}.{:09} {}.{:09}\n", path.string(), s.st_dev, s.st_ino, s.st_size,
                  s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec, s.st_ctim.tv_nsec),
      std::max<std::int64_t>(s.st_mtim.tv_sec, s.st_ctim.tv_sec)};
}

Result<Stamp> StampOf(std::span<const std::filesystem::path> files) {
  Stamp all;
  for (const std::filesystem::path& file : files) {
    ASSIGN_OR_RETURN(const Stamp stamp, StampOf(file));
    all.text += stamp.text;
    all.changed_at = std::max(all.changed_at, stamp.changed_at);
  }
  return all;
}

// By reads, not through a mapping: that would leave the whole file in the process's memory.
Result<> HashFile(const std::filesystem::path& path, Sha256& hash) {
  const File file(path);
  if (file.fd() < 0) return ReadFailure(path);
  std::vector<std::byte> buffer(kReadBytes);
  while (true) {
    const ssize_t got = read(file.fd(), buffer.data(), buffer.size());
    if (got == 0) return {};
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ReadFailure(path);
    hash.Update(std::span(buffer).first(static_cast<std::size_t>(got)));
  }
}

std::int64_t SecondsNow() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<std::string> ContentHash(std::span<const std::filesystem::path> files,
                                const std::filesystem::path& memo_folder) {
  std::vector<std::filesystem::path> paths;
  std::string names;
  std::error_code ignored;
  for (const std::filesystem::path& file : files) {
    paths.push_back(std::filesystem::weakly_canonical(file, ignored));
    names += paths.back().string() + "\n";
  }
  const std::filesystem::path memo = memo_folder / (Sha256Hex(names).substr(0, 32) + ".hash");
  ASSIGN_OR_RETURN(const Stamp stamp, StampOf(paths));
  // hash, stamps; the end is where another hash over both proves the memo whole.
  const auto sealed = [&](const std::string& hash) {
    return hash + "\n" + stamp.text + Sha256Hex(hash + stamp.text) + "\n";
  };
  const bool remembers = !memo_folder.empty();
  const Result<std::string> known =
      remembers ? ReadTextFile(memo, kMaxMemoBytes) : Result<std::string>();
  if (known && known->size() > 64 && *known == sealed(known->substr(0, 64))) {
    return known->substr(0, 64);
  }
  const std::int64_t began_at = SecondsNow();
  Sha256 hash;
  for (const std::filesystem::path& path : paths) RETURN_IF_ERROR(HashFile(path, hash));
  const std::string content = hash.FinishHex();
  ASSIGN_OR_RETURN(const Stamp after, StampOf(paths));
  if (remembers && after.text == stamp.text && stamp.changed_at + kTickSeconds <= began_at) {
    (void)WriteFileAtomically(memo, sealed(content));
  }
  return content;
}

}  // namespace garrison
