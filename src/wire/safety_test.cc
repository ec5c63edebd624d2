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

TEST(SafetyRequest, ATurnMayHaveANumberAndAKey) {
  const json plain = {{"user_message", "u"}, {"model_message", "m"}};
  EXPECT_EQ(DecodeSafetyRequest(plain)->turn, std::nullopt);
  EXPECT_EQ(DecodeSafetyRequest(plain)->idempotency_key, "");
  json full = plain;
  full["turn"] = 3U;
  full["idempotency_key"] = "k";
  EXPECT_EQ(DecodeSafetyRequest(full)->turn, 3);
  EXPECT_EQ(DecodeSafetyRequest(full)->idempotency_key, "k");
  for (const json& wrong : {json(0), json(-1), json("3"), json(2.5), json(4294967296)}) {
    full["turn"] = wrong;
    EXPECT_EQ(DecodeSafetyRequest(full).error().where, "turn") << wrong;
  }
}

TEST(SafetyBatch, ReadsItsItemsAndNamesTheOneAtFault) {
  const json item = {{"user_message", "u"}, {"model_message", "m"}};
  const auto items = [](json list) {
    json body;
    body["items"] = std::move(list);
    return DecodeSafetyBatch(body);
  };
  EXPECT_EQ(items(json::array({item, item}))->size(), 2u);
  EXPECT_TRUE(items(json::array())->empty());
  EXPECT_EQ(DecodeSafetyBatch(json::array()).error().where, "");
  EXPECT_EQ(DecodeSafetyBatch(json::object()).error().where, "items");
  EXPECT_EQ(items(item).error().where, "items");
  EXPECT_EQ(items(json::array({item, 5})).error().where, "items[1]");
  EXPECT_EQ(items(json::array({item, json::object()})).error().where, "items[1].user_message");
}

}  // namespace
}  // namespace garrison
