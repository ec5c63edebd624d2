#include "cli/invoice.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "base/random.h"

namespace garrison {
namespace {

constexpr std::size_t kMostAttempts = 10'000'000;

// One record: fields between commas, quoted where they have commas, quotes or line ends of their
// own. False for quotes that do not fit. `text` moves behind the record.
bool TakeRecord(std::string_view& text, std::vector<std::string>& fields) {
  fields.assign(1, "");
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        fields.back() += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      fields.emplace_back();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return !quoted;
}

Result<InvoiceLine> ReadLine(const std::map<std::string, std::string>& fields,
                             const std::string& where) {
  const auto field = [&](const char* name) {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  };
  InvoiceLine line;
  line.attempt_id = field("attempt_id");
  line.request_id = field("request_id");
  line.provider = field("provider");
  line.model = field("model");
  line.month = field("month");
  line.day = field("day");
  Result<Pusd> cost = ParseUsd(field("cost_usd"));
  if (!cost) return tl::unexpected(At(where + ": cost_usd", std::move(cost).error()));
  if (*cost < 0) return FailAt(where, Code::kInvalidArgument, "expected a cost_usd of at least 0");
  line.cost = *cost;
  const bool of_model =
      !line.provider.empty() && !line.model.empty() && !(line.month.empty() && line.day.empty());
  if (line.attempt_id.empty() && line.request_id.empty() && !of_model) {
    return FailAt(where, Code::kInvalidArgument,
                  "expected attempt_id, or request_id, or provider and model with month or day");
  }
  return line;
}

// What is billed in several lines is one amount; what is named in two ways would be counted twice.
Result<> Gather(InvoiceLine line, const std::string& where, std::vector<InvoiceLine>& lines) {
  const auto way = [](const InvoiceLine& of) {
    return !of.attempt_id.empty() ? 0 : !of.request_id.empty() ? 1 : of.day.empty() ? 2 : 3;
  };
  if (!lines.empty() && way(lines.front()) != way(line)) {
    return FailAt(where, Code::kInvalidArgument,
                  "expected all lines to name calls in one way: by attempt_id, by request_id, by "
                  "month or by day");
  }
  const auto same = std::find_if(lines.begin(), lines.end(), [&](const InvoiceLine& before) {
    return before.what() == line.what();
  });
  if (same == lines.end()) {
    lines.push_back(std::move(line));
  } else {
    same->cost = AddCapped(same->cost, line.cost);
  }
  return {};
}

bool IsOf(const LedgerAttempt& attempt, const InvoiceLine& line) {
  if (!line.attempt_id.empty()) return std::to_string(attempt.id) == line.attempt_id;
  if (!line.request_id.empty()) return attempt.request_id == line.request_id;
  return attempt.provider == line.provider && attempt.model == line.model &&
         (line.day.empty() ? attempt.periods.month == line.month : attempt.periods.day == line.day);
}

Pusd SumOf(const std::vector<LedgerAttempt>& attempts) {
  Pusd sum = 0;
  for (const LedgerAttempt& attempt : attempts) sum = AddCapped(sum, attempt.amount);
  return sum;
}

// `total` in shares like the attempts' amounts, without a pico-dollar lost.
std::vector<Reconciliation> Share(const std::vector<LedgerAttempt>& attempts, Pusd total) {
  std::vector<Reconciliation> shares;
  Pusd amounts = SumOf(attempts);
  for (const LedgerAttempt& attempt : attempts) {
    // What is left goes to those that are left: rounding never adds up.
    const Pusd share =
        amounts == 0 ? 0
                     : static_cast<Pusd>(static_cast<__int128>(total) * attempt.amount / amounts);
    shares.push_back({attempt.id, share});
    total -= share;
    amounts -= attempt.amount;
  }
  if (!shares.empty()) shares.back().amount += total;
  return shares;
}

}  // namespace

std::string InvoiceLine::what() const {
  if (!attempt_id.empty()) return "attempt " + attempt_id;
  if (!request_id.empty()) return "request " + request_id;
  return fmt::format("{}/{} of {}", provider, model, day.empty() ? month : day);
}

Result<std::vector<InvoiceLine>> ParseInvoice(std::string_view text, const std::string& file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> header;
  if (!TakeRecord(text, header) ||
      std::find(header.begin(), header.end(), "cost_usd") == header.end()) {
    return FailAt(file + ":1", Code::kInvalidArgument,
                  "expected a header with cost_usd and attempt_id, or request_id, or provider, "
                  "model and month or day");
  }
  std::vector<InvoiceLine> lines;
  std::vector<std::string> fields;
  for (std::size_t number = 2; !text.empty(); ++number) {
    const std::string where = fmt::format("{}:{}", file, number);
    if (!TakeRecord(text, fields)) {
      return FailAt(where, Code::kInvalidArgument, "expected a closing quote");
    }
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (fields.size() != header.size()) {
      return FailAt(where, Code::kInvalidArgument, "expected {} fields, got {}", header.size(),
                    fields.size());
    }
    std::map<std::string, std::string> named;
    for (std::size_t i = 0; i < fields.size(); ++i) named[header[i]] = fields[i];
    ASSIGN_OR_RETURN(InvoiceLine line, ReadLine(named, where));
    line.line = number;
    RETURN_IF_ERROR(Gather(std::move(line), where, lines));
  }
  return lines;
}

Result<InvoiceMatch> MatchInvoice(const InvoiceLine& line, Ledger& ledger) {
  LedgerFilter filter;
  filter.request_id = line.attempt_id.empty() ? line.request_id : "";
  filter.month = line.month;
  filter.limit = kMostAttempts;
  ASSIGN_OR_RETURN(const std::vector<LedgerAttempt> attempts, ledger.History(filter));
  InvoiceMatch match;
  match.billed = line.cost;
  for (const LedgerAttempt& attempt : attempts) {
    if (!IsOf(attempt, line)) continue;
    if (attempt.state == AttemptState::kDisputed) match.of_disputed.push_back(attempt);
    if (attempt.state == AttemptState::kSettled || attempt.state == AttemptState::kReconciled) {
      match.of_settled.push_back(attempt);
    }
  }
  match.settled = SumOf(match.of_settled);
  match.disputed = SumOf(match.of_disputed);
  match.attempts = match.of_settled.size() + match.of_disputed.size();
  return match;
}

Result<> ApplyInvoice(const InvoiceLine& line, const InvoiceMatch& match, Ledger& ledger,
                      WallTime now) {
  const Pusd left = std::max<Pusd>(match.billed - match.settled, 0);
  RETURN_IF_ERROR(ledger.Reconcile(Share(match.of_disputed, std::min(left, match.disputed))));
  if (match.billed < match.settled) {
    return ledger.Reconcile(Share(match.of_settled, match.billed));
  }
  if (left <= match.disputed) return {};
  const std::vector<LedgerAttempt>& any =
      match.of_settled.empty() ? match.of_disputed : match.of_settled;
  if (any.empty()) {
    return FailAt(line.what(), Code::kFailedPrecondition,
                  "the ledger has no such call, so nobody can tell what to add; was it made by "
                  "another program with the same key?");
  }
  LedgerAttempt added = any.front();
  added.id = std::stoull(RandomHex(8), nullptr, 16) >> 1;
  added.parent = "invoice";
  added.usage.clear();
  added.floor = 0;
  added.bound = added.amount = left - match.disputed;
  added.created_ms = added.changed_ms = added.lease_ms = ToUnixMs(now);
  return ledger.Adjust(added);
}

}  // namespace garrison
