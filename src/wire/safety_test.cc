#include "wire/safety.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

using nlohmann::json;

TEST(SafetyRequest, ReadsItsFieldsAndIgnoresOthers) {
  const auto request = DecodeSafetyRequest(
      json{{"user_message", "u"}, {"model_message", "m"}, {"conversation_id", "c"}, {"x", 1}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->user_message, "u");
  EXPECT_EQ(request->model_message, "m");
  EXPECT_EQ(request->conversation_id, "c");
  EXPECT_EQ(
      DecodeSafetyRequest(json{{"user_message", "u"}, {"model_message", "m"}})->conversation_id,
      "");
}

TEST(SafetyRequest, WrongTypesNameTheField) {
  const auto where = [](const json& body) { return DecodeSafetyRequest(body).error().where; };
  EXPECT_EQ(where(json::array()), "");
  EXPECT_EQ(where(json::object()), "user_message");
  EXPECT_EQ(where(json{{"user_message", 1}, {"model_message", "m"}}), "user_message");
  EXPECT_EQ(where(json{{"user_message", "u"}}), "model_message");
  EXPECT_EQ(where(json{{"user_message", "u"}, {"model_message", nullptr}}), "model_message");
  EXPECT_EQ(where(json{{"user_message", "u"}, {"model_message", "m"}, {"conversation_id", 5}}),
            "conversation_id");
}

}  // namespace
}  // namespace garrison
