// The error model: functions that can fail return Result<T>; nothing in Garrison throws.
//
// Third-party exceptions are caught in the module that owns the third party and become an Error
// there. A message says what was expected, what came, and what to do; `where` says which input is
// meant.
#pragma once

#include <fmt/core.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace garrison {

// The 16 canonical gRPC error codes with gRPC's numbers; there will never be more.
// Each front end has one table from these to its own statuses.
enum class Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

inline constexpr std::array kAllCodes = {
    Code::kCancelled,        Code::kUnknown,           Code::kInvalidArgument,
    Code::kDeadlineExceeded, Code::kNotFound,          Code::kAlreadyExists,
    Code::kPermissionDenied, Code::kResourceExhausted, Code::kFailedPrecondition,
    Code::kAborted,          Code::kOutOfRange,        Code::kUnimplemented,
    Code::kInternal,         Code::kUnavailable,       Code::kDataLoss,
    Code::kUnauthenticated,
};

// gRPC's name, for example "INVALID_ARGUMENT".
std::string_view CodeName(Code code);

struct Error {
  Code code = Code::kUnknown;
  std::string message;
  // Which input is at fault: a JSON field ("input[3]"), "FILE:LINE", a configuration key. May be
  // empty.
  std::string where;
  // When the same call may succeed, where that is known.
  std::optional<std::chrono::milliseconds> retry_after;
  // Tells errors of one code apart for programs ("context_length_exceeded"). Mostly empty.
  std::string reason = {};

  // "INVALID_ARGUMENT: input[3]: expected a string, got a number"
  std::string ToString() const;
  // "input[3]: expected a string, got a number"
  std::string Sentence() const;

  bool operator==(const Error&) const = default;
};

template <typename T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

// Makes a failure with a formatted message: `return Fail(Code::kNotFound, "no model {}", name);`
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> Fail(Code code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(
      Error{code, fmt::format(format, std::forward<Args>(args)...), "", std::nullopt});
}

// The same with the place in the input that is at fault.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> FailAt(std::string where, Code code,
                                           fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...),
                                     std::move(where), std::nullopt});
}

// `prefix` is put before the error's own place: At("turn 3", {where: "message"}) -> "turn 3:
// message".
[[nodiscard]] Error At(std::string_view prefix, Error error);

#define GARRISON_CONCAT_INNER(a, b) a##b
#define GARRISON_CONCAT(a, b) GARRISON_CONCAT_INNER(a, b)

// Leaves the calling function with the error of `expression`, a Result<T>, if it has one.
#define RETURN_IF_ERROR(expression)                                                  \
  do {                                                                               \
    auto garrison_status = (expression);                                             \
    if (!garrison_status) return tl::unexpected(std::move(garrison_status).error()); \
  } while (false)

// ASSIGN_OR_RETURN(auto file, Open(path)): the value of a Result<T>, or leaves with its error.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_IMPL(GARRISON_CONCAT(garrison_result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_IMPL(result, target, expression)        \
  auto result = (expression);                                    \
  if (!result) return tl::unexpected(std::move(result).error()); \
  target = *std::move(result)

}  // namespace garrison
