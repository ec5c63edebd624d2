#include "guard/guard_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "guard/test_measured.h"

namespace garrison {
namespace {

using nlohmann::json;

std::string ErrorOf(const std::function<void(json&)>& damage) {
  json root = json::parse(SmallGuard().ToJson());
  damage(root);
  const auto file = GuardFile::Parse(root.dump());
  if (file) return "";
  EXPECT_EQ(file.error().code, Code::kInvalidArgument);
  return file.error().ToString();
}

TEST(GuardFile, ReadsBackToTheSameBits) {
  const std::string text = SmallGuard().ToJson();
  const auto file = GuardFile::Parse(text);
  ASSERT_TRUE(file) << file.error().ToString();
  EXPECT_EQ(file->ToJson(), text);
  EXPECT_EQ(file->hash(), SmallGuard().hash());
  EXPECT_EQ(file->model().alarm, SmallGuard().model().alarm);
  EXPECT_EQ(file->model().mean, SmallGuard().model().mean);
}

TEST(GuardFile, EveryFieldIsNeededAndNoOtherIsTaken) {
  const json root = json::parse(SmallGuard().ToJson());
  std::function<void(const json&, const json::json_pointer&)> walk =
      [&](const json& value, const json::json_pointer& at) {
        if (!value.is_object() || at.to_string().starts_with("/evidence/") ||
            at.to_string().starts_with("/anchors/")) {
          return;
        }
        for (const auto& [key, child] : value.items()) {
          const json::json_pointer place = at / key;
          if (place.to_string() != "/evidence" && !place.to_string().starts_with("/anchors/") &&
              !place.to_string().starts_with("/evidence/")) {
            EXPECT_NE(ErrorOf([&](json& damaged) { damaged[at].erase(key); }), "") << place;
            EXPECT_NE(ErrorOf([&](json& damaged) { damaged[place] = nullptr; }), "") << place;
          }
          walk(child, place);
        }
        if (at.to_string() == "/anchors" || at.to_string() == "/evidence") return;
        EXPECT_NE(ErrorOf([&](json& damaged) { damaged[at]["more"] = 1; }), "") << at;
      };
  walk(root, json::json_pointer());
}

TEST(GuardFile, RefusesNumbersThatCannotBe) {
  const auto expect = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect(ErrorOf([](json& r) { r["format"] = "other"; }), "garrison-guard");
  expect(ErrorOf([](json& r) { r["version"] = 2; }), "version");
  expect(ErrorOf([](json& r) { r["alarm"]["threshold"] = -1; }), "alarm.threshold");
  expect(ErrorOf([](json& r) { r["alarm"]["release"] = 1e5; }), "alarm.release");
  expect(ErrorOf([](json& r) { r["alarm"]["slope_sigma"] = 0; }), "alarm.slope_sigma");
  expect(ErrorOf([](json& r) { r["model"]["dimension"] = 0; }), "model");
  expect(ErrorOf([](json& r) { r["model"]["dimension"] = 27; }), "expected 27 numbers");
  expect(ErrorOf([](json& r) { r["model"]["dimension"] = 1'000'000'000; }), "model.dimension");
  expect(ErrorOf([](json& r) { r["mean"] = "AAAA"; }), "mean");
  expect(ErrorOf([](json& r) { r["mean"] = "!"; }), "mean");
  expect(ErrorOf([](json& r) { r["probes"]["user_harmful"]["calibration"]["slope"] = -1; }),
         "slope");
  expect(ErrorOf([](json& r) { r["probes"]["user_harmful"]["calibration"]["prior"] = 0; }),
         "prior");
  expect(ErrorOf([](json& r) { r["probes"]["user_harmful"] = r["probes"]["reply_risky"]; }),
         "alone");
  expect(ErrorOf([](json& r) { r["probes"]["reply_risky"] = r["probes"]["user_harmful"]; }),
         "message and reply");
  expect(ErrorOf([](json& r) { r["language"]["steps"] = "AAAA"; }), "language.steps");
  expect(ErrorOf([](json& r) { r["evidence_quantiles"] = {2, 1}; }), "smallest first");
  expect(ErrorOf([](json& r) { r["evidence_quantiles"] = {1}; }), "evidence_quantiles");
  expect(ErrorOf([](json& r) { r["anchors"]["safe"] = json::array(); }), "anchors.safe");
  expect(ErrorOf([](json& r) { r["anchors"]["safe"] = {""}; }), "anchors.safe");
  expect(ErrorOf([](json& r) { r["evidence"] = 1; }), "evidence");
}

TEST(GuardFile, RefusesWhatWasCutOff) {
  const std::string text = SmallGuard().ToJson();
  for (std::size_t size = 0; size + 2 < text.size(); size += 1 + text.size() / 97) {
    EXPECT_FALSE(GuardFile::Parse(std::string_view(text).substr(0, size))) << size;
  }
}

TEST(GuardFile, OpensTheBuiltInOne) {
  const auto file = OpenGuardFile("");
  ASSERT_TRUE(file) << file.error().ToString();
  EXPECT_EQ(file->model().model_id, "builtin:lexical");
  EXPECT_EQ(OpenGuardFile("/nowhere/guard.json").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace garrison
