#include "gateway/gateway.h"

#include <gtest/gtest.h>

#include "core/test_embedder.h"
#include "guard/memory_conversations.h"

namespace garrison {
namespace {

class GatewayTest : public testing::Test {
 protected:
  Gateway Make() {
    monitor_ = GuardMonitor::Create(models_.embedder(), settings_.guard, std::nullopt).value();
    sessions_ = std::make_unique<GuardSessions>(settings_.guard, settings_.limits,
                                                monitor_->provenance(), conversations_, clock_,
                                                [this] { return "id" + std::to_string(++ids_); });
    return Gateway(models_, *monitor_, *sessions_, settings_, clock_);
  }
  static EmbedRequest Texts(std::vector<std::string> texts) {
    EmbedRequest request;
    request.inputs.assign(texts.begin(), texts.end());
    return request;
  }

  Settings settings_;
  TestCatalog models_;
  ManualClock clock_;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  std::unique_ptr<GuardSessions> sessions_;
  int ids_ = 0;
};

TEST_F(GatewayTest, EmbedsWithTheModelThatWasAskedFor) {
  const Gateway gateway = Make();
  const auto reply = gateway.Embed("", Texts({"ab", "b"}), {}, {});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->model.id, "test:letters");
  EXPECT_EQ(reply->embeddings.row(1)[1], 1.0f);
  EXPECT_TRUE(gateway.Embed("test:letters", Texts({"a"}), {}, {}));
  EXPECT_EQ(gateway.Embed("gpt-9", Texts({"a"}), {}, {}).error().code, Code::kNotFound);
}

TEST_F(GatewayTest, LimitInputsPerRequest) {
  settings_.limits.inputs_per_request = 2;
  const Gateway gateway = Make();
  EXPECT_TRUE(gateway.Embed("", Texts({"a", "b"}), {}, {}));
  EXPECT_EQ(gateway.Embed("", Texts({"a", "b", "c"}), {}, {}).error().where, "input");
}

TEST_F(GatewayTest, LimitInputBytes) {
  settings_.limits.input_bytes = 4;
  const Gateway gateway = Make();
  EXPECT_TRUE(gateway.Embed("", Texts({"abcd"}), {}, {}));
  EXPECT_EQ(gateway.Embed("", Texts({"a", "abcde"}), {}, {}).error().where, "input[1]");
  EXPECT_EQ(gateway.CheckSafety({"abcde", "b", ""}, {}).error().where, "user_message");
  EXPECT_EQ(gateway.CheckSafety({"a", "abcde", ""}, {}).error().where, "model_message");
}

TEST_F(GatewayTest, ARequestPastItsDeadlineOrLeftByItsClientIsNotWorkedOn) {
  const Gateway gateway = Make();
  RequestContext late;
  late.deadline = clock_.Now();
  EXPECT_EQ(gateway.Embed("", Texts({"a"}), {}, late).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  RequestContext left;
  left.stop = stop.get_token();
  EXPECT_EQ(gateway.CheckSafety({"a", "b", ""}, left).error().code, Code::kCancelled);
}

TEST_F(GatewayTest, AConversationGoesOnUnderItsId) {
  const Gateway gateway = Make();
  const auto first = gateway.CheckSafety({"hello", "I am sorry, but I cannot", ""}, {});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->conversation_id, "id1");
  EXPECT_EQ(first->turn.compat.metrics.turn, 1);
  EXPECT_EQ(first->turn.compat.metrics.v_model, 0.0);
  const auto second = gateway.CheckSafety({"hello", "zzz", "id1"}, {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->turn.compat.metrics.turn, 2);
  EXPECT_EQ(*second->turn.compat.metrics.v_model,
            *second->turn.compat.metrics.r_model - *first->turn.compat.metrics.r_model);
  // Another conversation starts afresh.
  EXPECT_EQ(gateway.CheckSafety({"a", "b", "other"}, {})->turn.compat.metrics.turn, 1);
}

TEST_F(GatewayTest, AFailedTurnLeavesTheConversationAsItWas) {
  const Gateway gateway = Make();
  ASSERT_TRUE(gateway.CheckSafety({"a", "b", "c"}, {}));
  EXPECT_EQ(gateway.CheckSafety({"a", "fail", "c"}, {}).error().code, Code::kInternal);
  EXPECT_EQ(gateway.CheckSafety({"a", "...", "c"}, {}).error().where, "model_message");
  EXPECT_EQ(gateway.CheckSafety({"!", "b", "c"}, {}).error().where, "user_message");
  EXPECT_EQ(gateway.CheckSafety({"a", "b", "c"}, {})->turn.compat.metrics.turn, 2);
}

TEST_F(GatewayTest, ABadConversationIdIsRefusedBeforeAnyWork) {
  const Gateway gateway = Make();
  EXPECT_EQ(gateway.CheckSafety({"fail", "b", "bad\nid"}, {}).error().where, "conversation_id");
  EXPECT_EQ(gateway.CheckSafety({"fail", "b", std::string(129, 'x')}, {}).error().where,
            "conversation_id");
}

TEST_F(GatewayTest, LimitConversationTurns) {
  settings_.limits.conversation_turns = 2;
  const Gateway gateway = Make();
  ASSERT_TRUE(gateway.CheckSafety({"a", "b", "c"}, {}));
  ASSERT_TRUE(gateway.CheckSafety({"a", "b", "c"}, {}));
  EXPECT_EQ(gateway.CheckSafety({"a", "b", "c"}, {}).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace garrison
