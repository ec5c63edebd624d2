// Where this program keeps what it must not forget.
#pragma once

#include <filesystem>
#include <string_view>

namespace garrison {

// $XDG_STATE_HOME/garrison/NAME or ~/.local/state/garrison/NAME; empty when neither is known. The
// folder need not be there.
std::filesystem::path StateFile(std::string_view name);

}  // namespace garrison
