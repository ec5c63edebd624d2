#include "core/trace.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kSpan = "00f067aa0ba902b7";

TEST(Traceparent, TheStandardsOwnExample) {
  const auto trace = ParseTraceparent("00-" + kTrace + "-" + kSpan + "-01", "rojo=1,congo=t61rc");
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id, kTrace);
  EXPECT_EQ(trace->span_id, kSpan);
  EXPECT_EQ(trace->parent_id, "");
  EXPECT_TRUE(trace->sampled);
  EXPECT_EQ(trace->state, "rojo=1,congo=t61rc");
  EXPECT_EQ(FormatTraceparent(*trace), "00-" + kTrace + "-" + kSpan + "-01");
}

TEST(Traceparent, FlagsAndLaterVersions) {
  const auto sampled = [](const std::string& text) {
    const auto trace = ParseTraceparent(text, "");
    return trace ? std::optional(trace->sampled) : std::nullopt;
  };
  const std::string ids = "-" + kTrace + "-" + kSpan + "-";
  EXPECT_EQ(sampled("00" + ids + "00"), false);
  EXPECT_EQ(sampled("00" + ids + "03"), true);
  EXPECT_EQ(sampled("00" + ids + "0b"), true);
  EXPECT_EQ(sampled("00" + ids + "fe"), false);
  EXPECT_EQ(sampled("cc" + ids + "01"), true);
  EXPECT_EQ(sampled("cc" + ids + "01-what-comes"), true);
  EXPECT_EQ(sampled("cc" + ids + "01.what"), std::nullopt);
  EXPECT_EQ(sampled("00" + ids + "01-more"), std::nullopt);
  EXPECT_EQ(sampled("ff" + ids + "01"), std::nullopt);
}

TEST(Traceparent, WhatCannotBeReadIsNoTrace) {
  const std::string zeros(32, '0');
  for (const std::string& text :
       {std::string(), std::string("00"), "00-" + zeros + "-" + kSpan + "-01",
        "00-" + kTrace + "-" + zeros.substr(0, 16) + "-01", "00_" + kTrace + "-" + kSpan + "-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-" + kSpan + "-01",
        "00-" + kTrace + "-" + kSpan + "-0x", "00-" + kTrace + "-" + kSpan + "-1",
        "0g-" + kTrace + "-" + kSpan + "-01"}) {
    EXPECT_FALSE(ParseTraceparent(text, "")) << text;
  }
  const std::string good = "00-" + kTrace + "-" + kSpan + "-01";
  EXPECT_EQ(ParseTraceparent(good, std::string(513, 'a'))->state, "");
  EXPECT_EQ(ParseTraceparent(good, "a=b\r\nX: y")->state, "");
}

}  // namespace
}  // namespace garrison
