#include "net/http_parser.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

tl::expected<HttpRequest, HttpRefusal> Parse(std::string_view bytes, HttpParserLimits limits = {}) {
  std::size_t consumed = 0;
  return ParseHttpRequest(bytes, limits, consumed);
}

TEST(HttpParser, SplitsTheTargetAndKeepsHeadersAndBody) {
  const auto request = Parse(
      "POST /v1/embeddings?a=b HTTP/1.1\r\nHost: x\r\nX-Request-ID: 7\r\nContent-Length: "
      "3\r\n\r\nabcREST");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->path, "/v1/embeddings");
  EXPECT_EQ(request->query, "a=b");
  EXPECT_EQ(request->header("x-request-id"), "7");
  EXPECT_EQ(request->header("absent"), "");
  EXPECT_EQ(request->body, "abc");
}

TEST(HttpParser, ReadsChunkedBodies) {
  const auto request = Parse(
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->body, "abcde");
}

TEST(HttpParser, TheTargetMayBeAbsoluteAndEncoded) {
  EXPECT_EQ(Parse("GET http://x/v1/models%2Fa%3Ab?q HTTP/1.1\r\nHost: x\r\n\r\n")->path,
            "/v1/models/a:b");
  EXPECT_EQ(Parse("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n")->path, "/");
}

TEST(HttpParser, TrailersAreNotHeaders) {
  const auto request = Parse(
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
      "X-Request-ID: trailer\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->body, "a");
  EXPECT_EQ(request->header("X-Request-ID"), "");
}

TEST(HttpParser, TellsHowManyBytesBelongToTheMessage) {
  const std::string one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  std::size_t consumed = 0;
  ASSERT_TRUE(ParseHttpRequest(one + one, {}, consumed));
  EXPECT_EQ(consumed, one.size());
}

struct Refused {
  const char* what;
  std::string bytes;
  int status;
};

class HttpRefusals : public testing::TestWithParam<Refused> {};

TEST_P(HttpRefusals, AnswersWithTheRightStatus) {
  const auto request = Parse(GetParam().bytes, {512, 16});
  ASSERT_FALSE(request) << GetParam().what;
  EXPECT_EQ(request.error().status, GetParam().status) << request.error().error.message;
  EXPECT_FALSE(request.error().error.message.empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, HttpRefusals,
    testing::Values(
        Refused{"not http", "hello\r\n\r\n", 400}, Refused{"empty", "", 400},
        Refused{"cut off", "GET / HTTP/1.1\r\nHost: x\r\n", 400},
        Refused{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
        Refused{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        Refused{"http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        Refused{"space in header name", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
        Refused{"NUL in header", std::string("GET / HTTP/1.1\r\nHost: \0x\r\n\r\n", 28), 400},
        Refused{"length and chunked",
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
                "chunked\r\n\r\n0\r\n\r\n",
                400},
        Refused{"two lengths",
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
                400},
        Refused{"unknown transfer encoding",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        Refused{"identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
                400},
        Refused{"chunked with a parameter",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
                400},
        Refused{"chunked not last",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400},
        Refused{"two encodings",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                400},
        Refused{"two encoding headers",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n"
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400},
        Refused{
            "unknown encoding and length",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n"
            "abcde",
            400},
        Refused{"chunked in HTTP/1.0",
                "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
                "0\r\n\r\n",
                400},
        Refused{"broken percent", "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Refused{"no path", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Refused{"a folded header", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400},
        Refused{"folded framing",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
                400},
        Refused{"negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        Refused{"bad chunk size",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        Refused{"long headers",
                "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(1000, 'a') + "\r\n\r\n", 431},
        Refused{"long body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n", 413},
        Refused{"huge length",
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", 413},
        Refused{"long chunked body",
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" +
                    std::string(32, 'a') + "\r\n0\r\n\r\n",
                413}));

}  // namespace
}  // namespace garrison
