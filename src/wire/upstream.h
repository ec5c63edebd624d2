// What all vendors' answers become: vectors in the order of the inputs, or a class of failure.
// Pure: no input or output. Nothing that a vendor sends is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// Why a vendor did not answer, as far as it decides what happens next.
enum class FailureClass : std::uint8_t {
  kBadRequest,      // what was asked cannot be answered, here or anywhere: 400, 413, 422
  kAuthentication,  // the key is wrong: 401
  kPermission,      // the key is right and may not: 403
  kBilling,         // no money: 402, insufficient_quota, a spend limit
  kNotFound,        // no such model or address: 404, 410
  kRateLimit,       // too much at once: 429
  kTimeout,         // 408, 504, and every limit of our own
  kOverloaded,      // 503, 529
  kServer,          // any other fault of the vendor's: 409, 424, 5xx
  kNetwork,         // no connection, or one that was cut
  kBadReply,        // an answer that cannot be used
  kRedirect,        // another address is named; it is not followed
  kCircuitOpen,     // not asked: it failed again and again a moment ago
};

// "rate_limit": as settings and docs/providers.md name it.
std::string_view FailureName(FailureClass kind);
std::optional<FailureClass> FailureOf(std::string_view name);

struct UpstreamFailure {
  FailureClass kind = FailureClass::kServer;
  std::string message;  // the vendor's own, short, without secrets; may be empty
};

// What the status alone says.
FailureClass ClassOfStatus(int status);

// At most 200 bytes in one line of UTF-8. What looks like a key, and each of `secrets`, is masked.
std::string ShortMessage(std::string_view message, std::span<const std::string> secrets);

// Well-formed UTF-8 of RFC 3629: no overlong forms, no surrogates.
bool IsUtf8(std::string_view text);

// The vendor's answer to a number of inputs.
struct UpstreamVectors {
  std::size_t dimension = 0;
  std::vector<float> values;  // [inputs, dimension], row-major, in the order of the inputs
  // Of all inputs together, as the vendor counts and bills them; unset: it does not say.
  std::optional<std::uint64_t> tokens;
  // Of each input, where the vendor says so; otherwise empty.
  std::vector<std::size_t> tokens_each;
};

// Gathers one vector for each of `count` inputs, in any order. Errors are UNAVAILABLE: another
// answer may be better, this one cannot be used.
class VectorRows {
 public:
  explicit VectorRows(std::size_t count) : seen_(count, false) {}

  // A list of numbers, or base64 of little-endian float32. Fails for an index that is not there or
  // comes twice, a dimension that is not that of the others, and what is not finite or all zeros.
  Result<> Add(std::size_t index, const nlohmann::json& vector);
  // Fails when a vector is missing.
  Result<UpstreamVectors> Finish() &&;

 private:
  Result<std::span<float>> Place(std::size_t index, std::size_t dimension);

  std::vector<bool> seen_;
  std::size_t added_ = 0;
  UpstreamVectors vectors_;
};

// Whether a vendor can mean it: a whole number that sums of it do not overflow.
bool IsTokenCount(const nlohmann::json& value);

// A reply's body as JSON. UNAVAILABLE, without any of its bytes in the message.
Result<nlohmann::json> ParseUpstreamJson(std::string_view body);

}  // namespace garrison
