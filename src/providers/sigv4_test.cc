#include "providers/sigv4.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

// 2015-08-30 12:36:00 UTC, the time of all vectors.
const WallTime kTime = WallTime(std::chrono::seconds(1'440'938'160));

SigV4Key Key(std::string service, std::string token = "") {
  return {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", std::move(token), "us-east-1",
          std::move(service)};
}

std::string SignatureOf(const std::vector<HttpHeader>& headers) {
  const std::string& value = headers.back().value;
  return value.substr(value.rfind('=') + 1);
}

struct Vector {
  const char* name;
  const char* method;
  const char* path;
  std::vector<HttpHeader> headers;
  const char* signature;
};

// AWS's published test suite (aws-sig-v4-test-suite): service "service", example.amazonaws.com.
TEST(SigV4, AgreesWithThePublishedSuite) {
  const std::vector<Vector> vectors = {
      {"get-vanilla",
       "GET",
       "/",
       {},
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"post-vanilla",
       "POST",
       "/",
       {},
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"get-utf8",
       "GET",
       "/\xe1\x88\xb4",
       {},
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space",
       "GET",
       "/example space/",
       {},
       "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-unreserved",
       "GET",
       "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
       {},
       "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-header-value-trim",
       "GET",
       "/",
       {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"get-header-key-duplicate",
       "GET",
       "/",
       {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"post-header-key-sort",
       "POST",
       "/",
       {{"My-Header1", "value1"}},
       "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
  };
  for (const Vector& vector : vectors) {
    const SigV4Request request{vector.method, "example.amazonaws.com", vector.path, vector.headers,
                               ""};
    EXPECT_EQ(SignatureOf(SignSigV4(request, Key("service"), kTime)), vector.signature)
        << vector.name;
  }
}

// post-sts-header-before of the same suite.
TEST(SigV4, TheSessionTokenIsSigned) {
  const std::string token =
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP"
      "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT"
      "7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlz"
      "m8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
  const auto headers =
      SignSigV4({"POST", "example.amazonaws.com", "/", {}, ""}, Key("service", token), kTime);
  ASSERT_EQ(headers.size(), 3u);
  EXPECT_EQ(headers[1].value, token);
  EXPECT_EQ(SignatureOf(headers),
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
  EXPECT_NE(headers[2].value.find("SignedHeaders=host;x-amz-date;x-amz-security-token,"),
            std::string::npos);
}

// Made with botocore 1.43.11: a colon in the model's name signs differently as it is sent.
TEST(SigV4, BedrockPathsAreEncodedOnceMore) {
  const std::vector<HttpHeader> type = {{"Content-Type", "application/json"}};
  const auto signature = [&](std::string_view path) {
    return SignatureOf(SignSigV4(
        {"POST", "bedrock-runtime.us-east-1.amazonaws.com", path, type, R"({"inputText":"hello"})"},
        Key("bedrock"), kTime));
  };
  EXPECT_EQ(signature("/model/amazon.titan-embed-text-v2:0/invoke"),
            "25e29a3721bc741afb5ca5f480697d39f8eb1e87b19c5dd232043c92f442929d");
  EXPECT_EQ(signature("/model/amazon.titan-embed-text-v2%3A0/invoke"),
            "7202de16d6a442c98902b59ec25c3718b2b385851e66522b35523646d3f7f0e0");
}

TEST(SigV4, EncodingKeepsTheUnreserved) {
  EXPECT_EQ(PercentEncode("a/b:c %~\xc3\xa9", true), "a/b%3Ac%20%25~%C3%A9");
  EXPECT_EQ(PercentEncode("arn:aws:bedrock:us-east-1::model/x", false),
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Amodel%2Fx");
}

}  // namespace
}  // namespace garrison
