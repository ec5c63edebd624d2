// What a Split or Replace step looks for: a fixed text or a regular expression.
//
// The expressions that models ship are recognised by their text and matched by hand-written
// scanners over the measured Unicode tables; everything else goes to PCRE2, with limits.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/aligned_text.h"

namespace garrison::tokenizers {

// Immutable; safe to share between threads.
class Pattern {
 public:
  virtual ~Pattern() = default;
  // Appends the matches from left to right, without overlap. RESOURCE_EXHAUSTED when the
  // expression needs more steps than the limit.
  virtual Result<> Find(std::string_view text, std::vector<Span>& matches) const = 0;

  static std::unique_ptr<Pattern> Literal(std::string text);
  // INVALID_ARGUMENT when PCRE2 does not understand it.
  static Result<std::unique_ptr<Pattern>> Regex(const std::string& expression);
};

// The pattern of the ByteLevel step.
std::unique_ptr<Pattern> Gpt2Pattern();
// The hand-written scanner for `expression`, or null.
std::unique_ptr<Pattern> KnownPattern(std::string_view expression);

}  // namespace garrison::tokenizers
