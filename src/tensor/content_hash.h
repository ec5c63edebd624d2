// What files hold, as a name for it that does not change while they do not.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace garrison {

// SHA-256 (hex) of the contents of `files`, one after the other.
//
// Reading a gigabyte at every start would cost more than loading, so the answer is remembered in
// `memo_folder` together with each file's device, inode, size and times of change; it counts as
// long as all of these are the same, and were no younger than two seconds when the file was read (a
// file system's clock ticks: a later change in the same tick would not show). A memo that is
// missing, damaged or cannot be written costs the reading, nothing else; an empty `memo_folder`
// means none. NOT_FOUND, PERMISSION_DENIED or DATA_LOSS names the file that cannot be read.
Result<std::string> ContentHash(std::span<const std::filesystem::path> files,
                                const std::filesystem::path& memo_folder);

}  // namespace garrison
