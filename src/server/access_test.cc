#include "server/access.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace garrison {
namespace {

std::shared_ptr<const KeyRing> Ring(const std::string& text) {
  return std::make_shared<const KeyRing>(KeyRing::Parse(text, "f").value());
}

const std::string kSite = "site embed " + Sha256Hex("one");
const std::string kBoss = "boss admin " + Sha256Hex("two");

HttpRequest Request(std::vector<HttpHeader> headers, std::string method = "POST") {
  HttpRequest request;
  request.method = std::move(method);
  request.headers = std::move(headers);
  return request;
}

TEST(PresentedKey, TakesBothHeaders) {
  EXPECT_EQ(PresentedKey("Bearer abc", ""), "abc");
  EXPECT_EQ(PresentedKey("bearer   abc", "other"), "abc");
  EXPECT_EQ(PresentedKey("Basic abc", "other"), "other");
  EXPECT_EQ(PresentedKey("", ""), "");
}

TEST(Access, WithoutKeysEveryoneMayDoAllOnThisMachine) {
  const ManualClock clock;
  Access access({}, Ring(""), clock);
  EXPECT_EQ(access.Identify(Scope::kEmbed, "").value(), "");
  EXPECT_EQ(access.Identify(Scope::kAdmin, "anything").value(), "");
}

TEST(Access, WithKeysEveryoneNeedsOneOfTheScope) {
  const ManualClock clock;
  Access access({}, Ring(kSite + "\n" + kBoss), clock);
  EXPECT_EQ(access.Identify(Scope::kOpen, "").value(), "");
  EXPECT_EQ(access.Identify(Scope::kEmbed, "one").value(), "site");
  EXPECT_EQ(access.Identify(Scope::kAdmin, "two").value(), "boss");
  EXPECT_EQ(access.Identify(Scope::kEmbed, "").error().code, Code::kUnauthenticated);
  EXPECT_EQ(access.Identify(Scope::kEmbed, "three").error().reason, "invalid_api_key");
  EXPECT_EQ(access.Identify(Scope::kChat, "one").error().code, Code::kPermissionDenied);
  EXPECT_EQ(access.Identify(Scope::kAdmin, "one").error().code, Code::kPermissionDenied);
  access.SetKeys(Ring(kBoss));
  EXPECT_EQ(access.Identify(Scope::kEmbed, "one").error().code, Code::kUnauthenticated);
  EXPECT_EQ(access.CountRequest("site").error().code, Code::kUnauthenticated) << "of a stream";
  EXPECT_TRUE(access.CountRequest(""));
}

TEST(Access, ALimitThatComesLaterDoesNotAskForWhatWasUsedBefore) {
  ManualClock clock;
  Access access({}, Ring(kSite + " tokens_per_minute=600"), clock);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(access.CountRequest("site"));
  access.SetKeys(Ring(kSite + " requests_per_minute=60"));
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(access.CountRequest("site"));
  EXPECT_FALSE(access.CountRequest("site"));
}

TEST(Access, AdminRoutesAreOffWhereOthersComeIn) {
  const ManualClock clock;
  const auto admits = [&](const std::string& bind, const std::string& routes) {
    ServerSettings settings;
    settings.bind = bind;
    settings.admin_routes = routes;
    return Access(settings, Ring(kBoss), clock).Identify(Scope::kAdmin, "two").has_value();
  };
  EXPECT_TRUE(admits("127.0.0.1", "auto"));
  EXPECT_TRUE(admits("::1", "auto"));
  EXPECT_FALSE(admits("0.0.0.0", "auto"));
  EXPECT_TRUE(admits("0.0.0.0", "on"));
  EXPECT_FALSE(admits("127.0.0.1", "off"));
}

TEST(Access, CountsRequestsByTheMinute) {
  ManualClock clock;
  Access access({}, Ring(kSite + " requests_per_minute=3\n" + kBoss), clock);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(access.CountRequest("site"));
  const Result<> refused = access.CountRequest("site");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_after, std::chrono::seconds(20));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(access.CountRequest("boss")) << "has no limit";
  clock.Advance(std::chrono::seconds(19));
  EXPECT_FALSE(access.CountRequest("site"));
  clock.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(access.CountRequest("site"));
  EXPECT_FALSE(access.CountRequest("site"));
  clock.Advance(std::chrono::hours(9));
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(access.CountRequest("site")) << "never more than a minute's";
  EXPECT_FALSE(access.CountRequest("site"));
}

TEST(Access, TokensAreMadeUpForAfterwards) {
  ManualClock clock;
  Access access({}, Ring(kSite + " tokens_per_minute=600"), clock);
  EXPECT_TRUE(access.CountRequest("site"));
  access.Charge("site", 599);
  EXPECT_TRUE(access.CountRequest("site"));
  access.Charge("site", 301);  // 300 over
  const Result<> refused = access.CountRequest("site");
  ASSERT_FALSE(refused);
  EXPECT_GE(refused.error().retry_after, std::chrono::seconds(30));
  clock.Advance(std::chrono::milliseconds(30'200));
  EXPECT_TRUE(access.CountRequest("site"));
  access.Charge("nobody", 5);
}

TEST(Access, WebsitesOfOthersMayNotUseAServiceOnThisMachine) {
  const ManualClock clock;
  const Access access({}, Ring(""), clock);
  EXPECT_TRUE(access.CheckBrowser(Request({{"Host", "anything"}}))) << "no browser";
  EXPECT_TRUE(access.CheckBrowser(Request({}))) << "HTTP/1.0";
  EXPECT_TRUE(access.CheckBrowser(
      Request({{"Host", "localhost:8000"}, {"Origin", "http://localhost:8000"}})));
  EXPECT_TRUE(
      access.CheckBrowser(Request({{"Host", "[::1]:8000"}, {"Origin", "http://[::1]:8000"}})));
  EXPECT_TRUE(access.CheckBrowser(
      Request({{"Host", "127.0.0.1:8000"}, {"Sec-Fetch-Site", "cross-site"}}, "GET")))
      << "a link";
  for (const auto& headers : std::vector<std::vector<HttpHeader>>{
           {{"Host", "localhost:8000"}, {"Origin", "https://evil.example"}},
           {{"Host", "localhost:8000"}, {"Origin", "null"}},
           {{"Host", "localhost:8000"}, {"Origin", "http://localhost:3000"}},
           {{"Host", "localhost:8000"}, {"Sec-Fetch-Site", "cross-site"}},
           {{"Host", "evil.example:8000"}, {"Origin", "http://evil.example:8000"}},
           {{"Host", "127.0.0.1.evil.example"}, {"Sec-Fetch-Site", "same-origin"}},
           {{"Host", "evil.example:8000"}, {"Accept", "*/*"}}}) {
    const Result<> refused = access.CheckBrowser(Request(headers));
    ASSERT_FALSE(refused) << headers[0].value << " " << headers[1].value;
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  }
  EXPECT_TRUE(access.CorsHeaders(Request({{"Origin", "https://evil.example"}})).empty());
  EXPECT_FALSE(access.CheckBrowser(Request({{"Host", "evil.example:8000"}}, "GET")))
      << "a page under a foreign name sends no Origin";
  EXPECT_TRUE(Access({}, Ring(kSite), clock).CheckBrowser(Request({{"Host", "mine.example"}})))
      << "keys protect it";
}

TEST(Access, CorsNamesTheOriginsThatMay) {
  const ManualClock clock;
  ServerSettings settings;
  settings.cors_origins = "https://app.example, http://localhost:3000";
  const Access access(settings, Ring(""), clock);
  const HttpRequest app = Request({{"Host", "127.0.0.1:8000"}, {"Origin", "https://app.example"}});
  EXPECT_TRUE(access.CheckBrowser(app));
  EXPECT_TRUE(access.CheckBrowser(Request({{"Host", "app.example:8000"}}))) << "behind a proxy";
  const auto headers = access.CorsHeaders(app);
  ASSERT_EQ(headers.size(), 3U);
  EXPECT_EQ(headers[0].value, "Origin");
  EXPECT_EQ(headers[1].value, "https://app.example");
  const HttpRequest other = Request({{"Host", "127.0.0.1"}, {"Origin", "https://other.example"}});
  EXPECT_FALSE(access.CheckBrowser(other));
  EXPECT_EQ(access.CorsHeaders(other).size(), 1U) << "Vary alone";
  const auto preflight =
      access.CorsHeaders(Request({{"Origin", "http://localhost:3000"},
                                  {"Access-Control-Request-Headers", "authorization,x-thing"}},
                                 "OPTIONS"));
  ASSERT_EQ(preflight.size(), 6U);
  EXPECT_EQ(preflight[4].value, "authorization,x-thing");
}

}  // namespace
}  // namespace garrison
