#include "cli/report_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "base/hash.h"
#include "base/mapped_file.h"

namespace garrison {
namespace {

constexpr std::uint64_t kListBytesMax = 16 << 20;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr std::size_t kHashDigits = 64;

// Leads nowhere but into the folder.
bool IsInside(std::string_view path) {
  const std::filesystem::path parsed(path);
  if (path.empty() || parsed.is_absolute()) return false;
  for (const auto& part : parsed) {
    if (part == ".." || part == ".") return false;
  }
  return true;
}

Result<> MakeFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return {};
  return FailAt(folder.string(), Code::kPermissionDenied, "cannot make this folder: {}",
                error.message());
}

}  // namespace

Result<ReportFolder> ReportFolder::Open(const std::filesystem::path& folder) {
  ReportFolder report(folder);
  const std::filesystem::path list = folder / kReportList;
  std::error_code error;
  if (!std::filesystem::exists(list, error)) return report;
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(list, kListBytesMax));
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++number;
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.size() < kHashDigits + 3 || line.substr(kHashDigits, 2) != "  " ||
        !IsInside(line.substr(kHashDigits + 2))) {
      return FailAt(fmt::format("{}:{}", list.string(), number), Code::kInvalidArgument,
                    "expected a SHA-256, two spaces and a file of this folder; remove the list to "
                    "begin anew (--force then overwrites the files)");
    }
    report.known_[std::string(line.substr(kHashDigits + 2))].emplace(line.substr(0, kHashDigits));
  }
  return report;
}

Result<std::string> ReportFolder::HashOf(const std::string& path) const {
  const auto file = MappedFile::Open(folder_ / path, kFileBytesMax);
  if (!file && file.error().code == Code::kNotFound) return std::string();
  if (!file) return tl::unexpected(file.error());
  Sha256 hash;
  hash.Update(file->bytes());
  return hash.FinishHex();
}

Result<> ReportFolder::WriteList(const Hashes& hashes) const {
  std::string list;
  for (const auto& [path, of_path] : hashes) {
    for (const std::string& hash : of_path) list += fmt::format("{}  {}\n", hash, path);
  }
  return WriteFileAtomically(folder_ / kReportList, list);
}

Result<> ReportFolder::RemoveOld(const Hashes& now) const {
  for (const auto& [path, hashes] : known_) {
    if (now.contains(path)) continue;
    const auto hash = HashOf(path);
    if (!hash || !hashes.contains(*hash)) continue;  // somebody else's by now
    std::error_code error;
    std::filesystem::remove(folder_ / path, error);
    // Its folder goes as well, if it was the last one in it.
    for (auto parent = (folder_ / path).parent_path(); parent != folder_ && !error;
         parent = parent.parent_path()) {
      if (!std::filesystem::remove(parent, error)) break;
    }
  }
  return {};
}

Result<> ReportFolder::Write(const Files& files, bool force) const {
  Hashes now;
  Hashes both = known_;
  for (const auto& [path, content] : files) {
    ASSIGN_OR_RETURN(const std::string there, HashOf(path));
    const auto known = known_.find(path);
    if (!there.empty() && !force && (known == known_.end() || !known->second.contains(there))) {
      return FailAt((folder_ / path).string(), Code::kAlreadyExists,
                    "{}; move it away, give another --output, or overwrite it with --force",
                    known == known_.end() ? "this file is not of an earlier report"
                                          : "this file was changed since it was written");
    }
    const std::string hash = Sha256Hex(content);
    now[path].insert(hash);
    both[path].insert(hash);
  }
  RETURN_IF_ERROR(MakeFolder(folder_));
  RETURN_IF_ERROR(WriteList(both));
  for (const auto& [path, content] : files) {
    RETURN_IF_ERROR(MakeFolder((folder_ / path).parent_path()));
    RETURN_IF_ERROR(WriteFileAtomically(folder_ / path, content));
  }
  RETURN_IF_ERROR(RemoveOld(now));
  return WriteList(now);
}

}  // namespace garrison
