#include "core/money.h"

#include <fmt/format.h>

#include <limits>

namespace garrison {
namespace {

constexpr Pusd kMost = std::numeric_limits<Pusd>::max();
constexpr std::size_t kDigits = 12;

tl::unexpected<Error> NoAmount(std::string_view text) {
  return Fail(Code::kInvalidArgument,
              "expected an amount in USD such as 0.05, below 9 million and with at most 12 digits "
              "behind the point; got \"{}\"",
              text.substr(0, 40));
}

}  // namespace

Result<Pusd> ParseUsd(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  const std::size_t point = digits.find('.');
  const std::string_view whole = digits.substr(0, point);
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : digits.substr(point + 1);
  if (whole.empty() || (point != std::string_view::npos && fraction.empty()) ||
      fraction.size() > kDigits) {
    return NoAmount(text);
  }
  Pusd amount = 0;
  const auto add = [&](char c) {
    if (c < '0' || c > '9') return false;
    const Pusd digit = c - '0';
    if (amount > (kMost - digit) / 10) return false;
    amount = amount * 10 + digit;
    return true;
  };
  for (const char c : whole) {
    if (!add(c)) return NoAmount(text);
  }
  for (std::size_t i = 0; i < kDigits; ++i) {
    if (!add(i < fraction.size() ? fraction[i] : '0')) return NoAmount(text);
  }
  return negative ? -amount : amount;
}

std::string FormatUsd(Pusd amount) {
  const bool negative = amount < 0;
  const std::uint64_t size =
      negative ? 0 - static_cast<std::uint64_t>(amount) : static_cast<std::uint64_t>(amount);
  constexpr auto kUsd = static_cast<std::uint64_t>(kPusdPerUsd);
  return fmt::format("{}{}.{:012}", negative ? "-" : "", size / kUsd, size % kUsd);
}

std::string ShortUsd(Pusd amount) {
  std::string text = FormatUsd(amount);
  const std::size_t shortest = text.find('.') + 3;
  while (text.size() > shortest && text.ends_with('0')) text.pop_back();
  return text;
}

Pusd AddCapped(Pusd a, Pusd b) { return a > kMost - b ? kMost : a + b; }

Pusd MultiplyCapped(Pusd price, std::uint64_t count) {
  if (price == 0 || count == 0) return 0;
  if (count > static_cast<std::uint64_t>(kMost / price)) return kMost;
  return price * static_cast<Pusd>(count);
}

}  // namespace garrison
