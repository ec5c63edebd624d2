// A file that a long run writes bit by bit and may continue later. Private to cli/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

// Errors name the file: NOT_FOUND (no such folder), PERMISSION_DENIED, UNAVAILABLE (disk full...).
class OutputFile {
 public:
  enum class Readers { kAll, kOwner };  // as far as the umask allows
  // Empties the file if there is one. A pipe or a device is written to as it is.
  static Result<OutputFile> Create(const std::string& path, Readers readers = Readers::kAll);
  // Keeps the first `size` bytes of a regular file and goes on after them. DATA_LOSS when it has
  // fewer.
  static Result<OutputFile> Continue(const std::string& path, std::uint64_t size);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  Result<> Append(std::string_view bytes);
  // Replaces bytes that were written before. Needs a regular file.
  Result<> Overwrite(std::uint64_t offset, std::string_view bytes);
  // After it the bytes survive a power cut.
  Result<> Sync();

  std::uint64_t size() const { return size_; }
  bool is_regular() const { return is_regular_; }

 private:
  OutputFile(std::string path, int fd, bool is_regular, std::uint64_t size);
  Result<> WriteAt(std::uint64_t offset, std::string_view bytes);

  std::string path_;
  int fd_;
  bool is_regular_;
  std::uint64_t size_;
};

}  // namespace garrison
