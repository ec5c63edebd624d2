// The budget as the settings describe it: its ledger, limits and prices. For the command line and
// the service alike: both spend the same money.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/settings.h"
#include "gateway/budget.h"

namespace garrison {

// `clock` and `logger` must outlive it. INVALID_ARGUMENT naming the setting, NOT_FOUND for a file
// of prices that is not there. A ledger that cannot be opened is no error here: it refuses paid
// calls until it can.
Result<std::shared_ptr<Budget>> OpenBudget(const Settings& settings, const Clock& clock,
                                           Logger& logger);

// The ledger alone, for looking into it. Errors: no place for it is known.
Result<std::string> LedgerPlace(const Settings& settings);

}  // namespace garrison
