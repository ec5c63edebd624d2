// A folder of files that one run writes as a whole, beside files of others that it must not touch.
// Private to cli/.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace garrison {

// The files that a run wrote with their SHA-256, as `sha256sum --check` reads them. While a run
// writes, the list names a file with its old and its new content, so that a run that was broken off
// does not disown either.
inline constexpr const char* kReportList = "files.sha256";

class ReportFolder {
 public:
  // Reads the list, if there is one; nothing is written. INVALID_ARGUMENT (where: the list) when it
  // cannot be read.
  static Result<ReportFolder> Open(const std::filesystem::path& folder);

  // Relative paths with "/" and their content, in the order in which they are written. Files of the
  // run before that are not among them are removed. Each file is replaced as a whole.
  // ALREADY_EXISTS (where: the file), before anything is written: a file is there that no run
  // wrote, or that was changed since; `force` overwrites it. Else the errors of
  // WriteFileAtomically.
  using Files = std::vector<std::pair<std::string, std::string>>;
  Result<> Write(const Files& files, bool force) const;

 private:
  using Hashes = std::map<std::string, std::set<std::string>>;  // by path

  explicit ReportFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // The hash of the file that is there; empty if there is none.
  Result<std::string> HashOf(const std::string& path) const;
  Result<> WriteList(const Hashes& hashes) const;
  Result<> RemoveOld(const Hashes& now) const;

  std::filesystem::path folder_;
  Hashes known_;
};

}  // namespace garrison
