// The command line: garrison VERB [options].
#pragma once

#include "base/result.h"
#include "cli/environment.h"

namespace garrison {

// Runs one command. Returns the exit code: 0 done, 2 bad usage, 1 failed.
int RunCli(int argc, const char* const* argv, Environment& environment);

// The one table from errors to exit codes: 2 for an INVALID_ARGUMENT whose place is a flag ("--x"),
// else 1.
int ExitCodeOf(const Error& error);

}  // namespace garrison
