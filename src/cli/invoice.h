// A vendor's invoice beside the ledger. Private to cli/.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/ledger.h"

namespace garrison {

// What was billed for one attempt, one request, or all of a model's calls in a month or a day.
struct InvoiceLine {
  std::size_t line = 0;
  std::string attempt_id;
  std::string request_id;
  std::string provider;
  std::string model;
  std::string month;
  std::string day;
  Pusd cost = 0;

  std::string what() const;  // "openai/gpt-4o of 2026-11"
};

// CSV (RFC 4180) with a header. Columns: cost_usd, and one of attempt_id; request_id; provider and
// model with month or day. Others are ignored. INVALID_ARGUMENT with "FILE:LINE".
Result<std::vector<InvoiceLine>> ParseInvoice(std::string_view text, const std::string& file);

struct InvoiceMatch {
  Pusd billed = 0;
  Pusd settled = 0;  // reconciled included
  Pusd disputed = 0;
  std::size_t attempts = 0;
  std::vector<LedgerAttempt> of_disputed;
  std::vector<LedgerAttempt> of_settled;
};

// What the ledger has of it.
Result<InvoiceMatch> MatchInvoice(const InvoiceLine& line, Ledger& ledger);

// Disputed attempts become what is left of the invoice after the settled ones, in proportion to
// their bounds; what is billed beyond them is added as an attempt of its own; what is billed less
// than was settled is taken off the settled ones in proportion.
Result<> ApplyInvoice(const InvoiceLine& line, const InvoiceMatch& match, Ledger& ledger,
                      WallTime now);

}  // namespace garrison
