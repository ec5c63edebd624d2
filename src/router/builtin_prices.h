// assets/prices.json, as it is linked in.
#pragma once

#include <string_view>

namespace garrison {

std::string_view BuiltinPrices();

}  // namespace garrison
