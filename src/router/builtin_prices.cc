#include "router/builtin_prices.h"

extern "C" {
extern const char garrison_prices[];
extern const char garrison_prices_end[];
}

namespace garrison {

std::string_view BuiltinPrices() {
  return {garrison_prices, static_cast<std::size_t>(garrison_prices_end - garrison_prices)};
}

}  // namespace garrison
