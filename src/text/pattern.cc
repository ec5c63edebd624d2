#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <chrono>

namespace garrison::tokenizers {
namespace {

// Steps of backtracking for one match. Real expressions need a handful a character.
constexpr std::uint32_t kStepsMax = 200'000;
constexpr std::uint32_t kHeapKibMax = 20'000;
constexpr std::size_t kExpressionBytesMax = 16'384;
// All matches of one text together: an expression may be slow at every place without ever reaching
// the limit of one match.
constexpr std::chrono::seconds kTimeMax{10};
constexpr std::size_t kMatchesPerClock = 64;

class LiteralPattern : public Pattern {
 public:
  explicit LiteralPattern(std::string text) : text_(std::move(text)) {}

  Result<> Find(std::string_view text, std::vector<Span>& matches) const override {
    if (text_.empty()) return {};
    for (std::size_t at = text.find(text_); at != std::string_view::npos;
         at = text.find(text_, at + text_.size())) {
      matches.push_back(
          {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + text_.size())});
    }
    return {};
  }

 private:
  const std::string text_;
};

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string PcreMessage(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

class RegexPattern : public Pattern {
 public:
  explicit RegexPattern(std::unique_ptr<pcre2_code, FreeCode> code) : code_(std::move(code)) {}

  Result<> Find(std::string_view text, std::vector<Span>& matches) const override {
    const std::unique_ptr<pcre2_match_data, FreeMatch> data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const std::unique_ptr<pcre2_match_context, FreeContext> context(
        pcre2_match_context_create(nullptr));
    if (data == nullptr || context == nullptr) {
      return Fail(Code::kResourceExhausted, "no memory for a regular expression");
    }
    pcre2_set_match_limit(context.get(), kStepsMax);
    pcre2_set_heap_limit(context.get(), kHeapKibMax);
    const auto end = std::chrono::steady_clock::now() + kTimeMax;
    std::size_t at = 0;
    for (std::size_t round = 0; at <= text.size(); ++round) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                    text.size(), at, PCRE2_NO_UTF_CHECK, data.get(), context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) {
        return Fail(Code::kResourceExhausted,
                    "a regular expression of the tokenizer gave up on this text: {}",
                    PcreMessage(found));
      }
      if (round % kMatchesPerClock == kMatchesPerClock - 1 &&
          std::chrono::steady_clock::now() > end) {
        return Fail(Code::kResourceExhausted,
                    "a regular expression of the tokenizer takes more than {} s on this text",
                    kTimeMax.count());
      }
      const PCRE2_SIZE* place = pcre2_get_ovector_pointer(data.get());
      // \K in a lookahead can make a match end before it starts.
      if (place[1] < place[0] || place[0] < at) break;
      matches.push_back(
          {static_cast<std::uint32_t>(place[0]), static_cast<std::uint32_t>(place[1])});
      at = place[1];
      if (place[0] == place[1]) at += at < text.size() ? CharBytes(text[at]) : 1;
    }
    return {};
  }

 private:
  const std::unique_ptr<pcre2_code, FreeCode> code_;
};

}  // namespace

std::unique_ptr<Pattern> Pattern::Literal(std::string text) {
  return std::make_unique<LiteralPattern>(std::move(text));
}

Result<std::unique_ptr<Pattern>> Pattern::Regex(const std::string& expression) {
  if (auto known = KnownPattern(expression)) return known;
  if (expression.size() > kExpressionBytesMax) {
    return Fail(Code::kInvalidArgument, "expected a regular expression of at most {} bytes, got {}",
                kExpressionBytesMax, expression.size());
  }
  int error = 0;
  PCRE2_SIZE place = 0;
  std::unique_ptr<pcre2_code, FreeCode> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr));
  if (code == nullptr) {
    return Fail(Code::kInvalidArgument,
                "the regular expression \"{}\" is not understood: {}, at {}", expression,
                PcreMessage(error), place);
  }
  // Without JIT it is slower, and gives the same.
  (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return std::make_unique<RegexPattern>(std::move(code));
}

}  // namespace garrison::tokenizers
