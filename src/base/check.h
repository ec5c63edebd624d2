// CHECK is for bugs in Garrison itself, never for input from disk, network, configuration or a
// model file.
#pragma once

namespace garrison {

// Prints the place and the condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace garrison

#define CHECK(condition)                                       \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::garrison::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
