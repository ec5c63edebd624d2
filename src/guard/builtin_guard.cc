#include "guard/builtin_guard.h"

extern "C" {
extern const char garrison_guard[];
extern const char garrison_guard_end[];
}

namespace garrison {

std::string_view BuiltinGuard() {
  return {garrison_guard, static_cast<std::size_t>(garrison_guard_end - garrison_guard)};
}

}  // namespace garrison
