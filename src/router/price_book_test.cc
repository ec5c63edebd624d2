#include "router/price_book.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

using std::chrono::hours;
using std::chrono::sys_days;
using namespace std::chrono_literals;

WallTime Day(int year, unsigned month, unsigned day) {
  return sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day));
}

PriceBook Parse(std::string_view rows) {
  const Result<PriceBook> book =
      PriceBook::Parse("{\"prices\":[" + std::string(rows) + "]}", "prices.json");
  EXPECT_TRUE(book) << book.error().ToString();
  return book.value_or(PriceBook());
}

constexpr std::string_view kAcme =
    R"({"provider":"acme","model":"big-*","from":"2026-01-01","until":"2026-07-01","input":"3",
        "output":"15","cache_read":"0.30","cache_write":"3.75","cache_write_1h":"6",
        "request":"0.01","image_tokens":1000,"message_tokens":10,"tool_tokens":100,
        "tools_tokens":500,"source":"s","checked":"2026-01-01"})";

TEST(PriceBook, ComesWithPricesThatCanBeRead) {
  const PriceBook book = PriceBook::BuiltIn();
  ASSERT_GT(book.rows().size(), 10u);
  // The figures of the vendors' pages, in pico-dollars a token.
  const PriceRow* row = book.Find("openai", "gpt-4o-mini", "chat", Day(2026, 11, 1), 0).value();
  EXPECT_EQ(row->prices.input, 150'000);
  EXPECT_EQ(row->prices.output, 600'000);
  EXPECT_EQ(row->prices.cache_read, 75'000);
  row = book.Find("anthropic", "claude-sonnet-5-5-20260901", "chat", Day(2026, 10, 6), 0).value();
  EXPECT_EQ(row->prices.cache_read, 200'000);
  row = book.Find("anthropic", "claude-sonnet-5-5-20260901", "chat", Day(2026, 10, 7), 0).value();
  EXPECT_EQ(row->prices.cache_read, 100'000);
  row = book.Find("deepseek", "deepseek-flash", "chat", Day(2026, 11, 1), 0).value();
  EXPECT_EQ(CostOf(*row, {.tokens = {}, .chat = ChatUsage{.input = 1'000'000}},
                   Day(2026, 11, 1) + hours(12), Day(2026, 11, 1) + hours(12)),
            150'000'000'000);
  EXPECT_EQ(CostOf(*row, {.tokens = {}, .chat = ChatUsage{.input = 1'000'000}},
                   Day(2026, 11, 1) + hours(7), Day(2026, 11, 1) + hours(7)),
            300'000'000'000);
  EXPECT_EQ(book.Find("openai", "text-embedding-3-small", "chat", Day(2026, 11, 1), 0)
                .value()
                ->prices.input,
            20'000);
}

TEST(PriceBook, FindsByNameDateAndLength) {
  const PriceBook book = Parse(
      R"({"provider":"acme","model":"m","from":"2026-01-01","prompt_tokens_max":100,"input":"1",
          "source":"s","checked":"2026-01-01"},)" +
      std::string(kAcme));
  const WallTime spring = Day(2026, 3, 1);
  EXPECT_TRUE(book.Find("acme", "big-7", "chat", spring, 0));
  EXPECT_TRUE(book.Find("acme", "m", "chat", spring, 100));
  for (const auto& [model, when, tokens, says] :
       std::vector<std::tuple<const char*, WallTime, std::uint64_t, const char*>>{
           {"small", spring, 0, "not known,"},
           {"big-7", Day(2025, 12, 31), 0, "for today"},
           {"big-7", Day(2026, 7, 1), 0, "for today"},
           {"m", spring, 101, "up to 100 tokens"}}) {
    const auto row = book.Find("acme", model, "chat", when, tokens);
    ASSERT_FALSE(row) << model;
    EXPECT_EQ(row.error().reason, "unknown_price");
    EXPECT_NE(row.error().message.find(says), std::string::npos) << row.error().message;
  }
}

TEST(PriceBook, OnesOwnPricesComeFirst) {
  const PriceBook own = Parse(
      R"({"provider":"openai","model":"*","input":"9","source":"contract","checked":"2026-01-01"})");
  const PriceBook both = PriceBook::BuiltIn().Under(own);
  EXPECT_EQ(both.Find("openai", "gpt-4o-mini", "chat", Day(2026, 11, 1), 0).value()->prices.input,
            9'000'000);
  EXPECT_NE(both.Hash(), PriceBook::BuiltIn().Hash());
}

TEST(PriceBook, ABoundIsNeverBelowWhatACallCanCost) {
  const PriceBook book = Parse(kAcme);
  const PriceRow& row = book.rows()[0];
  AttemptBound bound{.provider = "acme",
                     .model = "big-7",
                     .tokens = 1000,
                     .messages = 2,
                     .tools = 3,
                     .images = 1,
                     .output_tokens = 200};
  // 1000 bytes + 2*10 + 500 + 3*100 + 1000 tokens at the price of an hour's cache, the dearest.
  EXPECT_EQ(PromptBound(row, bound).value(), 2820u);
  EXPECT_EQ(CostBound(row, bound).value(),
            10'000'000'000 + 2820 * 6'000'000LL + 200 * 15'000'000LL);
  bound.cache_writes = false;
  EXPECT_EQ(CostBound(row, bound).value(),
            10'000'000'000 + 2820 * 3'000'000LL + 200 * 15'000'000LL);
  const ChatUsage usage{
      .input = 1000, .cache_read = 500, .cache_write = 820, .cache_write_1h = 500, .output = 200};
  EXPECT_EQ(CostOf(row, {.tokens = {}, .chat = usage}, Day(2026, 1, 2), Day(2026, 1, 2)),
            10'000'000'000 + 1000 * 3'000'000LL + 500 * 300'000LL + 820 * 3'750'000LL +
                500 * 6'000'000LL + 200 * 15'000'000LL);
  bound.tokens = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(CostBound(row, bound).value(), std::numeric_limits<Pusd>::max());
}

TEST(PriceBook, WhatHasNoPriceHasNoCost) {
  const PriceBook book = PriceBook::BuiltIn();
  const PriceRow& deepseek =
      *book.Find("deepseek", "deepseek-flash", "chat", Day(2026, 11, 1), 0).value();
  EXPECT_EQ(
      PromptBound(deepseek, {.provider = "deepseek", .model = "x", .images = 1}).error().reason,
      "unknown_price");
  EXPECT_EQ(CostOf(deepseek, {}, Day(2026, 11, 1), Day(2026, 11, 1)), std::nullopt);
  EXPECT_EQ(CostOf(deepseek, {.tokens = {}, .chat = ChatUsage{.input = 1, .server_tools = 1}},
                   Day(2026, 11, 1), Day(2026, 11, 1)),
            std::nullopt);
  // At a change of prices the dearer one counts.
  EXPECT_EQ(CostOf(deepseek, {.tokens = 1, .chat = {}}, Day(2026, 11, 1) + 59min,
                   Day(2026, 11, 1) + 61min),
            300'000);
}

TEST(PriceBook, SaysWhatIsWrongWithAFile) {
  const auto error = [](std::string_view text) {
    const auto book = PriceBook::Parse(text, "p.json");
    return book ? "" : book.error().ToString();
  };
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"", "p.json"},
      {"{}", "\"prices\""},
      {R"({"prices":[7]})", "prices[0]"},
      {R"({"prices":[{"provider":"a","model":"m","source":"s","checked":"2026-01-01"}]})",
       "prices[0].input"},
      {R"({"prices":[{"provider":"a","model":"m","input":1,"source":"s","checked":"2026-01-01"}]})",
       "in quotes"},
      {R"({"prices":[{"provider":"a","model":"m","input":"-1","source":"s","checked":"2026-01-01"}]})",
       "at least 0"},
      {R"({"prices":[{"provider":"a","model":"m","input":"0.0000001","source":"s","checked":"2026-01-01"}]})",
       "6 digits"},
      {R"({"prices":[{"provider":"a","model":"m","input":"1","source":"s"}]})", "checked"},
      {R"({"prices":[{"provider":"a","model":"m","input":"1","source":"s","checked":"2026-02-30"}]})",
       "a date"},
      {R"({"prices":[{"provider":"a","model":"m","input":"1","source":"s","checked":"2026-01-01","bands":[{"begin":"25:00","end":"1","input":"1"}]}]})",
       "bands[0].begin"},
      {R"({"prices":[{"provider":"a","model":"m","input":"1","source":"s","checked":"2026-01-01","premium":"yes"}]})",
       "premium"}};
  for (const auto& [text, part] : cases) {
    EXPECT_NE(error(text).find(part), std::string::npos) << text << "\n" << error(text);
  }
}

}  // namespace
}  // namespace garrison
