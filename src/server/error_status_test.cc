#include "server/error_status.h"

#include <gtest/gtest.h>

#include <map>

namespace garrison {
namespace {

TEST(ErrorStatus, EveryCodeHasItsStatus) {
  const std::map<Code, int> expected = {
      {Code::kCancelled, 499},          {Code::kUnknown, 500},
      {Code::kInvalidArgument, 400},    {Code::kDeadlineExceeded, 504},
      {Code::kNotFound, 404},           {Code::kAlreadyExists, 409},
      {Code::kPermissionDenied, 403},   {Code::kResourceExhausted, 429},
      {Code::kFailedPrecondition, 400}, {Code::kAborted, 409},
      {Code::kOutOfRange, 400},         {Code::kUnimplemented, 501},
      {Code::kInternal, 500},           {Code::kUnavailable, 503},
      {Code::kDataLoss, 500},           {Code::kUnauthenticated, 401},
  };
  ASSERT_EQ(expected.size(), kAllCodes.size());
  for (const Code code : kAllCodes)
    EXPECT_EQ(HttpStatusOf(code), expected.at(code)) << CodeName(code);
}

TEST(ErrorStatus, TypesAreOpenAis) {
  EXPECT_EQ(OpenAiErrorType(400), "invalid_request_error");
  EXPECT_EQ(OpenAiErrorType(413), "invalid_request_error");
  EXPECT_EQ(OpenAiErrorType(401), "authentication_error");
  EXPECT_EQ(OpenAiErrorType(403), "permission_error");
  EXPECT_EQ(OpenAiErrorType(404), "not_found_error");
  EXPECT_EQ(OpenAiErrorType(429), "rate_limit_error");
  EXPECT_EQ(OpenAiErrorType(503), "server_error");
}

}  // namespace
}  // namespace garrison
