#include "core/ledger.h"

#include <algorithm>

namespace garrison {
namespace {

constexpr std::array<std::string_view, 6> kStates = {"reserved", "sent",     "settled",
                                                     "released", "disputed", "reconciled"};
constexpr std::array<std::string_view, 3> kWindows = {"month", "day", "hour"};

template <typename Enum, std::size_t n>
std::optional<Enum> Named(const std::array<std::string_view, n>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

}  // namespace

std::string_view AttemptStateName(AttemptState state) {
  return kStates[static_cast<std::size_t>(state)];
}
std::optional<AttemptState> AttemptStateOf(std::string_view name) {
  return Named<AttemptState>(kStates, name);
}

std::string_view BudgetWindowName(BudgetWindow window) {
  return kWindows[static_cast<std::size_t>(window)];
}
std::optional<BudgetWindow> BudgetWindowOf(std::string_view name) {
  return Named<BudgetWindow>(kWindows, name);
}

std::vector<BudgetAccount> LedgerAttempt::accounts() const {
  // Sorted as they stand: by scope, and a month before its days before their hours.
  std::vector<BudgetAccount> accounts;
  accounts.reserve(12);
  const auto add = [&](const std::string& scope) {
    for (const BudgetWindow window : kBudgetWindows) {
      accounts.push_back({scope, periods.of(window)});
    }
  };
  add("all");
  if (!client.empty()) add("key:" + client);
  add("kind:" + kind);
  add(fmt::format("model:{}/{}", provider, model));
  return accounts;
}

std::string LedgerAttempt::accounts_name() const {
  return fmt::format("{}\n{}\n{}/{}\n{}\n{}\n{}", client, kind, provider, model, periods.month,
                     periods.day, periods.hour);
}

}  // namespace garrison
