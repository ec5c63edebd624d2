// Randomness that nobody can guess.
#pragma once

#include <cstddef>
#include <string>

namespace garrison {

// `bytes` from the system's generator, in lower-case hexadecimal.
std::string RandomHex(std::size_t bytes);

}  // namespace garrison
