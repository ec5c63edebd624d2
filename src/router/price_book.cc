#include "router/price_book.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "core/json.h"
#include "router/builtin_prices.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kDepth = 8;
constexpr std::size_t kRowsMax = 100'000;
// Of a price in USD for a million tokens: pico-dollars for one.
constexpr Pusd kMillion = 1'000'000;

tl::unexpected<Error> Wrong(const std::string& where, std::string_view expected) {
  return FailAt(where, Code::kInvalidArgument, "expected {}", expected);
}

// One row's fields, each named in errors.
class RowReader {
 public:
  RowReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  std::string Place(const char* name) const { return fmt::format("{}.{}", where_, name); }
  const Json* Find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  Result<std::string> Text(const char* name) const {
    const Json* const value = Find(name);
    if (value == nullptr || !value->is_string() || value->get_ref<const std::string&>().empty()) {
      return Wrong(Place(name), "a text");
    }
    return value->get<std::string>();
  }
  // "2026-10-07", the beginning of that day in UTC.
  Result<std::optional<WallTime>> Date(const char* name) const {
    const Json* const value = Find(name);
    if (value == nullptr) return std::optional<WallTime>();
    int year = 0;
    unsigned month = 0, day = 0;
    if (value->is_string()) {
      const auto& text = value->get_ref<const std::string&>();
      const char* const end = text.data() + text.size();
      auto part = std::from_chars(text.data(), end, year);
      if (part.ec == std::errc() && part.ptr != end && *part.ptr == '-') {
        part = std::from_chars(part.ptr + 1, end, month);
        if (part.ec == std::errc() && part.ptr != end && *part.ptr == '-') {
          part = std::from_chars(part.ptr + 1, end, day);
          const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                                 std::chrono::day(day)};
          if (part.ec == std::errc() && part.ptr == end && text.size() == 10 && date.ok()) {
            return std::optional<WallTime>(std::chrono::sys_days(date));
          }
        }
      }
    }
    return Wrong(Place(name), "a date such as 2026-10-07");
  }
  // USD as text, so that no digit is lost.
  Result<Pusd> Amount(const char* name, Pusd unset) const {
    const Json* const value = Find(name);
    if (value == nullptr) return unset;
    if (!value->is_string()) return Wrong(Place(name), "USD in quotes, such as \"0.15\"");
    Result<Pusd> amount = ParseUsd(value->get_ref<const std::string&>());
    if (!amount) return tl::unexpected(At(Place(name), std::move(amount).error()));
    if (*amount < 0) return Wrong(Place(name), "a price of at least 0");
    return *amount;
  }
  // USD for a million tokens.
  Result<Pusd> TokenPrice(const char* name, Pusd unset) const {
    if (Find(name) == nullptr) return unset;
    ASSIGN_OR_RETURN(const Pusd million, Amount(name, 0));
    if (million % kMillion != 0) return Wrong(Place(name), "at most 6 digits behind the point");
    return million / kMillion;
  }
  Result<std::uint64_t> Count(const char* name, std::uint64_t unset) const {
    const Json* const value = Find(name);
    if (value == nullptr) return unset;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > 100'000'000) {
      return Wrong(Place(name), "a whole number up to 100000000");
    }
    return value->get<std::uint64_t>();
  }
  Result<TokenPrices> Prices(const TokenPrices& unset, bool needed) const {
    TokenPrices prices = unset;
    if (needed && Find("input") == nullptr) return Wrong(Place("input"), "a price");
    ASSIGN_OR_RETURN(prices.input, TokenPrice("input", unset.input));
    ASSIGN_OR_RETURN(prices.output, TokenPrice("output", unset.output));
    // What has no price of its own costs what other input does.
    ASSIGN_OR_RETURN(prices.cache_read, TokenPrice("cache_read", prices.input));
    ASSIGN_OR_RETURN(prices.cache_write, TokenPrice("cache_write", prices.input));
    ASSIGN_OR_RETURN(prices.cache_write_1h, TokenPrice("cache_write_1h", prices.cache_write));
    return prices;
  }
  Result<bool> Flag(const char* name) const {
    const Json* const value = Find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return Wrong(Place(name), "true or false");
    return value->get<bool>();
  }
  // "01:00", "24:00"
  Result<std::chrono::minutes> TimeOfDay(const char* name) const {
    ASSIGN_OR_RETURN(const std::string text, Text(name));
    unsigned hour = 0, minute = 0;
    const auto digits = [&](std::size_t at, unsigned& value) {
      const auto part = std::from_chars(text.data() + at, text.data() + at + 2, value);
      return part.ec == std::errc() && part.ptr == text.data() + at + 2;
    };
    if (text.size() != 5 || text[2] != ':' || !digits(0, hour) || !digits(3, minute) ||
        minute > 59 || hour * 60 + minute > 24 * 60) {
      return Wrong(Place(name), "a time such as 06:00");
    }
    return std::chrono::minutes(hour * 60 + minute);
  }

 private:
  const Json& json_;
  const std::string where_;
};

Result<std::vector<PriceBand>> ReadBands(const RowReader& row, const TokenPrices& unset) {
  std::vector<PriceBand> bands;
  const Json* const list = row.Find("bands");
  if (list == nullptr) return bands;
  if (!list->is_array() || list->size() > 48) return Wrong(row.Place("bands"), "a list");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}[{}]", row.Place("bands"), i);
    if (!(*list)[i].is_object()) return Wrong(where, "an object");
    const RowReader reader((*list)[i], where);
    PriceBand band;
    ASSIGN_OR_RETURN(band.begin, reader.TimeOfDay("begin"));
    ASSIGN_OR_RETURN(band.end, reader.TimeOfDay("end"));
    ASSIGN_OR_RETURN(band.prices, reader.Prices(unset, true));
    bands.push_back(band);
  }
  return bands;
}

std::string DateText(WallTime time) {
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(time)};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

Result<PriceRow> ReadRow(const Json& json, const std::string& where) {
  if (!json.is_object()) return Wrong(where, "an object");
  const RowReader reader(json, where);
  PriceRow row;
  ASSIGN_OR_RETURN(row.provider, reader.Text("provider"));
  ASSIGN_OR_RETURN(row.model, reader.Text("model"));
  if (reader.Find("kind") != nullptr) {
    ASSIGN_OR_RETURN(row.kind, reader.Text("kind"));
  }
  ASSIGN_OR_RETURN(const std::optional<WallTime> from, reader.Date("from"));
  ASSIGN_OR_RETURN(const std::optional<WallTime> until, reader.Date("until"));
  ASSIGN_OR_RETURN(row.shutdown, reader.Date("shutdown"));
  ASSIGN_OR_RETURN(const std::optional<WallTime> checked, reader.Date("checked"));
  if (!checked) return Wrong(reader.Place("checked"), "the date when the price was looked up");
  row.from = from.value_or(WallTime());
  row.until = until.value_or(WallTime::max());
  row.checked = *checked;
  ASSIGN_OR_RETURN(row.source, reader.Text("source"));
  ASSIGN_OR_RETURN(row.prompt_tokens_max, reader.Count("prompt_tokens_max", 0));
  ASSIGN_OR_RETURN(row.prices, reader.Prices({}, true));
  ASSIGN_OR_RETURN(row.bands, ReadBands(reader, row.prices));
  ASSIGN_OR_RETURN(row.request, reader.Amount("request", 0));
  ASSIGN_OR_RETURN(row.message_tokens, reader.Count("message_tokens", row.message_tokens));
  ASSIGN_OR_RETURN(row.tool_tokens, reader.Count("tool_tokens", row.tool_tokens));
  ASSIGN_OR_RETURN(row.tools_tokens, reader.Count("tools_tokens", row.tools_tokens));
  if (reader.Find("image_tokens") != nullptr) {
    ASSIGN_OR_RETURN(row.image_tokens, reader.Count("image_tokens", 0));
  }
  ASSIGN_OR_RETURN(row.premium, reader.Flag("premium"));
  row.id = fmt::format("{}/{}@{}", row.provider, row.model, DateText(row.from));
  if (row.prompt_tokens_max > 0) row.id += fmt::format("<={}", row.prompt_tokens_max);
  return row;
}

// "*" stands for any text, also none.
bool Matches(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  const std::string_view head = pattern.substr(0, star);
  if (!text.starts_with(head)) return false;
  for (std::size_t skip = head.size(); skip <= text.size(); ++skip) {
    if (Matches(pattern.substr(star + 1), text.substr(skip))) return true;
  }
  return false;
}

const TokenPrices& PricesAt(const PriceRow& row, WallTime time) {
  const auto of_day =
      std::chrono::floor<std::chrono::minutes>(time) - std::chrono::floor<std::chrono::days>(time);
  for (const PriceBand& band : row.bands) {
    const bool inside = band.begin <= band.end ? of_day >= band.begin && of_day < band.end
                                               : of_day >= band.begin || of_day < band.end;
    if (inside) return band.prices;
  }
  return row.prices;
}

TokenPrices Dearest(const PriceRow& row) {
  TokenPrices most = row.prices;
  for (const PriceBand& band : row.bands) {
    most.input = std::max(most.input, band.prices.input);
    most.output = std::max(most.output, band.prices.output);
    most.cache_read = std::max(most.cache_read, band.prices.cache_read);
    most.cache_write = std::max(most.cache_write, band.prices.cache_write);
    most.cache_write_1h = std::max(most.cache_write_1h, band.prices.cache_write_1h);
  }
  return most;
}

Pusd CostAt(const TokenPrices& prices, const ChatUsage& usage) {
  Pusd cost = MultiplyCapped(prices.input, usage.input);
  cost = AddCapped(cost, MultiplyCapped(prices.cache_read, usage.cache_read));
  cost = AddCapped(cost, MultiplyCapped(prices.cache_write, usage.cache_write));
  cost = AddCapped(cost, MultiplyCapped(prices.cache_write_1h, usage.cache_write_1h));
  return AddCapped(cost, MultiplyCapped(prices.output, usage.output));
}

tl::unexpected<Error> Unknown(std::string message) {
  return tl::unexpected(
      Error{Code::kFailedPrecondition, std::move(message), "", std::nullopt, "unknown_price"});
}

}  // namespace

Result<PriceBook> PriceBook::Parse(std::string_view text, std::string_view where) {
  Result<Json> json = ParseJson(text, kDepth);
  if (!json) return tl::unexpected(At(where, std::move(json).error()));
  const auto list = json->is_object() ? json->find("prices") : json->end();
  if (!json->is_object() || list == json->end() || !list->is_array() || list->size() > kRowsMax) {
    return Wrong(std::string(where), "an object with a list \"prices\"");
  }
  PriceBook book;
  for (std::size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(book.rows_.emplace_back(),
                     ReadRow((*list)[i], fmt::format("{}: prices[{}]", where, i)));
  }
  return book;
}

PriceBook PriceBook::BuiltIn() {
  Result<PriceBook> parsed = Parse(BuiltinPrices(), "the built-in prices");
  CHECK(parsed.has_value());
  return *std::move(parsed);
}

PriceBook PriceBook::Under(const PriceBook& first) const {
  PriceBook both = first;
  both.rows_.insert(both.rows_.end(), rows_.begin(), rows_.end());
  return both;
}

Result<const PriceRow*> PriceBook::Find(std::string_view provider, std::string_view model,
                                        std::string_view kind, WallTime now,
                                        std::uint64_t prompt_tokens) const {
  bool known = false;
  std::uint64_t longest = 0;
  for (const PriceRow& row : rows_) {
    if (row.provider != provider || !Matches(row.model, model)) continue;
    if (!row.kind.empty() && row.kind != kind) continue;
    known = true;
    if (now < row.from || now >= row.until) continue;
    if (row.prompt_tokens_max > 0 && prompt_tokens > row.prompt_tokens_max) {
      longest = std::max(longest, row.prompt_tokens_max);
      continue;
    }
    return &row;
  }
  if (longest > 0) {
    return Unknown(fmt::format(
        "the price of {}/{} is known for prompts up to {} tokens, and this one may have {}; send "
        "less, or give a price in budget.prices",
        provider, model, longest, prompt_tokens));
  }
  return Unknown(fmt::format(
      "the price of {}/{} is not known{}, so it is not called; give one in the file budget.prices "
      "(docs/budget.md)",
      provider, model, known ? " for today" : ""));
}

std::string PriceBook::Hash() const {
  Sha256 hash;
  for (const PriceRow& row : rows_) {
    hash.Update(row.id);
    for (const TokenPrices& prices : {row.prices, Dearest(row)}) {
      hash.Update(fmt::format(" {} {} {} {} {}", prices.input, prices.output, prices.cache_read,
                              prices.cache_write, prices.cache_write_1h));
    }
    hash.Update(fmt::format(" {} {} {} {} {}\n", row.request, row.message_tokens, row.tool_tokens,
                            row.tools_tokens, row.image_tokens.value_or(0)));
  }
  return hash.FinishHex();
}

Result<std::uint64_t> PromptBound(const PriceRow& row, const AttemptBound& bound) {
  if (bound.images > 0 && !row.image_tokens) {
    return Unknown(
        fmt::format("what an image costs with {}/{} is not known; send texts only, or "
                    "give image_tokens in budget.prices",
                    bound.provider, bound.model));
  }
  const auto times = [](std::uint64_t each, std::uint64_t count) {
    return static_cast<std::uint64_t>(MultiplyCapped(static_cast<Pusd>(each), count));
  };
  const auto add = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<std::uint64_t>(AddCapped(static_cast<Pusd>(a), static_cast<Pusd>(b)));
  };
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Pusd>::max());
  std::uint64_t tokens = std::min(bound.tokens, kMost);
  tokens = add(tokens, times(row.message_tokens, bound.messages));
  if (bound.tools > 0)
    tokens = add(tokens, add(row.tools_tokens, times(row.tool_tokens, bound.tools)));
  if (bound.images > 0) tokens = add(tokens, times(*row.image_tokens, bound.images));
  return tokens;
}

Result<Pusd> CostBound(const PriceRow& row, const AttemptBound& bound) {
  ASSIGN_OR_RETURN(const std::uint64_t prompt, PromptBound(row, bound));
  const TokenPrices most = Dearest(row);
  Pusd input = std::max(most.input, most.cache_read);
  if (bound.cache_writes) input = std::max({input, most.cache_write, most.cache_write_1h});
  return AddCapped(row.request, AddCapped(MultiplyCapped(input, prompt),
                                          MultiplyCapped(most.output, bound.output_tokens)));
}

std::optional<Pusd> CostOf(const PriceRow& row, const AttemptUse& use, WallTime admitted,
                           WallTime ended) {
  ChatUsage usage;
  if (use.chat) {
    usage = *use.chat;
    if (usage.server_tools > 0) return std::nullopt;
  } else if (use.tokens) {
    usage.input = *use.tokens;
  } else {
    return std::nullopt;
  }
  return AddCapped(row.request, std::max(CostAt(PricesAt(row, admitted), usage),
                                         CostAt(PricesAt(row, ended), usage)));
}

Pusd CostFloor(const PriceRow& row, std::uint64_t output_tokens) {
  Pusd least = row.prices.output;
  for (const PriceBand& band : row.bands) least = std::min(least, band.prices.output);
  return MultiplyCapped(least, output_tokens);
}

}  // namespace garrison
