// What calls cost: dated prices from a data file, the bound of a call before it is made and its
// cost after. Prices are data, never code: they change, and history must stay priced as it was.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/money.h"

namespace garrison {

// Of one token, in pico-dollars.
struct TokenPrices {
  Pusd input = 0;
  Pusd output = 0;
  Pusd cache_read = 0;
  Pusd cache_write = 0;
  Pusd cache_write_1h = 0;
};

// Other prices at some hours of the day, in UTC. `begin` > `end` goes over midnight.
struct PriceBand {
  std::chrono::minutes begin{0};
  std::chrono::minutes end{0};
  TokenPrices prices;
};

struct PriceRow {
  std::string id;  // "openai/gpt-4o-mini@2024-07-18": what an attempt was priced by
  std::string provider;
  std::string model;  // "*" stands for any text
  std::string kind;   // of the work, as AttemptBound has it; empty: any
  WallTime from;
  WallTime until = WallTime::max();
  // The row holds for prompts up to so many tokens; 0: any.
  std::uint64_t prompt_tokens_max = 0;
  TokenPrices prices;
  std::vector<PriceBand> bands;
  Pusd request = 0;  // of a call, beside its tokens
  // What the vendor adds to the prompt at most, in tokens. An image without a known bound has no
  // price.
  std::uint64_t message_tokens = 16;
  std::uint64_t tool_tokens = 64;
  std::uint64_t tools_tokens = 1024;  // once, if there is any tool
  std::optional<std::uint64_t> image_tokens;
  bool premium = false;              // paused first when money runs short
  std::optional<WallTime> shutdown;  // the vendor stops serving it
  WallTime checked;                  // when a person last compared it with the source
  std::string source;
};

// Immutable.
class PriceBook {
 public:
  // JSON: docs/budget.md. `where` is named in errors. INVALID_ARGUMENT.
  static Result<PriceBook> Parse(std::string_view json, std::string_view where);
  // The prices that come with this version.
  static PriceBook BuiltIn();

  // Rows of `first` come before those of this book.
  PriceBook Under(const PriceBook& first) const;
  void Add(PriceRow row) { rows_.insert(rows_.begin(), std::move(row)); }

  // The first row that fits. FAILED_PRECONDITION with `reason` "unknown_price" without one: it says
  // whether the model, the date or the length is not there.
  Result<const PriceRow*> Find(std::string_view provider, std::string_view model,
                               std::string_view kind, WallTime now,
                               std::uint64_t prompt_tokens) const;

  const std::vector<PriceRow>& rows() const { return rows_; }
  // SHA-256 of all rows, in hexadecimal.
  std::string Hash() const;

 private:
  std::vector<PriceRow> rows_;
};

// Tokens of the prompt at most, with what the vendor adds. FAILED_PRECONDITION ("unknown_price")
// for images without a bound.
Result<std::uint64_t> PromptBound(const PriceRow& row, const AttemptBound& bound);

// What a call can cost at most: every input token at the dearest input price, at the dearest hour.
Result<Pusd> CostBound(const PriceRow& row, const AttemptBound& bound);

// What it did cost; the dearer one of the prices at its admission and at its end. nullopt when the
// vendor did not say what was used, or used something without a price.
std::optional<Pusd> CostOf(const PriceRow& row, const AttemptUse& use, WallTime admitted,
                           WallTime ended);

// The least that `output_tokens` of an answer cost, for one that broke off.
Pusd CostFloor(const PriceRow& row, std::uint64_t output_tokens);

}  // namespace garrison
