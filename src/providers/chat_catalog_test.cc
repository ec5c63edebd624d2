#include "providers/chat_catalog.h"

#include <gtest/gtest.h>

#include "providers/test_chat.h"

namespace garrison {
namespace {

class Silent final : public Logger {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void SetLevel(LogLevel) override {}
  void Write(LogLevel, std::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

class ChatCatalogTest : public testing::Test {
 protected:
  ChatCatalogTest() {
    client_->clock = &time_.clock;
    client_->on_open = [this] { gate_->Opened(); };
    settings_.anthropic.api_key = "a";
    settings_.openai.api_key = "o";
    settings_.upstream.attempts = 1;
  }

  Result<> Make() {
    providers_ = std::make_unique<Providers>(settings_, client_, gate_, time_.chance(), "");
    auto made = MakeChatCatalog(settings_, *providers_, time_.clock, logger_);
    if (!made) return tl::unexpected(made.error());
    catalog_ = *std::move(made);
    return {};
  }
  std::string IdOf(std::string_view name) {
    const auto model = catalog_->Find(name);
    return model ? (*model)->id() : std::string(CodeName(model.error().code));
  }
  Result<ChatOutcome> Ask(std::string_view name = "") {
    const auto model = catalog_->Find(name);
    if (!model) return tl::unexpected(model.error());
    const std::size_t leaves_at = sink_.leaves_at;
    sink_ = TestSink();
    sink_.leaves_at = leaves_at;
    return (*model)->Answer(RequestOf("hello"), sink_, {});
  }
  // chat.model and two fallbacks.
  void UseFallbacks() {
    settings_.deepseek.api_key = "d";
    settings_.chat.model = "anthropic/claude-haiku-4-5";
    settings_.chat.fallbacks = "openai/gpt-4o-mini, deepseek/deepseek-chat";
    ASSERT_TRUE(Make());
  }
  // Whom the gate was asked about, and how it ended.
  std::string Story() const {
    std::string story;
    for (const StrictGate::Ticket& ticket : gate_->tickets) {
      story += ticket.bound.provider + " " + ticket.bound.parent + " " + ticket.ended + ";";
    }
    return story;
  }

  ProviderSettings settings_;
  TestTime time_;
  Silent logger_;
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  std::shared_ptr<StrictGate> gate_ = std::make_shared<StrictGate>();
  std::unique_ptr<Providers> providers_;
  std::unique_ptr<ChatCatalog> catalog_;
  TestSink sink_;
};

TEST_F(ChatCatalogTest, ModelsHaveNames) {
  settings_.chat.model = "anthropic/claude-haiku-4-5";
  settings_.chat.aliases = "fast = openai/gpt-4o-mini,gpt-4=anthropic/claude-haiku-4-5";
  ASSERT_TRUE(Make());
  EXPECT_EQ(IdOf(""), "anthropic/claude-haiku-4-5");
  EXPECT_EQ(IdOf("fast"), "openai/gpt-4o-mini");
  EXPECT_EQ(IdOf("gpt-4"), "anthropic/claude-haiku-4-5");
  EXPECT_EQ(IdOf("openai/gpt-4o"), "openai/gpt-4o");
  EXPECT_EQ(IdOf("gpt-4o"), "openai/gpt-4o");
  EXPECT_EQ(IdOf("chatgpt-4o-latest"), "openai/chatgpt-4o-latest");
  EXPECT_EQ(IdOf("o1"), "openai/o1");
  EXPECT_EQ(IdOf("o3-mini"), "openai/o3-mini");
  EXPECT_EQ(IdOf("o4-mini"), "openai/o4-mini");
  EXPECT_EQ(IdOf("claude-opus-4-1"), "anthropic/claude-opus-4-1");
  EXPECT_EQ(IdOf("anthropic/claude-haiku-4-5"), "anthropic/claude-haiku-4-5");
  EXPECT_EQ(IdOf("deepseek-chat"), "NOT_FOUND");  // there is no key
  EXPECT_EQ(IdOf("azure/x"), "NOT_FOUND");
  EXPECT_EQ(IdOf("llama"), "NOT_FOUND");
  EXPECT_EQ(IdOf("openai"), "NOT_FOUND");
  EXPECT_EQ(IdOf("openai/"), "NOT_FOUND");
  EXPECT_EQ(IdOf("openai/a\nb"), "NOT_FOUND");
  EXPECT_EQ(IdOf("openai/" + std::string(300, 'a')), "NOT_FOUND");
  settings_.deepseek.api_key = "d";
  ASSERT_TRUE(Make());
  EXPECT_EQ(IdOf("deepseek-chat"), "deepseek/deepseek-chat");
}

TEST_F(ChatCatalogTest, WhatIsMissingIsSaid) {
  settings_.chat.aliases = "fast=openai/gpt-4o-mini";
  ASSERT_TRUE(Make());
  const auto unknown = catalog_->Find("llama");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().where, "model");
  EXPECT_NE(unknown.error().message.find("openai/gpt-4o-mini (fast)"), std::string::npos);
  EXPECT_NE(catalog_->Find("deepseek/x").error().message.find("deepseek.api_key"),
            std::string::npos);
  EXPECT_NE(catalog_->Find("").error().message.find("chat.model"), std::string::npos);
  for (const char* name : {"local", "local/llama"}) {
    const auto local = catalog_->Find(name);
    ASSERT_FALSE(local);
    EXPECT_EQ(local.error().code, Code::kFailedPrecondition);
    EXPECT_EQ(local.error().reason, "model_not_available");
  }
}

TEST_F(ChatCatalogTest, TheListHasEachModelOnce) {
  settings_.chat.model = "anthropic/claude-haiku-4-5";
  settings_.chat.fallbacks = "openai/gpt-4o-mini";
  settings_.chat.aliases = "fast=openai/gpt-4o-mini,quick=openai/gpt-4o-mini,big=openai/gpt-4o";
  ASSERT_TRUE(Make());
  const std::vector<ChatModelStatus> all = catalog_->List();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].id, "anthropic/claude-haiku-4-5");
  EXPECT_EQ(all[0].provider, "anthropic");
  EXPECT_EQ(all[1].id, "openai/gpt-4o-mini");
  EXPECT_EQ(all[1].aliases, (std::vector<std::string>{"fast", "quick"}));
  EXPECT_EQ(all[2].id, "openai/gpt-4o");
  EXPECT_TRUE(all[2].available);
  EXPECT_EQ(all[3].provider, "local");
  EXPECT_FALSE(all[3].available);
}

TEST_F(ChatCatalogTest, SettingsThatDoNotFitAreNamed) {
  const auto where = [&](auto change) {
    const ProviderSettings before = settings_;
    change(settings_.chat);
    const Result<> checked = CheckProviderSettings(settings_);
    const Result<> made = Make();
    settings_ = before;
    EXPECT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    // The names of classes are known here only.
    EXPECT_EQ(checked.has_value(), made.error().where == "chat.fallback_on");
    return made.error().where;
  };
  EXPECT_EQ(where([](ChatSettings& s) { s.model = "gpt-4o"; }), "chat.model");
  EXPECT_EQ(where([](ChatSettings& s) { s.model = "deepseek/x"; }), "deepseek.api_key");
  EXPECT_EQ(where([](ChatSettings& s) { s.aliases = "a"; }), "chat.aliases");
  EXPECT_EQ(where([](ChatSettings& s) { s.aliases = "a=b"; }), "chat.aliases");
  EXPECT_EQ(where([](ChatSettings& s) { s.aliases = "a=openai/x,a=openai/y"; }), "chat.aliases");
  EXPECT_EQ(where([](ChatSettings& s) {
              s.model = "openai/x";
              s.fallbacks = "local";
            }),
            "chat.fallbacks");
  EXPECT_EQ(where([](ChatSettings& s) { s.fallback_on = "bad weather"; }), "chat.fallback_on");
}

TEST_F(ChatCatalogTest, AKeyInTheClearIsWarnedOf) {
  settings_.chat.model = "openai/gpt-4o";
  settings_.openai.base_url = "http://proxy.example/v1";
  ASSERT_TRUE(Make());
  ASSERT_EQ(logger_.lines.size(), 1u);
  EXPECT_NE(logger_.lines[0].find("without encryption"), std::string::npos);
}

TEST_F(ChatCatalogTest, FallbacksAreAskedInTurnEachAdmittedOnItsOwn) {
  UseFallbacks();
  client_->streams = {{.status = 529}, {.status = 500}, StreamOf(OpenAiPieces())};
  const auto outcome = Ask();
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->served.by, "deepseek/deepseek-chat");
  EXPECT_EQ(outcome->served.attempts, 3u);
  EXPECT_EQ(outcome->cost, StrictGate::kDisputed + StrictGate::kSettled);
  EXPECT_EQ(Story(), "anthropic  released;openai fallback disputed;deepseek fallback settled;");
  ASSERT_EQ(logger_.lines.size(), 1u);
  EXPECT_NE(logger_.lines[0].find("upstream_overloaded"), std::string::npos);
}

TEST_F(ChatCatalogTest, TheFirstErrorIsTheOneAndTellsOfTheOthers) {
  UseFallbacks();
  client_->streams = {{.status = 529}, {.status = 401}, {.status = 402}};
  const auto outcome = Ask();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "upstream_overloaded");
  EXPECT_NE(outcome.error().message.find("fallback openai/gpt-4o-mini"), std::string::npos);
  EXPECT_NE(outcome.error().message.find("fallback deepseek/deepseek-chat"), std::string::npos);
}

TEST_F(ChatCatalogTest, OnlySomeFailuresMoveOn) {
  UseFallbacks();
  for (const int status : {400, 401, 403, 404, 301}) {
    client_->streams = {{.status = status}};
    EXPECT_FALSE(Ask());
    EXPECT_TRUE(client_->streams.empty());
  }
  for (const char* cut : {"before", "behind"}) {
    SCOPED_TRACE(cut);
    std::vector<std::string> pieces = AnthropicPieces();
    pieces.resize(cut == std::string("before") ? 3 : 4);
    client_->streams = {StreamOf(pieces), StreamOf(OpenAiPieces())};
    EXPECT_EQ(Ask().has_value(), cut == std::string("before"));
  }
  sink_.leaves_at = 1;
  client_->streams = {StreamOf(AnthropicPieces())};
  EXPECT_EQ(Ask().error().code, Code::kCancelled);
}

TEST_F(ChatCatalogTest, OnlyTheDefaultModelHasFallbacksHoweverItIsNamed) {
  UseFallbacks();
  client_->streams = {{.status = 529}, StreamOf(OpenAiPieces())};
  EXPECT_TRUE(Ask("claude-haiku-4-5"));
  client_->streams = {{.status = 529}};
  const auto outcome = Ask("claude-opus-4-1");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "upstream_overloaded");
}

TEST_F(ChatCatalogTest, RefusalsOfTheGateMoveOnWhenTheyAreAboutTheModel) {
  for (const char* reason : {"request_too_dear", "premium_paused", "unknown_price", "model_frozen",
                             "budget_exceeded", "kill_switch_active", "ledger_unavailable"}) {
    SCOPED_TRACE(reason);
    const std::string_view name = reason;
    const bool moves =
        name != "budget_exceeded" && name != "kill_switch_active" && name != "ledger_unavailable";
    gate_ = std::make_shared<StrictGate>();
    UseFallbacks();
    gate_->refuse = [&](const AttemptBound& bound) -> std::optional<Error> {
      if (bound.provider != "anthropic") return std::nullopt;
      return Error{Code::kResourceExhausted, "no", "", std::nullopt, reason};
    };
    client_->streams.clear();
    if (moves) client_->streams.push_back(StreamOf(OpenAiPieces()));
    const auto outcome = Ask();
    if (moves) {
      ASSERT_TRUE(outcome);
      EXPECT_EQ(Story(), "openai fallback settled;");
      EXPECT_EQ(outcome->served.attempts, 1u);
      continue;
    }
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().reason, reason);
    EXPECT_EQ(Story(), "");
    // Nor is the chain gone on with when a fallback is refused so.
    gate_->refuse = [&](const AttemptBound& bound) -> std::optional<Error> {
      if (bound.provider == "anthropic") return std::nullopt;
      EXPECT_EQ(bound.provider, "openai");
      return Error{Code::kResourceExhausted, "no", "", std::nullopt, reason};
    };
    client_->streams = {{.status = 529}};
    EXPECT_EQ(Ask().error().reason, "upstream_overloaded");
  }
}

TEST_F(ChatCatalogTest, AVendorThatIsLeftAloneHasItsFallbackAtOnce) {
  UseFallbacks();
  client_->streams = {{.status = 402}, StreamOf(OpenAiPieces()), StreamOf(OpenAiPieces())};
  EXPECT_TRUE(Ask());
  EXPECT_EQ(providers_->open_circuits(), 1u);
  EXPECT_TRUE(Ask());
  EXPECT_EQ(client_->calls().size(), 3u);
}

}  // namespace
}  // namespace garrison
