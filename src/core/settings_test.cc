#include "core/settings.h"

#include <gtest/gtest.h>

#include <set>

namespace garrison {
namespace {

TEST(Settings, EveryDefaultPassesItsOwnCheck) {
  Settings settings;
  std::set<std::string> names;
  VisitSettings(settings, [&](SettingField& field) {
    EXPECT_TRUE(names.insert(std::string(field.name)).second) << field.name << " is listed twice";
    EXPECT_FALSE(field.meaning.empty()) << field.name;
    Settings copy;
    const Result<> same = AssignSetting(copy, field.name, FormatSetting(field));
    EXPECT_TRUE(same) << same.error().ToString();
  });
  EXPECT_GT(names.size(), 40u);
}

TEST(Settings, EveryNumberRefusesWhatIsOutOfItsRange) {
  Settings settings;
  std::set<std::string> numbers;
  VisitSettings(settings, [&](SettingField& field) {
    if (!std::holds_alternative<std::string*>(field.value)) numbers.emplace(field.name);
  });
  for (const std::string& name : numbers) {
    for (const char* bad : {"", "x", "-1e30", "1e30", "nan", "inf", "5x", " 5", "0x10"}) {
      const Result<> outcome = AssignSetting(settings, name, bad);
      ASSERT_FALSE(outcome) << name << " took " << bad;
      EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
      EXPECT_EQ(outcome.error().where, name);
    }
  }
}

TEST(Settings, UnknownNamesAndChoicesAreRefused) {
  Settings settings;
  EXPECT_EQ(AssignSetting(settings, "server.prot", "1").error().where, "server.prot");
  EXPECT_FALSE(AssignSetting(settings, "guard.cumulative", "integral"));
  EXPECT_TRUE(AssignSetting(settings, "guard.cumulative", "trapezoid"));
  EXPECT_EQ(settings.guard.cumulative, "trapezoid");
}

TEST(Settings, APresetSetsBothThresholds) {
  Settings settings;
  ASSERT_TRUE(AssignSetting(settings, "guard.preset", "strict"));
  EXPECT_EQ(settings.guard.alert_likelihood, 0.65);
  EXPECT_EQ(settings.guard.alert_erosion, 0.08);
  ASSERT_TRUE(AssignSetting(settings, "guard.preset", "research"));
  EXPECT_EQ(settings.guard.alert_likelihood, 0.95);
  EXPECT_EQ(settings.guard.alert_erosion, 0.30);
}

TEST(Settings, EnvironmentNames) {
  EXPECT_EQ(EnvironmentName("limits.body_bytes"), "GARRISON_LIMITS_BODY_BYTES");
}

TEST(Settings, LongInputAsModelsTakeIt) {
  Settings settings;
  EXPECT_EQ(LongInputOf(settings.engine).policy, LongInput::Policy::kError);
  EXPECT_EQ(LongInputOf(settings.engine).side, LongInput::Side::kRight);
  ASSERT_TRUE(AssignSetting(settings, "engine.long_input", "truncate"));
  ASSERT_TRUE(AssignSetting(settings, "engine.truncation_side", "left"));
  EXPECT_EQ(LongInputOf(settings.engine).policy, LongInput::Policy::kTruncate);
  EXPECT_EQ(LongInputOf(settings.engine).side, LongInput::Side::kLeft);
  ASSERT_TRUE(AssignSetting(settings, "engine.long_input", "chunk"));
  EXPECT_EQ(LongInputOf(settings.engine).policy, LongInput::Policy::kChunk);
}

TEST(Settings, ASecretIsMasked) {
  std::string key = "sk-123";
  SettingField field{"x.key", "a key", &key, 0, 0, {}, true};
  EXPECT_EQ(FormatSetting(field), "********");
  key.clear();
  EXPECT_EQ(FormatSetting(field), "");
}

TEST(Settings, AnAddressThatOthersReachWantsKeysAndTls) {
  const auto serves = [](const std::string& bind, bool key, bool client_certificates, bool tls,
                         const std::string& insecure = "refuse") {
    ServerSettings server;
    server.bind = bind;
    server.insecure_bind = insecure;
    if (key) server.api_key = "k";
    if (client_certificates) server.tls_client_ca = "ca.pem";
    if (tls) server.tls_certificate = server.tls_key = "x.pem";
    return CheckServing(server).has_value();
  };
  EXPECT_TRUE(serves("127.0.0.1", false, false, false));
  EXPECT_TRUE(serves("::1", false, false, false));
  for (const std::string bind : {"0.0.0.0", "::", "10.0.0.1"}) {
    EXPECT_FALSE(serves(bind, false, false, false));
    EXPECT_FALSE(serves(bind, true, false, false));
    EXPECT_FALSE(serves(bind, false, false, true));
    EXPECT_TRUE(serves(bind, true, false, true));
    EXPECT_TRUE(serves(bind, false, true, true));
    EXPECT_TRUE(serves(bind, false, false, false, "allow"));
  }
}

TEST(Settings, TlsNeedsBothFiles) {
  Settings settings;
  EXPECT_TRUE(CheckSettings(settings));
  settings.server.tls_key = "key.pem";
  EXPECT_FALSE(CheckSettings(settings));
  settings.server = {};
  settings.server.tls_client_ca = "ca.pem";
  EXPECT_EQ(CheckSettings(settings).error().where, "server.tls_client_ca");
}

TEST(ChatSettings, SourcesNameAVendorAndItsModel) {
  const auto source = ParseChatSource("huggingface/meta-llama/Llama-3.1-8B");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->provider, "huggingface");
  EXPECT_EQ(source->model, "meta-llama/Llama-3.1-8B");
  for (const char* odd : {"", "/", "openai", "openai/", "local/x", "OpenAI/x", " openai/x",
                          "openai/a b", "openai/a\x7f", "openai/\xc3\xbc"}) {
    EXPECT_FALSE(ParseChatSource(odd)) << odd;
  }
}

TEST(ChatSettings, AliasesKeepTheirOrder) {
  const auto aliases = ParseChatAliases(" b = openai/x ,, a=custom/y=z ");
  ASSERT_TRUE(aliases);
  ASSERT_EQ(aliases->size(), 2u);
  EXPECT_EQ(aliases->at(0).name, "b");
  EXPECT_EQ(aliases->at(1).source.model, "y=z");
  for (const char* odd : {"a", "=openai/x", "a=", "a=b", "a=openai/x,a=openai/x"}) {
    const auto wrong = ParseChatAliases(odd);
    ASSERT_FALSE(wrong) << odd;
    EXPECT_EQ(wrong.error().where, "chat.aliases");
  }
}

TEST(ChatSettings, WhatGoesTogetherIsChecked) {
  const auto where = [](auto change) {
    ProviderSettings settings;
    change(settings);
    const Result<> checked = CheckProviderSettings(settings);
    return checked ? "" : checked.error().where;
  };
  EXPECT_EQ(where([](ProviderSettings&) {}), "");
  EXPECT_EQ(where([](ProviderSettings& s) { s.chat.model = "anthropic/x"; }), "anthropic.api_key");
  EXPECT_EQ(where([](ProviderSettings& s) { s.chat.aliases = "a=azure/x"; }), "azure.endpoint");
  EXPECT_EQ(where([](ProviderSettings& s) { s.chat.fallbacks = "openai/x"; }), "openai.api_key");
  EXPECT_EQ(where([](ProviderSettings& s) {
              s.openai.api_key = "k";
              s.chat.fallbacks = "openai/x";
            }),
            "chat.model");
  EXPECT_EQ(where([](ProviderSettings& s) { s.chat.max_tokens_limit = 1023; }), "chat.max_tokens");
}

TEST(Settings, ConversationsAreKeptWhereThatCanBe) {
  Settings settings;
  EXPECT_EQ(GuardStorePlace(settings), "");
  for (const char* wrong : {"", "sqlite", "sqlite:", "file.db", "postgres://host/db", "postgres"}) {
    settings.guard.store = wrong;
    EXPECT_EQ(CheckSettings(settings).error().where, "guard.store") << wrong;
  }
  settings.database.url = "postgres://host/db";
  EXPECT_TRUE(CheckSettings(settings));
  EXPECT_EQ(GuardStorePlace(settings), "postgres://host/db");
  settings.guard.store = "sqlite:/var/lib/conversations.db";
  EXPECT_TRUE(CheckSettings(settings));
  EXPECT_EQ(GuardStorePlace(settings), "/var/lib/conversations.db");
}

}  // namespace
}  // namespace garrison
