#include "server/dialect.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "base/check.h"
#include "wire/anthropic.h"
#include "wire/cohere.h"
#include "wire/home.h"
#include "wire/ollama.h"
#include "wire/openai.h"
#include "wire/tei.h"

namespace garrison {
namespace {

struct Row {
  Code code;
  int status;
  // text-embeddings-inference names its errors and has statuses of its own for some.
  int tei_status;
  std::string_view tei_type;
};

constexpr int kTeiValidation = 0;  // as the setting says

constexpr std::array kTable = {
    Row{Code::kCancelled, 499, 499, "Backend"},
    Row{Code::kUnknown, 500, 424, "Backend"},
    Row{Code::kInvalidArgument, 400, kTeiValidation, "Validation"},
    Row{Code::kDeadlineExceeded, 504, 504, "Backend"},
    Row{Code::kNotFound, 404, 404, "Validation"},
    Row{Code::kAlreadyExists, 409, 409, "Validation"},
    Row{Code::kPermissionDenied, 403, 403, "Validation"},
    Row{Code::kResourceExhausted, 429, 429, "Overloaded"},
    Row{Code::kFailedPrecondition, 400, 424, "Backend"},
    Row{Code::kAborted, 409, 409, "Backend"},
    Row{Code::kOutOfRange, 400, 400, "Empty"},
    Row{Code::kUnimplemented, 501, 424, "Backend"},
    Row{Code::kInternal, 500, 424, "Backend"},
    Row{Code::kUnavailable, 503, 503, "Unhealthy"},
    Row{Code::kDataLoss, 500, 424, "Backend"},
    Row{Code::kUnauthenticated, 401, 401, "Validation"},
};

// Of money and its switches: asking again soon does not help, and would be done by clients of
// OpenAI and Anthropic on their own.
constexpr std::array<std::string_view, 6> kLasting = {"budget_exceeded", "request_too_dear",
                                                      "unknown_price",   "kill_switch_active",
                                                      "premium_paused",  "model_frozen"};

const Row& RowOf(Code code) {
  const auto row =
      std::find_if(kTable.begin(), kTable.end(), [&](const Row& r) { return r.code == code; });
  CHECK(row != kTable.end());
  return *row;
}

std::string_view OpenAiErrorType(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string EncodeError(Dialect dialect, const Error& error, int status,
                        std::string_view request_id) {
  switch (dialect) {
    case Dialect::kAnthropic:
      return EncodeAnthropicError(error, status, request_id);
    case Dialect::kTei:
      return EncodeTeiError(error, RowOf(error.code).tei_type);
    case Dialect::kCohere:
      return EncodeCohereError(error);
    case Dialect::kOllama:
      return EncodeOllamaError(error);
    case Dialect::kHome:
      return EncodeHomeError(error);
    case Dialect::kOpenAi:
      break;
  }
  return EncodeOpenAiError(error, OpenAiErrorType(status));
}

}  // namespace

std::string_view DialectName(Dialect dialect) {
  switch (dialect) {
    case Dialect::kAnthropic:
      return "anthropic";
    case Dialect::kTei:
      return "tei";
    case Dialect::kCohere:
      return "cohere";
    case Dialect::kOllama:
      return "ollama";
    case Dialect::kHome:
      return "home";
    case Dialect::kOpenAi:
      break;
  }
  return "openai";
}

int StatusOf(Dialect dialect, Code code, int tei_validation) {
  const Row& row = RowOf(code);
  if (dialect != Dialect::kTei) return row.status;
  return row.tei_status == kTeiValidation ? tei_validation : row.tei_status;
}

HttpResponse JsonResponse(std::string body, int status) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse ErrorResponseWithStatus(Dialect dialect, const Error& error, int status,
                                     std::string_view request_id) {
  HttpResponse response = JsonResponse(EncodeError(dialect, error, status, request_id), status);
  if (error.retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*error.retry_after);
    response.headers.push_back({"Retry-After", std::to_string(std::max<long>(1, seconds.count()))});
  }
  if (std::find(kLasting.begin(), kLasting.end(), error.reason) != kLasting.end()) {
    response.headers.push_back({"x-should-retry", "false"});
  }
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

HttpResponse ErrorResponse(Dialect dialect, const Error& error, int tei_validation,
                           std::string_view request_id) {
  return ErrorResponseWithStatus(dialect, error, StatusOf(dialect, error.code, tei_validation),
                                 request_id);
}

}  // namespace garrison
