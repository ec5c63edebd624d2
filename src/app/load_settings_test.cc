#include "app/load_settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace garrison {
namespace {

class LoadSettingsTest : public testing::Test {
 protected:
  Result<LoadedSettings> Load(SettingsRequest request) {
    return LoadLayeredSettings(request, environment_);
  }
  std::string File(const std::string& content) {
    const auto path = std::filesystem::path(testing::TempDir()) / "settings.toml";
    std::ofstream(path) << content;
    return path.string();
  }
  Variables environment_;
};

TEST_F(LoadSettingsTest, EachLayerBeatsTheOneBefore) {
  const std::string file = File("[server]\nport = 1001\nbind = \"0.0.0.0\"\n[limits]\nqueue = 5\n");
  environment_["GARRISON_SERVER_PORT"] = "1002";
  environment_["GARRISON_LIMITS_QUEUE"] = "6";
  const auto loaded = Load({file, {{"server.port", "1003"}}});
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->settings.server.port, 1003);
  EXPECT_EQ(loaded->settings.limits.queue, 6);
  EXPECT_EQ(loaded->settings.server.bind, "0.0.0.0");
  EXPECT_EQ(loaded->settings.limits.connections, Settings().limits.connections);
  EXPECT_EQ(loaded->sources.at("server.port"), "flag");
  EXPECT_EQ(loaded->sources.at("limits.queue"), "environment");
  EXPECT_EQ(loaded->sources.at("server.bind"), file + ":3");
  EXPECT_FALSE(loaded->sources.contains("limits.connections"));
}

TEST_F(LoadSettingsTest, TheFileMayBeNamedByTheEnvironment) {
  environment_["GARRISON_CONFIG"] = File("[log]\nlevel = \"debug\"\n");
  EXPECT_EQ(Load({})->settings.log.level, "debug");
  environment_["GARRISON_CONFIG"] = "/no/such.toml";
  EXPECT_EQ(Load({}).error().code, Code::kNotFound);
}

TEST_F(LoadSettingsTest, ErrorsNameFileAndLineVariableOrFlag) {
  const std::string wrong_value = File("\n[server]\nport = \"x\"\n");
  EXPECT_EQ(Load({wrong_value, {}}).error().where, wrong_value + ":3 server.port");
  EXPECT_EQ(Load({File("[server]\nprot = 1\n"), {}}).error().where, wrong_value + ":2 server.prot");
  EXPECT_EQ(Load({File("[server]\nport = true\n"), {}}).error().where,
            wrong_value + ":2 server.port");
  EXPECT_EQ(Load({File("port = 1\n"), {}}).error().where, wrong_value + ":1");
  EXPECT_EQ(Load({File("[server\n"), {}}).error().where, wrong_value + ":1");
  EXPECT_EQ(Load({std::nullopt, {{"server.port", "-1"}}}).error().where, "--set server.port");
  environment_["GARRISON_SERVER_PORT"] = "many";
  EXPECT_EQ(Load({}).error().where, "GARRISON_SERVER_PORT");
}

TEST_F(LoadSettingsTest, ThresholdsOverrideAPresetWhereverItStands) {
  const auto loaded = Load({File("[guard]\nalert_erosion = 0.5\npreset = \"strict\"\n"), {}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings.guard.alert_erosion, 0.5);
  EXPECT_EQ(loaded->settings.guard.alert_likelihood, 0.65);
  EXPECT_EQ(loaded->sources.at("guard.alert_likelihood"), "preset strict");
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_NE(loaded->warnings[0].find("alert_erosion"), std::string::npos);
  const auto flags =
      Load({std::nullopt, {{"guard.alert_erosion", "0.5"}, {"guard.preset", "strict"}}});
  EXPECT_EQ(flags->settings.guard.alert_erosion, 0.5);
  // A preset of a later layer beats the thresholds of an earlier one.
  const auto later = Load({File("[guard]\nalert_erosion = 0.5\n"), {{"guard.preset", "strict"}}});
  EXPECT_EQ(later->settings.guard.alert_erosion, 0.08);
}

TEST_F(LoadSettingsTest, AVariableThatNamesNoSettingIsPointedOut) {
  environment_["GARRISON_SERVER_PROT"] = "1";
  environment_["GARRISON_ISA"] = "avx2";
  environment_["GARRISON_CONFIG"] = "";
  const auto loaded = Load({});
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_NE(loaded->warnings[0].find("GARRISON_SERVER_PROT"), std::string::npos);
}

TEST_F(LoadSettingsTest, VendorsOwnVariablesAreSettingsToo) {
  environment_ = {{"EMBEDDINGS_PROVIDER", "openai"},
                  {"OPENAI_API_KEY", "sk-1"},
                  {"OPENAI_BASE_URL", "http://127.0.0.1:1/v1"},
                  {"AWS_DEFAULT_REGION", "eu-west-1"},
                  {"AWS_REGION", "us-east-1"},
                  {"HF_TOKEN", ""}};
  auto loaded = Load({});
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_TRUE(loaded->warnings.empty());
  EXPECT_EQ(loaded->settings.providers.embeddings.provider, "openai");
  EXPECT_EQ(loaded->settings.providers.openai.api_key, "sk-1");
  EXPECT_EQ(loaded->settings.providers.bedrock.region, "us-east-1");
  environment_["GARRISON_EMBEDDINGS_PROVIDER"] = "local";
  EXPECT_EQ(Load({})->settings.providers.embeddings.provider, "local");
  environment_["EMBEDDINGS_PROVIDER"] = "acme";
  EXPECT_EQ(Load({}).error().where, "EMBEDDINGS_PROVIDER");
  EXPECT_TRUE(IsSettingsVariable("OPENAI_API_KEY"));
  EXPECT_TRUE(IsSettingsVariable("GARRISON_ANYTHING"));
  EXPECT_FALSE(IsSettingsVariable("PATH"));
}

TEST_F(LoadSettingsTest, AProviderWithoutItsKeyIsNamed) {
  for (const auto& [provider, where] :
       std::map<std::string, std::string>{{"openai", "openai.api_key"},
                                          {"huggingface", "huggingface.token"},
                                          {"bedrock", "bedrock.region"},
                                          {"azure", "azure.endpoint"},
                                          {"custom", "custom.base_url"}}) {
    environment_["GARRISON_EMBEDDINGS_PROVIDER"] = provider;
    EXPECT_EQ(Load({}).error().where, where);
  }
}

TEST_F(LoadSettingsTest, AHugeFileIsRefused) {
  EXPECT_EQ(Load({File(std::string(2 << 20, '#')), {}}).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace garrison
