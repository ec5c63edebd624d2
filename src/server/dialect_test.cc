#include "server/dialect.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

namespace garrison {
namespace {

using Json = nlohmann::json;

constexpr std::array kDialects = {Dialect::kOpenAi, Dialect::kAnthropic, Dialect::kTei,
                                  Dialect::kCohere, Dialect::kOllama,    Dialect::kHome};

TEST(Dialect, EveryCodeHasItsStatus) {
  struct Expected {
    int status, tei;
    const char* type;
  };
  const std::map<Code, Expected> expected = {
      {Code::kCancelled, {499, 499, "Backend"}},
      {Code::kUnknown, {500, 424, "Backend"}},
      {Code::kInvalidArgument, {400, 422, "Validation"}},
      {Code::kDeadlineExceeded, {504, 504, "Backend"}},
      {Code::kNotFound, {404, 404, "Validation"}},
      {Code::kAlreadyExists, {409, 409, "Validation"}},
      {Code::kPermissionDenied, {403, 403, "Validation"}},
      {Code::kResourceExhausted, {429, 429, "Overloaded"}},
      {Code::kFailedPrecondition, {400, 424, "Backend"}},
      {Code::kAborted, {409, 409, "Backend"}},
      {Code::kOutOfRange, {400, 400, "Empty"}},
      {Code::kUnimplemented, {501, 424, "Backend"}},
      {Code::kInternal, {500, 424, "Backend"}},
      {Code::kUnavailable, {503, 503, "Unhealthy"}},
      {Code::kDataLoss, {500, 424, "Backend"}},
      {Code::kUnauthenticated, {401, 401, "Validation"}},
  };
  ASSERT_EQ(expected.size(), kAllCodes.size());
  for (const Code code : kAllCodes) {
    const Error error{code, "no", "field", std::nullopt};
    for (const Dialect dialect : kDialects) {
      const bool tei = dialect == Dialect::kTei;
      const HttpResponse response = ErrorResponse(dialect, error, 422);
      EXPECT_EQ(response.status, tei ? expected.at(code).tei : expected.at(code).status)
          << DialectName(dialect) << " " << CodeName(code);
      if (tei) {
        EXPECT_EQ(Json::parse(response.body)["error_type"], expected.at(code).type);
      }
    }
  }
  EXPECT_EQ(StatusOf(Dialect::kTei, Code::kInvalidArgument, 413), 413);
}

TEST(Dialect, BodiesAreTheirs) {
  const Error error{Code::kInvalidArgument, "no", "field", std::nullopt};
  const std::map<Dialect, Json> bodies = {
      {Dialect::kOpenAi,
       {{"error",
         {{"message", "field: no"},
          {"type", "invalid_request_error"},
          {"param", "field"},
          {"code", "INVALID_ARGUMENT"}}}}},
      {Dialect::kAnthropic,
       {{"type", "error"},
        {"error", {{"type", "invalid_request_error"}, {"message", "field: no"}}},
        {"request_id", "r-1"}}},
      {Dialect::kTei, {{"error", "field: no"}, {"error_type", "Validation"}}},
      {Dialect::kCohere, {{"message", "field: no"}}},
      {Dialect::kOllama, {{"error", "field: no"}}},
      {Dialect::kHome, {{"detail", "field: no"}}},
  };
  for (const Dialect dialect : kDialects) {
    EXPECT_EQ(Json::parse(ErrorResponse(dialect, error, 422, "r-1").body), bodies.at(dialect));
  }
}

TEST(Dialect, OpenAisTypesOfErrors) {
  const std::map<int, std::string> types = {
      {400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"},
      {404, "not_found_error"},       {413, "invalid_request_error"}, {429, "rate_limit_error"},
      {503, "server_error"}};
  for (const auto& [status, type] : types) {
    const HttpResponse response =
        ErrorResponseWithStatus(Dialect::kOpenAi, Error{Code::kUnknown, "no", "", {}}, status);
    EXPECT_EQ(Json::parse(response.body)["error"]["type"], type) << status;
  }
}

TEST(Dialect, RetryAfterInWholeSeconds) {
  Error error{Code::kResourceExhausted, "busy", "", std::chrono::milliseconds(1200)};
  const HttpResponse response = ErrorResponse(Dialect::kTei, error, 422);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].value, "2");
}

TEST(Dialect, ClientsAreNotToAskAgainWhereMoneyIsShort) {
  Error error{Code::kResourceExhausted, "no money", "", std::nullopt, "budget_exceeded"};
  const HttpResponse response = ErrorResponse(Dialect::kOpenAi, error, 422);
  EXPECT_EQ(response.status, 429);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].name, "x-should-retry");
  EXPECT_EQ(Json::parse(response.body)["error"]["code"], "budget_exceeded");
  error.reason = "rate_limit_exceeded";
  EXPECT_TRUE(ErrorResponse(Dialect::kOpenAi, error, 422).headers.empty());
}

}  // namespace
}  // namespace garrison
