#include "net/url.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(Url, TakesApartWhatClientsNeed) {
  const Url plain = *ParseUrl("http://Example.COM");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.host, "example.com");
  EXPECT_EQ(plain.port, 80);
  EXPECT_EQ(plain.target, "/");
  EXPECT_EQ(plain.authority(), "example.com");

  const Url full = *ParseUrl("HTTPS://h-1.x:8443/model/a%3A0/invoke?q=%2F&r");
  EXPECT_TRUE(full.tls);
  EXPECT_EQ(full.port, 8443);
  EXPECT_EQ(full.target, "/model/a%3A0/invoke?q=%2F&r");
  EXPECT_EQ(full.authority(), "h-1.x:8443");

  const Url six = *ParseUrl("https://[::1]:99?x");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.authority(), "[::1]:99");
  EXPECT_EQ(six.target, "/?x");
}

TEST(Url, RefusesWhatCannotBeSentOrWouldLeakAKey) {
  for (const char* text :
       {"", "x", "ftp://x/", "http://", "http:///p", "http://a b/", "http://a/\r\nX: y",
        "http://a:0/", "http://a:65536/", "http://a:/", "http://a:1x/", "http://[::1/",
        "http://[::1]x/", "http://a/#f", "http://u:p@a/", "http://a/\x80", "https://a\\b/"}) {
    const Result<Url> url = ParseUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Code::kInvalidArgument);
  }
  EXPECT_EQ(ParseUrl("http://u:secret@a/").error().ToString().find("secret"), std::string::npos);
}

TEST(Url, AProxyMayHaveAUser) {
  const Url url = *ParseUrl("http://us%40er:p%3a@proxy:3128", UserInfo::kAllow);
  EXPECT_EQ(url.user_info, "us@er:p:");
  EXPECT_EQ(url.host, "proxy");
  EXPECT_EQ(url.port, 3128);
}

TEST(Url, ExceptionsFromTheProxy) {
  EXPECT_TRUE(IsExcepted("localhost", "127.0.0.1,localhost"));
  EXPECT_TRUE(IsExcepted("a.example.com", ".example.com"));
  EXPECT_TRUE(IsExcepted("example.com", ".example.com"));
  EXPECT_FALSE(IsExcepted("badexample.com", ".example.com"));
  EXPECT_FALSE(IsExcepted("a.example.com", "example.com"));
  EXPECT_TRUE(IsExcepted("x", "*"));
  EXPECT_FALSE(IsExcepted("x", ""));
  EXPECT_FALSE(IsExcepted("x", ",,"));
  EXPECT_TRUE(IsExcepted("169.254.169.254", "localhost, 169.254.169.254 ,x"));
}

}  // namespace
}  // namespace garrison
