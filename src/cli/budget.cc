// `garrison budget`: what was spent, what may be, and whether an invoice agrees.
#include <charconv>
#include <filesystem>
#include <map>
#include <utility>

#include "base/mapped_file.h"
#include "cli/command.h"
#include "cli/invoice.h"
#include "cli/open_budget.h"
#include "core/json.h"
#include "storage/database_ledger.h"

namespace garrison {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kInvoiceBytesMax = std::uint64_t{1} << 30;

struct BudgetFlags {
  std::string scope = "all";
  std::string what;
  std::string value;
  std::string month;
  std::string request;
  std::string state;
  std::string file;
  std::size_t limit = 100;
  bool apply = false;
};

Result<> Print(CommandContext& context, const Json& line) {
  context.environment.out << DumpJson(line) << "\n";
  return CheckOutput(context.environment.out);
}

Result<std::shared_ptr<Budget>> Open(CommandContext& context) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  return OpenBudget(loaded.settings, context.clock, *context.logger);
}

Result<> ShowStatus(CommandContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Budget> budget, Open(context));
  ASSIGN_OR_RETURN(const BudgetStatus status, budget->Status());
  context.environment.out << EncodeBudgetStatus(status) << "\n";
  return CheckOutput(context.environment.out);
}

Result<> SetSomething(CommandContext& context, const BudgetFlags& flags) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Budget> budget, Open(context));
  if (flags.what == "kill_switch") {
    if (flags.value != "on" && flags.value != "off") {
      return FailAt("--value", Code::kInvalidArgument, "expected on or off, got \"{}\"",
                    flags.value);
    }
    RETURN_IF_ERROR(budget->SetKillSwitch(flags.value == "on"));
    return ShowStatus(context);
  }
  const std::optional<BudgetWindow> window = BudgetWindowOf(flags.what);
  if (!window) {
    return FailAt("--name", Code::kInvalidArgument,
                  "expected month, day, hour or kill_switch, got \"{}\"", flags.what);
  }
  std::optional<Pusd> amount;
  if (flags.value != "default") {
    Result<Pusd> parsed = ParseUsd(flags.value);
    if (!parsed) return tl::unexpected(At("--value", std::move(parsed).error()));
    amount = *parsed;
  }
  if (Result<> set = budget->SetLimit(flags.scope, *window, amount); !set) {
    const bool usage = set.error().code == Code::kInvalidArgument;
    return tl::unexpected(usage ? At("--scope", std::move(set).error()) : std::move(set).error());
  }
  return ShowStatus(context);
}

Result<> Unlock(CommandContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Budget> budget, Open(context));
  RETURN_IF_ERROR(budget->Unlock());
  return ShowStatus(context);
}

Result<> Repair(CommandContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Budget> budget, Open(context));
  RETURN_IF_ERROR(budget->Repair());
  return ShowStatus(context);
}

// The ledger without limits and prices.
Result<std::unique_ptr<DatabaseLedger>> OpenLedger(CommandContext& context) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(std::string place, LedgerPlace(loaded.settings));
  return std::make_unique<DatabaseLedger>(DatabaseLedgerOptions{.place = std::move(place)},
                                          LedgerWatch{}, context.clock, *context.logger);
}

Json AttemptJson(const LedgerAttempt& attempt) {
  Json json = {{"id", std::to_string(attempt.id)},
               {"request_id", attempt.request_id},
               {"state", AttemptStateName(attempt.state)},
               {"kind", attempt.kind},
               {"key", attempt.client},
               {"provider", attempt.provider},
               {"model", attempt.model},
               {"amount_usd", ShortUsd(attempt.amount)},
               {"bound_usd", ShortUsd(attempt.bound)},
               {"day", attempt.periods.day},
               {"created_ms", attempt.created_ms},
               {"price", attempt.price_row},
               {"policy", attempt.policy}};
  if (!attempt.parent.empty()) json["parent"] = attempt.parent;
  if (attempt.floor > 0) json["floor_usd"] = ShortUsd(attempt.floor);
  if (!attempt.usage.empty()) {
    json["usage"] = Json::parse(attempt.usage, nullptr, /*allow_exceptions=*/false);
  }
  return json;
}

Result<> ShowHistory(CommandContext& context, const BudgetFlags& flags) {
  LedgerFilter filter{flags.month, flags.request, std::nullopt, flags.limit};
  if (!flags.state.empty()) {
    filter.state = AttemptStateOf(flags.state);
    if (!filter.state) {
      return FailAt("--state", Code::kInvalidArgument,
                    "expected reserved, sent, settled, released, disputed or reconciled, got "
                    "\"{}\"",
                    flags.state);
    }
  }
  ASSIGN_OR_RETURN(const auto ledger, OpenLedger(context));
  ASSIGN_OR_RETURN(const std::vector<LedgerAttempt> attempts, ledger->History(filter));
  for (const LedgerAttempt& attempt : attempts) {
    RETURN_IF_ERROR(Print(context, AttemptJson(attempt)));
  }
  return {};
}

Result<> Reconcile(CommandContext& context, const BudgetFlags& flags) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.file, kInvoiceBytesMax));
  ASSIGN_OR_RETURN(const std::vector<InvoiceLine> invoice, ParseInvoice(text, flags.file));
  ASSIGN_OR_RETURN(const auto ledger, OpenLedger(context));
  bool agrees = true;
  for (const InvoiceLine& line : invoice) {
    ASSIGN_OR_RETURN(const InvoiceMatch match, MatchInvoice(line, *ledger));
    const bool exact = match.billed == AddCapped(match.settled, match.disputed);
    const bool explained =
        match.billed >= match.settled && match.billed <= AddCapped(match.settled, match.disputed);
    agrees = agrees && explained;
    Json report = {{"line", line.line},
                   {"what", line.what()},
                   {"billed_usd", ShortUsd(match.billed)},
                   {"settled_usd", ShortUsd(match.settled)},
                   {"disputed_usd", ShortUsd(match.disputed)},
                   {"attempts", match.attempts},
                   {"verdict", exact                          ? "equal"
                               : explained                    ? "explains disputed attempts"
                               : match.billed < match.settled ? "billed less than recorded"
                                                              : "billed more than recorded"}};
    if (flags.apply && !exact) {
      RETURN_IF_ERROR(ApplyInvoice(line, match, *ledger, context.clock.WallNow()));
      report["applied"] = true;
    }
    RETURN_IF_ERROR(Print(context, report));
  }
  if (agrees || flags.apply) return {};
  return FailAt(flags.file, Code::kFailedPrecondition,
                "the invoice and the ledger differ; look at the lines above, and let --apply make "
                "the ledger what the invoice says");
}

Result<> ShowPrices(CommandContext& context) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Budget> budget, Open(context));
  for (const PriceRow& row : budget->prices().rows()) {
    // Of a million tokens, as vendors quote them.
    const auto million = [](Pusd price) { return ShortUsd(MultiplyCapped(price, 1'000'000)); };
    Json json = {{"price", row.id},
                 {"provider", row.provider},
                 {"model", row.model},
                 {"input_usd_per_million", million(row.prices.input)},
                 {"output_usd_per_million", million(row.prices.output)},
                 {"source", row.source}};
    if (!row.kind.empty()) json["kind"] = row.kind;
    if (row.premium) json["premium"] = true;
    RETURN_IF_ERROR(Print(context, json));
  }
  for (const std::string& warning : budget->PriceWarnings(context.clock.WallNow())) {
    context.environment.err << "warning: " << warning << "\n";
  }
  return {};
}

}  // namespace

void AddBudget(CLI::App& app, CommandContext& context) {
  CLI::App* budget = app.add_subcommand("budget", "Money: the ledger of paid calls and its limits");
  budget->require_subcommand(1);
  const auto flags = std::make_shared<BudgetFlags>();
  budget->add_subcommand("status", "What is spent and put aside, and what may be")
      ->callback([&context] { context.outcome = ShowStatus(context); });
  CLI::App* set = budget->add_subcommand(
      "set", "Change a limit, or switch all paid calls off, for every service on this ledger");
  set->add_option("name", flags->what, "month, day, hour or kill_switch")->required();
  set->add_option("value", flags->value,
                  "USD, or `default` for what the settings say; on or off for kill_switch")
      ->required();
  set->add_option("--scope", flags->scope,
                  "Of what: all, key:NAME, model:PROVIDER/MODEL or kind:NAME; default all");
  set->footer(
      "Examples:\n"
      "  garrison budget set month 300\n"
      "  garrison budget set day 2 --scope key:website\n"
      "  garrison budget set kill_switch on");
  set->callback([flags, &context] { context.outcome = SetSomething(context, *flags); });
  budget
      ->add_subcommand(
          "unlock", "Until the month ends, limits count in full; no kill switch, no model frozen")
      ->callback([&context] { context.outcome = Unlock(context); });
  CLI::App* history = budget->add_subcommand("history", "Paid calls, the newest first");
  history->add_option("--month", flags->month, "Such as 2026-11; default any");
  history->add_option("--request", flags->request, "Those of one request, by its X-Request-ID");
  history->add_option("--state", flags->state,
                      "reserved, sent, settled, released, disputed or reconciled");
  history->add_option("--limit", flags->limit, "So many at most; default 100")
      ->check(CLI::Range(1, 10'000'000));
  history->callback([flags, &context] { context.outcome = ShowHistory(context, *flags); });
  CLI::App* reconcile =
      budget->add_subcommand("reconcile", "Compare the ledger with a vendor's invoice");
  reconcile->add_option("file", flags->file, "CSV with a header; docs/budget.md says which columns")
      ->required();
  reconcile->add_flag("--apply", flags->apply, "And make the ledger what the invoice says");
  reconcile->callback([flags, &context] { context.outcome = Reconcile(context, *flags); });
  budget
      ->add_subcommand("repair",
                       "Add the accounts of the present month, day and hour up from their calls")
      ->callback([&context] { context.outcome = Repair(context); });
  budget->add_subcommand("prices", "The prices that hold, and those that nobody checked for long")
      ->callback([&context] { context.outcome = ShowPrices(context); });
}

}  // namespace garrison
