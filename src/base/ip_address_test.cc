#include "base/ip_address.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(IpAddress, KnowsAddressesAndThoseOfThisMachine) {
  for (const char* text : {"127.0.0.1", "127.9.8.7", "::1"}) {
    EXPECT_TRUE(IsIpAddress(text) && IsLoopbackAddress(text)) << text;
  }
  for (const char* text : {"0.0.0.0", "192.168.1.2", "::", "fe80::1", "::ffff:1.2.3.4"}) {
    EXPECT_TRUE(IsIpAddress(text)) << text;
    EXPECT_FALSE(IsLoopbackAddress(text)) << text;
  }
  for (const char* text : {"", "localhost", "[::1]", "127.0.0.1:80", "127.1", "evil.127.0.0.1"}) {
    EXPECT_FALSE(IsIpAddress(text) || IsLoopbackAddress(text)) << text;
  }
}

TEST(LoopbackUrl, LooksAtTheHostAlone) {
  for (const char* url : {"http://localhost", "http://localhost:8080/v1", "https://127.0.0.1/x",
                          "http://127.9.9.9", "http://[::1]:8000/v1", "http://u:p@localhost/"})
    EXPECT_TRUE(IsLoopbackUrl(url)) << url;
  for (const char* url : {"", "localhost", "http://localhost.example.com", "http://example.com",
                          "http://localhost@example.com/", "http://example.com/127.0.0.1",
                          "http://example.com?localhost", "http://[2001:db8::1]", "http://["})
    EXPECT_FALSE(IsLoopbackUrl(url)) << url;
}

}  // namespace
}  // namespace garrison
