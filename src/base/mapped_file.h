// Files as memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

// A read-only mapping of a whole regular file. Movable; immutable, so safe to share between
// threads. A file that another process shortens while it is mapped faults on access: map only files
// that are replaced by rename, never edited in place.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED, or FAILED_PRECONDITION (not a regular file); RESOURCE_EXHAUSTED
  // when it is larger than `max_bytes`. An empty file maps to an empty span.
  static Result<MappedFile> Open(const std::filesystem::path& path, std::uint64_t max_bytes);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

  // Takes what was read so far out of this process's resident memory; it is read again when needed.
  void DropPages() const;

  // Copies out.size() bytes from `offset` by a read, which leaves nothing of the file in this
  // process's memory. DATA_LOSS when the file does not hold them (any more), or cannot be read.
  Result<> Read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  MappedFile(std::span<const std::byte> bytes, int fd) : bytes_(bytes), fd_(fd) {}
  std::span<const std::byte> bytes_;
  int fd_ = -1;  // owned
};

// The whole file as text, with the errors of MappedFile::Open. `path` "-" reads standard input.
Result<std::string> ReadTextFile(const std::filesystem::path& path, std::uint64_t max_bytes);

// Writes a new file beside `path`, syncs it and renames it over `path`: readers see the old or the
// new content, never a part. A link keeps pointing where it did; a pipe or a device is written to
// as it is. PERMISSION_DENIED, NOT_FOUND (no such folder) or UNAVAILABLE (disk full...).
Result<> WriteFileAtomically(const std::filesystem::path& path, std::string_view content);
// The same with the content in parts, one after the other.
Result<> WriteFileAtomically(const std::filesystem::path& path,
                             std::span<const std::string_view> parts);

}  // namespace garrison
