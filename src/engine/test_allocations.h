// Counts every allocation of a test program that is linked with test_allocations.cc.
#pragma once

#include <cstddef>

namespace garrison {

// By operator new, since the program's start, in all threads.
std::size_t Allocations();

}  // namespace garrison
