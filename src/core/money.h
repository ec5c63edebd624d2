// Money: whole numbers of pico-dollars (1e-12 USD). One token of the cheapest input there is costs
// thousands of them; the range is 9.2 million dollars either way. No floating point anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

using Pusd = std::int64_t;

inline constexpr Pusd kPusdPerUsd = 1'000'000'000'000;

// "0.05", "200", "-1.5", exactly. INVALID_ARGUMENT for anything but digits with one point, more
// than 12 digits behind it, or more than the range holds.
Result<Pusd> ParseUsd(std::string_view text);

// With all 12 digits behind the point, so that it reads back as the same number: "0.050000000000".
std::string FormatUsd(Pusd amount);
// For people, two digits at least and no zeros behind them: "0.05", "0.0000315", "200.00".
std::string ShortUsd(Pusd amount);

// a + b and a * b, at most the largest amount there is: a bound that does not fit refuses a call,
// it does not become a small one. For amounts and counts of at least 0.
Pusd AddCapped(Pusd a, Pusd b);
Pusd MultiplyCapped(Pusd price, std::uint64_t count);

}  // namespace garrison
