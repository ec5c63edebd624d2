// Files as memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

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

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// The whole file as text, with the errors of MappedFile::Open. `path` "-" reads standard input.
Result<std::string> ReadTextFile(const std::filesystem::path& path, std::uint64_t max_bytes);

// Writes a new file beside `path`, syncs it and renames it over `path`: readers see the old or the
// new content, never a part. A link keeps pointing where it did; a pipe or a device is written to
// as it is. PERMISSION_DENIED, NOT_FOUND (no such folder) or UNAVAILABLE (disk full...).
Result<> WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

}  // namespace garrison
