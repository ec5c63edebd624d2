// assets/guard.json, as it is linked in: the guard of the built-in model (docs/guard.md says how it
// was trained).
#pragma once

#include <string_view>

namespace garrison {

std::string_view BuiltinGuard();

}  // namespace garrison
