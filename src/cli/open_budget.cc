#include "cli/open_budget.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/ip_address.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/state_file.h"
#include "storage/database_ledger.h"

namespace garrison {
namespace {

constexpr std::uint64_t kPricesBytesMax = 16 << 20;

PriceRow OwnRow(std::string provider, std::string kind, Pusd input, std::string source) {
  PriceRow row;
  row.id = fmt::format("{}/* by {}", provider, source);
  row.provider = std::move(provider);
  row.model = "*";
  row.kind = std::move(kind);
  row.prices.input = row.prices.cache_read = row.prices.cache_write = row.prices.cache_write_1h =
      input;
  row.image_tokens = 0;
  row.source = std::move(source);
  row.checked = WallTime::max();  // the operator's own word does not grow old
  return row;
}

// What the settings themselves say about prices, after the operator's file.
void AddOwnPrices(const ProviderSettings& s, PriceBook& book) {
  // A server on this machine that nobody gave a price is the operator's own.
  if (IsLoopbackUrl(s.custom.base_url)) {
    book.Add(OwnRow("custom", "", 0, "an address of this machine"));
  }
  if (IsLoopbackUrl(s.huggingface.endpoint)) {
    // Conversations go to the vendor all the same.
    book.Add(OwnRow("huggingface", "embed", 0, "an address of this machine"));
  }
  const std::array<std::pair<const char*, double>, 4> prices = {
      {{"openai", s.openai.usd_per_million_tokens},
       {"azure", s.azure.usd_per_million_tokens},
       {"bedrock", s.bedrock.usd_per_million_tokens},
       {"custom", s.custom.usd_per_million_tokens}}};
  for (const auto& [provider, usd] : prices) {
    if (usd < 0) continue;
    // 1e12 pico-dollars over a million tokens; the setting's six digits are exact.
    const auto input = static_cast<Pusd>(std::llround(usd * 1e6));
    book.Add(OwnRow(provider, "embed", input, fmt::format("{}.usd_per_million_tokens", provider)));
  }
}

Result<PriceBook> OpenPrices(const Settings& settings) {
  PriceBook own;
  AddOwnPrices(settings.providers, own);
  if (!settings.budget.prices.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadTextFile(settings.budget.prices, kPricesBytesMax));
    ASSIGN_OR_RETURN(const PriceBook file, PriceBook::Parse(text, settings.budget.prices));
    own = own.Under(file);
  }
  return PriceBook::BuiltIn().Under(own);
}

std::chrono::milliseconds LeaseOf(const ProviderSettings& s) {
  constexpr std::chrono::milliseconds kAfterwards{60'000};
  return std::chrono::milliseconds(std::max(s.upstream.total_ms, s.chat.total_ms)) + kAfterwards;
}

std::uint64_t NewId() {
  const std::string hex = RandomHex(sizeof(std::uint64_t));
  return std::strtoull(hex.c_str(), nullptr, 16) >> 1;
}

// The two together: whoever holds the budget holds its ledger.
struct BudgetAndLedger {
  BudgetAndLedger(DatabaseLedgerOptions ledger_options, BudgetRules rules, PriceBook prices,
                  BudgetOptions options, const Clock& clock, Logger& logger)
      : ledger(std::move(ledger_options), WatchBudget(rules, logger), clock, logger),
        budget(ledger, std::move(rules), std::move(prices), options, clock, logger, NewId) {}

  DatabaseLedger ledger;
  Budget budget;
};

}  // namespace

Result<std::string> LedgerPlace(const Settings& settings) {
  if (!settings.database.url.empty()) return settings.database.url;
  if (!settings.budget.file.empty()) return settings.budget.file;
  const std::filesystem::path file = StateFile("ledger.db");
  if (file.empty()) {
    return FailAt("budget.file", Code::kFailedPrecondition,
                  "expected a file for the ledger: neither this setting nor $XDG_STATE_HOME nor "
                  "$HOME is set");
  }
  std::error_code ignored;  // opening the file says what is wrong
  std::filesystem::create_directories(file.parent_path(), ignored);
  return file.string();
}

Result<std::shared_ptr<Budget>> OpenBudget(const Settings& settings, const Clock& clock,
                                           Logger& logger) {
  ASSIGN_OR_RETURN(BudgetRules rules, BudgetRules::Create(settings.budget));
  ASSIGN_OR_RETURN(PriceBook prices, OpenPrices(settings));
  ASSIGN_OR_RETURN(std::string place, LedgerPlace(settings));
  BudgetOptions options;
  options.lease = LeaseOf(settings.providers);
  options.price_age = std::chrono::days(settings.budget.price_days);
  const auto both = std::make_shared<BudgetAndLedger>(
      DatabaseLedgerOptions{.place = std::move(place)}, std::move(rules), std::move(prices),
      options, clock, logger);
  return std::shared_ptr<Budget>(both, &both->budget);
}

}  // namespace garrison
